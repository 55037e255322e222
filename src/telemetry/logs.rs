//! Log records: what the log says, sent to a collector too, with the trace and span it is said in.

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

use super::{export, resource::resource, stderr};
use crate::{config::Config, error::Error};

/// Where a process's log records go.
#[derive(Debug)]
pub(crate) struct Logs {
    provider: SdkLoggerProvider,
    /// Tells the exporter that the process ends.
    ending: CancellationToken,
}

impl Logs {
    /// The log of a process in `role`, as the environment has it; `None` where it names no endpoint.
    ///
    /// # Errors
    /// [`Error::Telemetry`] for certificates that do not fit.
    pub(crate) fn start(config: &Config, role: &str) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &config.telemetry.logs else { return Ok(None) };
        let batches = config.telemetry.log_batches;
        let ending = CancellationToken::new();
        let exporter = export::logs(endpoint, ending.clone())
            .map_err(|cause| Error::Telemetry { endpoint: endpoint.to_string(), cause })?;
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(batches.queue)
            .with_max_export_batch_size(batches.most)
            .with_scheduled_delay(batches.delay)
            .build();
        let queue = BatchLogProcessor::builder(exporter).with_batch_config(batch).build();
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(queue)
            .with_resource(resource(config, role))
            .build();
        Ok(Some(Self { provider, ending }))
    }

    /// The layer that takes what stderr gets, but for what the export itself has to say.
    pub(super) fn layer<S>(&self, config: &Config, default_filter: &str) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let no_echo = filter_fn(|about| !about.target().starts_with("opentelemetry"));
        OpenTelemetryTracingBridge::new(&self.provider)
            .with_filter(stderr::filter(config, default_filter).and(no_echo))
    }

    /// Sends what there is, for so long at most, and ends the export. It blocks.
    pub(crate) fn flush(&self, within: Duration) {
        self.ending.cancel();
        // What was not sent has been told by the exporter.
        let _ = self.provider.shutdown_with_timeout(within);
    }
}
