//! The health listener: `/livez`, `/readyz`, `/status` and `/metrics` on one address.
//!
//! Alive is whoever answers: a process whose poll loop has ended exits, and one whose thread is stuck
//! does not answer. Ready is what the server confirms ([`crate::process::state`]). Neither has anything to do
//! with how long ago a task came: an idle queue is healthy.

use std::{
    convert::Infallible,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use crate::error::Error;

/// Enough for every probe and a person beside them.
const CONNECTIONS: usize = 64;
/// A probe's request is a line and some headers.
const LARGEST_HEAD: usize = 8 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that keeps its connection open is asked to make a new one after this.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(5);

/// What a health listener tells.
pub(crate) trait Health: Send + Sync + 'static {
    /// Whether this is ready for work, and the word for what it is instead.
    fn ready(&self) -> (bool, String);
    /// All there is to tell.
    fn status(&self) -> Value;
    /// The metrics, in Prometheus' text form.
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
    /// [`Error::HealthAddress`] when that is taken or not this machine's.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let bound = async {
            let inner = TcpListener::bind(address).await?;
            let address = inner.local_addr()?;
            Ok(Self { inner, address })
        };
        bound.await.map_err(|source| Error::HealthAddress { address, source })
    }

    /// Answers until dropped.
    pub(crate) async fn serve(self, health: impl Health) -> Infallible {
        let health = Arc::new(health);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // Never closed, so there is always a place again.
            let Ok(place) = places.clone().acquire_owned().await else { continue };
            let Ok((stream, _)) = self.inner.accept().await else {
                // Out of file descriptors, say: others have to end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let health = health.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| async {
                    Ok::<_, Infallible>(answer(request, health.as_ref()).await)
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(LARGEST_HEAD)
                    .serve_connection(TokioIo::new(stream), answer);
                // How a connection ends is the client's affair.
                let _ = timeout(CONNECTION_TIMEOUT, connection).await;
                drop(place);
            });
        }
    }
}

async fn answer(request: Request<Incoming>, health: &impl Health) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD".into());
    }
    match request.uri().path() {
        "/livez" => plain(StatusCode::OK, "alive".into()),
        "/readyz" => match health.ready() {
            (true, word) => plain(StatusCode::OK, word),
            (false, word) => plain(StatusCode::SERVICE_UNAVAILABLE, word),
        },
        "/status" => {
            respond(StatusCode::OK, "application/json", format!("{:#}\n", health.status()))
        }
        "/metrics" => respond(StatusCode::OK, prometheus::TEXT_FORMAT, health.metrics().await),
        _ => plain(StatusCode::NOT_FOUND, "/livez, /readyz, /status or /metrics".into()),
    }
}

/// Asks the listener at `address`: the code and the body of its answer, which may have at most `limit`
/// bytes.
///
/// # Errors
/// What kept it from answering within `patience`.
pub(crate) fn ask(
    address: SocketAddr,
    path: &str,
    patience: Duration,
    limit: u64,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(limit).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| io::Error::other("no answer in HTTP"))?;
    Ok((code, body.trim().to_owned()))
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
