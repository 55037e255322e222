//! The way out for spans, metrics and log records: OTLP to one endpoint each, which nothing waits for.
//!
//! The exporters are those of `opentelemetry-otlp`. Left alone that reads the process's environment and
//! takes a wrong value for none: here it is told everything, as `settings.rs` has read it. The
//! providers call it from threads of their own; the connections live on a runtime of their own, so
//! that workflow code does not keep them from sending, nor they workflow code from running. What
//! becomes of the collector is told by `outage.rs`; nothing that is said on the way is exported.

use std::{
    collections::HashMap,
    fmt::Debug,
    mem,
    pin::Pin,
    sync::LazyLock,
    task::{self, Poll},
    time::Duration,
};

use opentelemetry::{Context, trace::FutureExt};
use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{self, LogBatch},
    metrics::{PeriodicReader, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{self, SpanData},
};
use reqwest::{Certificate, Client, Identity, redirect};
use temporalio_client::tonic::{
    codegen::http::{HeaderName, HeaderValue},
    metadata::MetadataMap,
    transport::{self, Channel, ClientTlsConfig},
};
use temporalio_common::telemetry::ensure_default_crypto_provider;
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::{
    config::{
        Config,
        otel::{Endpoint, Protocol},
    },
    error::{Error, root_cause},
};

/// How long a process that ends waits for the collector.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What the last try has, once the process ends: a little less than the flush.
const LAST_TRY: Duration = FLUSH_TIMEOUT.saturating_sub(Duration::from_millis(500));

/// An exporter that tries again for as long as a batch may take, and tells of outages.
#[derive(Debug)]
pub(super) struct Export<E> {
    exporter: E,
    outage: Outage,
    /// How long a batch may take, with all tries.
    patience: Duration,
    /// The process ends: one try has to do.
    ending: CancellationToken,
}

