//! The health listener: `/livez`, `/readyz`, `/status` and `/metrics` on one address.
//!
//! A process that answers is alive, unless it says that its worker is stuck: it exits when its poll loop
//! ends, and a worker's listener has a thread of its own, so that it can answer for a worker whose thread is
//! blocked. A worker is ready once the Temporal server confirms it
//! ([`crate::process::state`]). Neither depends on when the last task came, because a worker of an
//! idle queue is healthy.

use std::{
    collections::VecDeque, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::handshake,
    header::{CONTENT_TYPE, HOST},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    config::show,
    error::{CommandError, root_cause},
};

/// How many connections are served at a time: enough for every probe and a few people. When one more
/// comes, the oldest is closed, so that no client can keep a probe out.
const CONNECTIONS: usize = 256;
/// The largest request head, in bytes. A probe's request is one line and a few headers.
const LARGEST_HEAD: usize = 8 * 1024;
/// How long a request may take from its first byte to the last one of its answer. Prometheus waits for
/// ten seconds by default.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a health listener reports about its process.
pub(crate) trait Health: Send + Sync + 'static {
    /// Whether the process is alive, and a word for it.
    fn live(&self) -> (bool, String) {
        (true, "alive".into())
    }

    /// Whether the process is ready for work, and the name of its state.
    fn ready(&self) -> (bool, String);
    /// The JSON object of `/status`.
    fn status(&self) -> Value;
    /// The metrics in Prometheus' text format.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

/// A bound health listener.
pub(crate) struct Listener {
    inner: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// [`CommandError::HealthAddress`] if the address is in use or does not belong to this machine.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, CommandError> {
        let bound = async {
            let inner = TcpListener::bind(address).await?;
            let address = inner.local_addr()?;
            Ok(Self { inner, address })
        };
        bound.await.map_err(|source| CommandError::HealthAddress { address, source })
    }

    /// Answers requests until the future is dropped.
    pub(crate) async fn serve(self, health: impl Health) -> Infallible {
        let health = Arc::new(health);
        let mut connections = VecDeque::with_capacity(CONNECTIONS);
        loop {
            let Ok((stream, _)) = self.inner.accept().await else {
                // The process may have no free file descriptor, for example; then other connections have to end.
                connections.pop_front();
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            connections.retain(|connection: &AbortOnDropHandle<()>| !connection.is_finished());
            if connections.len() == CONNECTIONS {
                connections.pop_front();
            }
            let health = health.clone();
            connections.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                let answer = service_fn(|request| async {
                    Ok::<_, Infallible>(answer(request, health.as_ref()).await)
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(EXCHANGE_TIMEOUT)
                    .keep_alive(false)
                    .max_buf_size(LARGEST_HEAD)
                    .serve_connection(TokioIo::new(stream), answer);
                // A connection that ends with an error concerns only its client.
                let _ = timeout(EXCHANGE_TIMEOUT, connection).await;
            })));
            // A request that has come with its connection is answered before the next connection is accepted.
            yield_now().await;
        }
    }
}

async fn answer(request: Request<Incoming>, health: &impl Health) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD".into());
    }
    match request.uri().path() {
        "/livez" => probed(health.live()),
        "/readyz" => probed(health.ready()),
        "/status" => {
            respond(StatusCode::OK, "application/json", format!("{:#}\n", health.status()))
        }
        "/metrics" => respond(StatusCode::OK, prometheus::TEXT_FORMAT, health.metrics().await),
        _ => plain(StatusCode::NOT_FOUND, "/livez, /readyz, /status or /metrics".into()),
    }
}

/// Sends a GET request for `path` to the listener at `address`, and returns the status code and the
/// body without white space around it.
///
/// # Errors
/// Why there was no answer within `max_wait`, or none in HTTP, or one whose body is longer than
/// `max_bytes` bytes or not UTF-8.
pub(crate) async fn ask(
    address: SocketAddr,
    path: &str,
    max_wait: Duration,
    max_bytes: usize,
) -> io::Result<(u16, String)> {
    // Only the cause is reported, because hyper's own message does not contain it.
    let failed = |error: hyper::Error| io::Error::other(root_cause(&error));
    let answer = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // The task that drives the connection ends with this request.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::get(path)
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), max_bytes).collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        let text = str::from_utf8(&body).map_err(io::Error::other)?;
        Ok((code, text.trim().to_owned()))
    };
    let timed_out = || io::Error::other(format!("timed out after {}", show(max_wait)));
    timeout(max_wait, answer).await.unwrap_or_else(|_| Err(timed_out()))
}

/// The answer to a probe.
fn probed((good, word): (bool, String)) -> Response<Full<Bytes>> {
    plain(if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, word)
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text + "\n")
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_has_to_be_http_of_limited_size_and_in_time() {
        for (sent, result) in [
            ("HTTP/1.1 200 OK\r\n\r\n ready\n", "200 ready"),
            (
                "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\ndraining",
                "503 draining",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n12345678901234567",
                "length limit exceeded",
            ),
            ("SSH-2.0-OpenSSH_9.6\r\n", "invalid HTTP version parsed"),
            ("", "timed out after 50ms"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(sent.as_bytes()).await.unwrap();
                if !sent.is_empty() {
                    stream.shutdown().await.unwrap();
                }
                stream
            };
            let max_wait = Duration::from_millis(if sent.is_empty() { 50 } else { 10_000 });
            let (_stream, answer) = tokio::join!(serve, ask(address, "/readyz", max_wait, 16));
            let answer = match answer {
                Ok((code, text)) => format!("{code} {text}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(answer, result, "{sent:?}");
        }
    }
}
