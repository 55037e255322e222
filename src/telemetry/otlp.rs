//! One endpoint that takes OTLP, over gRPC or over HTTP: a request goes there, or it is told why not.
//!
//! Not the crate `opentelemetry-otlp`: that reads the process's environment, takes a wrong value for
//! none, tries once, and over HTTP wants a blocking client with a runtime of its own.

use std::{error::Error as StdError, io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{StatusCode, body::Bytes, client::conn::http1, http};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
};
use prost::Message;
use temporalio_client::tonic::{
    Code, Extensions, Request, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{self, Channel, ClientTlsConfig},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tokio_util::task::AbortOnDropHandle;

use super::settings::{Endpoint, Protocol, Tls};
use crate::error::root_cause;

/// What a collector answers is short.
const LONGEST_ANSWER: usize = 1 << 20;

/// Where requests go. To be made and used within one tokio runtime.
pub(crate) enum Transport {
    Grpc { channel: Channel, metadata: MetadataMap, gzip: bool },
    Http { endpoint: Box<Endpoint>, tls: Option<TlsConnector> },
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// Whether the same request may be taken later.
    pub(crate) passes: bool,
}

impl Transport {
    /// # Errors
    /// What is wrong with the certificates.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        match endpoint.protocol {
            Protocol::Grpc => Self::grpc(endpoint),
            Protocol::Http => Self::http(endpoint),
        }
    }

    fn grpc(endpoint: &Endpoint) -> Result<Self, String> {
        let said = |error: transport::Error| root_cause(&error);
        let mut target =
            transport::Endpoint::from_shared(endpoint.url.to_string()).map_err(said)?;
        if endpoint.url.scheme() == "https" {
            let mut tls = match &endpoint.tls.ca {
                Some(ca) => {
                    ClientTlsConfig::new().ca_certificate(transport::Certificate::from_pem(ca))
                }
                None => ClientTlsConfig::new().with_enabled_roots(),
            };
            if let Some((certificate, key)) = &endpoint.tls.client {
                tls = tls.identity(transport::Identity::from_pem(certificate, key));
            }
            target = target.tls_config(tls).map_err(said)?;
        }
        let headers = endpoint.headers.0.iter().cloned().collect();
        Ok(Self::Grpc {
            channel: target.connect_lazy(),
            metadata: MetadataMap::from_headers(headers),
            gzip: endpoint.gzip,
        })
    }

    fn http(endpoint: &Endpoint) -> Result<Self, String> {
        let is_tls = endpoint.url.scheme() == "https";
        let tls = is_tls.then(|| connector(&endpoint.tls)).transpose()?;
        Ok(Self::Http { endpoint: Box::new(endpoint.clone()), tls })
    }

    /// Sends spans. What comes back is why the other side dropped some of them, if it did.
    pub(crate) async fn send_traces(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<Option<String>, Failure> {
        let answer = match self {
            Self::Grpc { channel, metadata, gzip } => {
                let mut client = TraceServiceClient::new(channel.clone());
                if *gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let request = Request::from_parts(metadata.clone(), Extensions::default(), request);
                client.export(request).await.map_err(|status| refused(&status))?.into_inner()
            }
            Self::Http { endpoint, tls } => {
                let body = post(endpoint, tls.as_ref(), request.encode_to_vec()).await?;
                // An answer that is no message says nothing of what was dropped.
                ExportTraceServiceResponse::decode(body.as_slice()).unwrap_or_default()
            }
        };
        let dropped = answer.partial_success.filter(|it| it.rejected_spans > 0);
        Ok(dropped.map(|it| format!("{} spans: {}", it.rejected_spans, it.error_message)))
    }
}

/// A connection for each request: there is one a second at most, and none that can have gone stale.
async fn post(
    endpoint: &Endpoint,
    tls: Option<&TlsConnector>,
    message: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let url = &endpoint.url;
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or_default();
    let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let target =
        format!("{}{}", url.path(), url.query().map_or(String::new(), |it| format!("?{it}")));
    let mut request = http::Request::post(target)
        .header("host", authority)
        .header("content-type", "application/x-protobuf");
    for (name, value) in &endpoint.headers.0 {
        request = request.header(name, value);
    }
    let message = if endpoint.gzip {
        request = request.header("content-encoding", "gzip");
        zipped(&message)
    } else {
        message
    };
    let request = request.body(Full::new(Bytes::from(message))).map_err(lost)?;

    let stream = TcpStream::connect((bare, port)).await.map_err(lost)?;
    let (status, body) = match tls {
        None => exchange(stream, request).await.map_err(lost)?,
        Some(tls) => {
            let name = ServerName::try_from(bare.to_owned()).map_err(lost)?;
            let stream = tls.connect(name, stream).await.map_err(lost)?;
            exchange(stream, request).await.map_err(lost)?
        }
    };
    if status.is_success() {
        return Ok(body);
    }
    // As the specification of OTLP has it.
    let passes = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    Err(Failure { cause: format!("HTTP status {status}"), passes })
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
) -> Result<(StatusCode, Vec<u8>), Box<dyn StdError + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await?.to_bytes();
    drop(connection);
    Ok((status, body.to_vec()))
}

fn lost(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Failure {
    Failure { cause: root_cause(error.into().as_ref()), passes: true }
}

fn connector(tls: &Tls) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &tls.ca {
        for certificate in CertificateDer::pem_slice_iter(ca) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match &tls.client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let chain = chain.map_err(|error| error.to_string())?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
            config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn zipped(message: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = zip.write_all(message);
    zip.finish().unwrap_or_default()
}

fn refused(status: &Status) -> Failure {
    // A connection that was not made, or broke, comes as one of several codes.
    let lost = status.source().is_some();
    let passes = lost
        || matches!(
            status.code(),
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
                | Code::ResourceExhausted
        );
    let cause = match status.source() {
        Some(source) => root_cause(source),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    };
    Failure { cause, passes }
}