/// For spans.
///
/// # Errors
/// What is wrong with the certificates; or no runtime can be had.
pub(super) fn spans(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<Export<SpanExporter>, String> {
    let _entered = runtime()?.enter();
    let builder = SpanExporter::builder();
    let built = match endpoint.protocol {
        Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
        Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
    };
    Ok(Export::of(built.map_err(|error| root_cause(&error))?, "traces", endpoint, ending))
}

/// For metrics.
///
/// # Errors
/// As with [`spans`].
pub(super) fn metrics(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<Export<MetricExporter>, String> {
    let _entered = runtime()?.enter();
    let builder = MetricExporter::builder();
    let built = match endpoint.protocol {
        Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
        Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
    };
    Ok(Export::of(built.map_err(|error| root_cause(&error))?, "metrics", endpoint, ending))
}

/// For log records.
///
/// # Errors
/// As with [`spans`].
pub(super) fn logs(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<Export<LogExporter>, String> {
    let _entered = runtime()?.enter();
    let builder = LogExporter::builder();
    let built = match endpoint.protocol {
        Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
        Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
    };
    Ok(Export::of(built.map_err(|error| root_cause(&error))?, "logs", endpoint, ending))
}

/// What sends metrics now and then; `None` where the environment names no endpoint for them.
///
/// # Errors
/// [`Error::Telemetry`] for certificates that do not fit.
pub(crate) fn metric_reader(
    config: &Config,
    ending: CancellationToken,
) -> Result<Option<PeriodicReader<impl PushMetricExporter + use<>>>, Error> {
    let Some(endpoint) = &config.telemetry.metrics else { return Ok(None) };
    let exporter = metrics(endpoint, ending)
        .map_err(|cause| Error::Telemetry { endpoint: endpoint.to_string(), cause })?;
    let interval = config.telemetry.metric_interval;
    Ok(Some(PeriodicReader::builder(exporter).with_interval(interval).build()))
}

impl<E> Export<E> {
    fn of(exporter: E, what: &'static str, endpoint: &Endpoint, ending: CancellationToken) -> Self {
        let outage = Outage::of(what, endpoint);
        Self { exporter, outage, patience: endpoint.timeout, ending }
    }

    async fn no_more_time(&self) {
        self.ending.cancelled().await;
        sleep(LAST_TRY).await;
    }

    async fn send<F>(&self, try_once: impl Fn() -> F) -> OTelSdkResult
    where
        F: Future<Output = OTelSdkResult>,
    {
        let tries = async {
            let deadline = Instant::now() + self.patience;
            let mut pause = FIRST_PAUSE;
            loop {
                let begun = Instant::now();
                let sent = tokio::select! {
                    sent = timeout_at(deadline, try_once()) => {
                        sent.unwrap_or(Err(OTelSdkError::Timeout(self.patience)))
                    }
                    () = self.no_more_time() => Err(OTelSdkError::Timeout(LAST_TRY)),
                };
                self.outage.note(begun, &sent);
                let over = self.ending.is_cancelled() || Instant::now() + pause >= deadline;
                if sent.is_ok() || over {
                    return sent;
                }
                tokio::select! {
                    () = sleep(pause) => {}
                    () = self.ending.cancelled() => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        // The calls that this makes are not to be traced, nor what it says to be exported.
        let tries = tries.with_context(Context::current().with_telemetry_suppressed());
        InRuntime(Box::pin(tries)).await
    }
}

impl trace::SpanExporter for Export<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.send(|| self.exporter.export(batch.clone())).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl PushMetricExporter for Export<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.send(|| self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

impl logs::LogExporter for Export<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        // A batch can be sent once: each try makes one of its own.
        let records: Vec<_> = batch.iter().collect();
        self.send(|| self.exporter.export(LogBatch::new(&records))).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn over_grpc<B: WithTonicConfig>(builder: B, endpoint: &Endpoint) -> Result<B, String> {
    let said = |error: transport::Error| root_cause(&error);
    let mut target = Channel::from_shared(endpoint.url.to_string())
        .map_err(|error| root_cause(&error))?
        .connect_timeout(endpoint.timeout);
    if endpoint.url.scheme() == "https" {
        // Tonic goes on without the certificates that it cannot read; this one tells.
        client(endpoint)?;
        let mut tls = match &endpoint.tls.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(transport::Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        if let Some((certificate, key)) = &endpoint.tls.client {
            tls = tls.identity(transport::Identity::from_pem(certificate, key));
        }
        target = target.tls_config(tls).map_err(said)?;
    }
    let headers = endpoint.headers.0.iter().cloned().collect();
    let builder = builder
        .with_channel(target.connect_lazy())
        .with_metadata(MetadataMap::from_headers(headers));
    Ok(if endpoint.gzip { builder.with_compression(Compression::Gzip) } else { builder })
}

fn over_http<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    endpoint: &Endpoint,
) -> Result<B, String> {
    let header = |(name, value): &(HeaderName, HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers: HashMap<_, _> = endpoint.headers.0.iter().filter_map(header).collect();
    let builder = builder
        .with_http_client(client(endpoint)?)
        .with_endpoint(endpoint.url.to_string())
        .with_timeout(endpoint.timeout)
        .with_headers(headers);
    Ok(if endpoint.gzip {
        WithHttpConfig::with_compression(builder, Compression::Gzip)
    } else {
        builder
    })
}

/// What speaks HTTP.
///
/// # Errors
/// What is wrong with the certificates.
fn client(endpoint: &Endpoint) -> Result<Client, String> {
    ensure_default_crypto_provider();
    let said = |error: reqwest::Error| root_cause(&error);
    // A collector that moved is one to be told of, not to be followed with one's headers.
    let mut client = Client::builder().redirect(redirect::Policy::none());
    if let Some(ca) = &endpoint.tls.ca {
        let certificates = Certificate::from_pem_bundle(ca).map_err(said)?;
        client = client.tls_certs_only(certificates);
    }
    if let Some((certificate, key)) = &endpoint.tls.client {
        let both = [certificate.as_slice(), key].concat();
        client = client.identity(Identity::from_pem(&both).map_err(said)?);
    }
    client.build().map_err(said)
}

/// Where the connections live.
fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: LazyLock<Result<Runtime, String>> = LazyLock::new(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            // What connections do is theirs, and never exported: it would make work of its own.
            .on_thread_start(|| mem::forget(Context::enter_telemetry_suppressed_scope()))
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
    });
    RUNTIME.as_ref().map_err(Clone::clone)
}

/// A future whose timers and connections are the runtime's, whatever thread it is polled on.
struct InRuntime<F>(Pin<Box<F>>);

impl<F: Future> Future for InRuntime<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let _entered = runtime().ok().map(Runtime::enter);
        self.0.as_mut().poll(context)
    }
}
