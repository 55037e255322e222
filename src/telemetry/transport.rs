//! The connections to collectors, over gRPC or HTTP, and the runtime on which they live.
//!
//! That runtime has a thread of its own: workflow code that does not yield cannot keep an export
//! from being sent, and an export cannot keep workflow code from running.

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::LazyLock,
    task::{self, Poll},
};

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Compression, WithExportConfig, WithHttpConfig, WithTonicConfig};
use reqwest::{Certificate, Client, Identity, redirect};
use temporalio_client::tonic::{
    codegen::http::{HeaderName, HeaderValue},
    metadata::MetadataMap,
    transport::{self, Channel, ClientTlsConfig},
};
use temporalio_common::telemetry::ensure_default_crypto_provider;
use tokio::runtime::{Builder, Runtime};

use crate::{config::otel::Endpoint, error::root_cause};

/// Sets up an exporter for `endpoint` over gRPC.
///
/// # Errors
/// What is wrong with the certificates.
pub(super) fn over_grpc<B: WithTonicConfig>(builder: B, endpoint: &Endpoint) -> Result<B, String> {
    let mut channel = Channel::from_shared(endpoint.url.to_string())
        .map_err(|error| root_cause(&error))?
        .connect_timeout(endpoint.timeout);
    if endpoint.url.scheme() == "https" {
        // Tonic ignores certificates that it cannot parse. The HTTP client reports them.
        http_client(endpoint)?;
        let mut tls = match &endpoint.tls.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(transport::Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        if let Some((certificate, key)) = &endpoint.tls.client {
            tls = tls.identity(transport::Identity::from_pem(certificate, key));
        }
        channel = channel.tls_config(tls).map_err(|error| root_cause(&error))?;
    }
    let headers = endpoint.headers.0.iter().cloned().collect();
    let builder = builder
        .with_channel(channel.connect_lazy())
        .with_metadata(MetadataMap::from_headers(headers));
    Ok(if endpoint.gzip { builder.with_compression(Compression::Gzip) } else { builder })
}

/// Sets up an exporter for `endpoint` over HTTP.
///
/// # Errors
/// What is wrong with the certificates.
pub(super) fn over_http<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    endpoint: &Endpoint,
) -> Result<B, String> {
    let header = |(name, value): &(HeaderName, HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers: HashMap<_, _> = endpoint.headers.0.iter().filter_map(header).collect();
    let builder = builder
        .with_http_client(BoundedClient(http_client(endpoint)?))
        .with_endpoint(endpoint.url.to_string())
        .with_timeout(endpoint.timeout)
        .with_headers(headers);
    Ok(if endpoint.gzip {
        WithHttpConfig::with_compression(builder, Compression::Gzip)
    } else {
        builder
    })
}

fn http_client(endpoint: &Endpoint) -> Result<Client, String> {
    ensure_default_crypto_provider();
    let described = |error: reqwest::Error| root_cause(&error);
    // A redirect is reported as a failure: following it would send the headers, which hold secrets,
    // to another host.
    let mut client = Client::builder().redirect(redirect::Policy::none());
    if let Some(ca) = &endpoint.tls.ca {
        let certificates = Certificate::from_pem_bundle(ca).map_err(described)?;
        client = client.tls_certs_only(certificates);
    }
    if let Some((certificate, key)) = &endpoint.tls.client {
        let both = [certificate.as_slice(), key].concat();
        client = client.identity(Identity::from_pem(&both).map_err(described)?);
    }
    client.build().map_err(described)
}

/// A client that reads only so much of an answer as a collector has reason to send. The one of
/// `opentelemetry-http` reads without an end, whatever it is connected to.
#[derive(Debug)]
struct BoundedClient(Client);

/// The largest answer, in bytes. It says which records were rejected, and why.
const LARGEST_ANSWER: usize = 64 * 1024;

#[async_trait]
impl HttpClient for BoundedClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.execute(request.try_into()?).await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                let limit = LARGEST_ANSWER / 1024;
                return Err(format!("the collector's answer is longer than {limit} KiB").into());
            }
        }
        let mut response = Response::builder().status(answer.status()).body(body.into())?;
        *response.headers_mut() = mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// The runtime on which connections to collectors live, started at its first use.
///
/// # Errors
/// Why it could not be started.
pub(super) fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: LazyLock<Result<Runtime, String>> = LazyLock::new(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            // The spans and events of connections are not exported: each export would cause more.
            .on_thread_start(|| mem::forget(Context::enter_telemetry_suppressed_scope()))
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
    });
    RUNTIME.as_ref().map_err(Clone::clone)
}

/// A future whose timers and connections belong to [`runtime`], whichever thread polls it.
pub(super) struct OnExportRuntime<F>(Pin<Box<F>>);

impl<F> OnExportRuntime<F> {
    pub(super) fn new(inner: F) -> Self {
        Self(Box::pin(inner))
    }
}

impl<F: Future> Future for OnExportRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let _entered = runtime().ok().map(Runtime::enter);
        self.0.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_without_an_end_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
            // Ends when the client has closed the connection.
            let chunk = vec![b'x'; 64 * 1024];
            (0..10_000).take_while(|_| stream.write_all(&chunk).is_ok()).count()
        });
        ensure_default_crypto_provider();
        let request = Request::post(format!("http://{address}/v1/traces")).body(Bytes::new());
        let error = BoundedClient(Client::new()).send_bytes(request.unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "the collector's answer is longer than 64 KiB");
        let sent = collector.join().unwrap();
        assert!(sent < 1000, "{sent} chunks were taken");
    }
}
