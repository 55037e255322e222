//! The export of logs: each event that goes to stderr also goes to a collector as a log record,
//! with the ids of the trace and span in which it was logged.

use std::time::Duration;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    registry::LookupSpan,
};

use super::{export, resource::Service, stderr::LogOptions};
use crate::{config::otel::Settings, error::Error};

/// The exported logs of one process. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    provider: SdkLoggerProvider,
    /// Notifies the exporter that the process ends.
    ending: CancellationToken,
}

impl Logs {
    /// Starts the export of logs; `None` if the settings name no endpoint for them.
    ///
    /// # Errors
    /// [`Error::Telemetry`] if the exporter cannot be built, for instance from wrong certificates.
    pub(super) fn start(settings: &Settings, service: &Service) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &settings.logs else { return Ok(None) };
        let batches = settings.log_batches;
        let ending = CancellationToken::new();
        let exporter = export::logs(endpoint, ending.clone())?;
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(batches.queue)
            .with_max_export_batch_size(batches.most)
            .with_scheduled_delay(batches.delay)
            .build();
        let processor = BatchLogProcessor::builder(exporter).with_batch_config(batch).build();
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(processor)
            .with_resource(service.resource(settings))
            .build();
        Ok(Some(Self { provider, ending }))
    }

    /// The layer that exports what goes to stderr, except for the events of OpenTelemetry's own
    /// crates: exporting them could cause more of them.
    pub(super) fn layer<S>(&self, options: &LogOptions<'_>) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let not_of_export = filter_fn(|metadata| !metadata.target().starts_with("opentelemetry"));
        OpenTelemetryTracingBridge::new(&self.provider)
            .with_filter(options.filter().and(not_of_export))
    }

    /// Sends the records that are left, for at most `timeout`, and ends the export. It blocks.
    pub(super) fn flush(&self, timeout: Duration) {
        self.ending.cancel();
        // The exporter has already logged what could not be sent.
        let _ = self.provider.shutdown_with_timeout(timeout);
    }
}
