//! The exporters of traces, metrics and logs: OTLP to one endpoint each, with retries.
//!
//! The exporters are those of `opentelemetry-otlp`. Without arguments they read this process's
//! environment and ignore a value that they cannot parse. Here they get every setting as
//! `config/otel` has read it. The OpenTelemetry providers call them from threads of their own, so
//! that no workflow and no activity waits for a collector. `outage.rs` logs whether a collector can
//! be reached; nothing that is logged during an export is exported.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use opentelemetry::{Context, trace::FutureExt};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    logs::{self, LogBatch},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{self, SpanData},
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    outage::Outage,
    transport::{OnExportRuntime, over_grpc, over_http, runtime},
};
use crate::{
    config::otel::{Endpoint, Protocol},
    error::{Error, root_cause},
};

/// How long a process that ends waits for its collectors.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last attempt may take once the process ends: a little less than the flush.
const LAST_ATTEMPT_TIMEOUT: Duration = FLUSH_TIMEOUT.saturating_sub(Duration::from_millis(500));
/// The pauses between attempts. The jitter adds up to the same length to each one: the first takes up
/// to 100 ms, each further one up to twice as long as the one before, and the longest up to 2 s.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_secs(1))
    .without_max_times()
    .with_jitter();

/// An exporter that retries a batch until the endpoint's timeout, and logs outages.
#[derive(Debug)]
pub(super) struct RetryingExporter<E> {
    exporter: E,
    outage: Outage,
    /// How long a batch may take, with all attempts.
    timeout: Duration,
    /// Cancelled when the process ends. Then one more attempt is made, without a pause.
    ending: CancellationToken,
}

/// An exporter for spans.
///
/// # Errors
/// [`Error::Telemetry`] if the certificates are wrong, or if no runtime can be started.
pub(super) fn spans(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<RetryingExporter<SpanExporter>, Error> {
    RetryingExporter::build("traces", endpoint, ending, || {
        let builder = SpanExporter::builder();
        match endpoint.protocol {
            Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
            Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
        }
        .map_err(|error| root_cause(&error))
    })
}

/// An exporter for metrics.
///
/// # Errors
/// As for [`spans`].
pub(super) fn metrics(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<RetryingExporter<MetricExporter>, Error> {
    RetryingExporter::build("metrics", endpoint, ending, || {
        let builder = MetricExporter::builder();
        match endpoint.protocol {
            Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
            Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
        }
        .map_err(|error| root_cause(&error))
    })
}

/// An exporter for log records.
///
/// # Errors
/// As for [`spans`].
pub(super) fn logs(
    endpoint: &Endpoint,
    ending: CancellationToken,
) -> Result<RetryingExporter<LogExporter>, Error> {
    RetryingExporter::build("logs", endpoint, ending, || {
        let builder = LogExporter::builder();
        match endpoint.protocol {
            Protocol::Grpc => over_grpc(builder.with_tonic(), endpoint)?.build(),
            Protocol::Http => over_http(builder.with_http(), endpoint)?.build(),
        }
        .map_err(|error| root_cause(&error))
    })
}

impl<E> RetryingExporter<E> {
    /// Builds the exporter of `signal` on the runtime on which its connections live.
    fn build(
        signal: &'static str,
        endpoint: &Endpoint,
        ending: CancellationToken,
        exporter: impl FnOnce() -> Result<E, String>,
    ) -> Result<Self, Error> {
        let build = || {
            let _entered = runtime()?.enter();
            exporter()
        };
        let exporter = build().map_err(|cause| Error::Telemetry {
            signal,
            endpoint: endpoint.to_string(),
            cause,
        })?;
        let outage = Outage::of(signal, endpoint);
        Ok(Self { exporter, outage, timeout: endpoint.timeout, ending })
    }

    /// Sends a batch, with retries. Its calls are not traced, and what it logs is not exported.
    async fn send<F>(&self, send_once: impl Fn() -> F) -> OTelSdkResult
    where
        F: Future<Output = OTelSdkResult>,
    {
        let suppressed = Context::current().with_telemetry_suppressed();
        let sending = self.send_with_retries(send_once).with_context(suppressed);
        OnExportRuntime::new(sending).await
    }

    async fn send_with_retries<F>(&self, send_once: impl Fn() -> F) -> OTelSdkResult
    where
        F: Future<Output = OTelSdkResult>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut pauses = BACKOFF.build();
        loop {
            let start = Instant::now();
            let sent = self.attempt(deadline, send_once()).await;
            self.outage.record(start, &sent);
            let pause = pauses.next().filter(|pause| Instant::now() + *pause < deadline);
            let Some(pause) = pause.filter(|_| sent.is_err() && !self.ending.is_cancelled()) else {
                return sent;
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.ending.cancelled() => {}
            }
        }
    }

    /// One attempt, which ends at the deadline or, if that is sooner, [`LAST_ATTEMPT_TIMEOUT`]
    /// after the process began to end.
    async fn attempt(
        &self,
        deadline: Instant,
        sending: impl Future<Output = OTelSdkResult>,
    ) -> OTelSdkResult {
        let last_attempt_is_over = async {
            self.ending.cancelled().await;
            sleep(LAST_ATTEMPT_TIMEOUT).await;
        };
        tokio::select! {
            sent = timeout_at(deadline, sending) => {
                sent.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)))
            }
            () = last_attempt_is_over => Err(OTelSdkError::Timeout(LAST_ATTEMPT_TIMEOUT)),
        }
    }
}

impl trace::SpanExporter for RetryingExporter<SpanExporter> {
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

impl PushMetricExporter for RetryingExporter<MetricExporter> {
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

impl logs::LogExporter for RetryingExporter<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        // A batch can be sent only once, so that each attempt makes its own from the same records.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::otel::Settings;

    #[test]
    fn the_error_of_a_misconfigured_export_names_its_signal() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("ca.pem");
        fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
        let environment = format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://a:4318\nOTEL_EXPORTER_OTLP_CERTIFICATE={}",
            certificate.display()
        );
        let (settings, problems) = Settings::read(&environment.parse().unwrap());
        assert!(problems.is_empty(), "{problems:#?}");
        let ending = CancellationToken::new();
        let errors = [
            ("traces", spans(&settings.traces.unwrap(), ending.clone()).unwrap_err()),
            ("metrics", metrics(&settings.metrics.unwrap(), ending.clone()).unwrap_err()),
            ("logs", logs(&settings.logs.unwrap(), ending).unwrap_err()),
        ];
        for (signal, error) in errors {
            let begin = format!(
                "the export of {signal} (http/protobuf to https://a:4318/v1/{signal}) is misconfigured: "
            );
            assert!(error.to_string().starts_with(&begin), "{error}");
        }
    }
}
