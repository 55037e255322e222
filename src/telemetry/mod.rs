//! Traces, metrics and logs: what a process reports about itself, and how it leaves the process.
//!
//! A command of the fleet builds one [`Telemetry`], installs it as the process's global subscriber
//! and providers, and flushes it at its end. A program that embeds a worker has a subscriber of its
//! own, or none: for such a worker nothing global is installed.

mod export;
mod logs;
pub(crate) mod metrics;
mod outage;
pub(crate) mod panics;
mod repeats;
pub(crate) mod replay;
mod resource;
mod stderr;
mod traces;
mod transport;

use std::{thread, time::Duration};

use opentelemetry::global;
use tokio::task::spawn_blocking;
use tracing_subscriber::{Registry, layer::SubscriberExt};

pub use self::traces::TraceContext;
pub(crate) use self::{
    export::FLUSH_TIMEOUT, resource::Service, stderr::LogOptions, traces::Traces,
};
use self::{logs::Logs, metrics::Metrics};
use crate::{config::otel::Settings, error::Error};

/// The telemetry of one process: its traces, metrics and logs, as far as they are switched on. The
/// default exports nothing. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    traces: Option<Traces>,
    metrics: Option<Metrics>,
    logs: Option<Logs>,
}

impl Telemetry {
    /// Adds traces, if there are any.
    pub(crate) fn with_traces(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }

    /// Adds the export of logs, if the settings name an endpoint for it.
    ///
    /// # Errors
    /// [`Error::Telemetry`] if the exporter cannot be built.
    pub(crate) fn with_logs(self, settings: &Settings, service: &Service) -> Result<Self, Error> {
        Ok(Self { logs: Logs::start(settings, service)?, ..self })
    }

    /// Adds metrics, as [`Metrics::start`] describes.
    ///
    /// # Errors
    /// [`Error::Telemetry`] if the exporter cannot be built.
    pub(crate) fn with_metrics(
        self,
        settings: &Settings,
        service: &Service,
        is_served: bool,
        worker: Option<&str>,
    ) -> Result<Self, Error> {
        Ok(Self { metrics: Metrics::start(settings, service, is_served, worker)?, ..self })
    }

    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Makes this the telemetry of the whole process: logs go to stderr as `options` say, and
    /// spans, events and metrics of the user's code are exported too.
    pub(crate) fn install(&self, options: &LogOptions<'_>) {
        let subscriber = Registry::default()
            .with(stderr::layer(options))
            .with(self.logs.as_ref().map(|logs| logs.layer(options)))
            .with(self.traces.as_ref().map(Traces::layer));
        // This fails if a program that uses this library has already installed its own subscriber,
        // which then stays in place.
        if tracing::subscriber::set_global_default(subscriber).is_ok() {
            panics::has_log();
        }
        if let Some(metrics) = &self.metrics {
            metrics.install();
        }
        if let Some(traces) = &self.traces {
            global::set_tracer_provider(traces.provider());
            traces.check_caller();
        }
    }

    /// Sends what is left and ends all exports. It waits at most `timeout` for the collectors, and
    /// does not block the runtime.
    pub(crate) async fn flush(self, timeout: Duration) {
        // This fails only if a flush panics, and the panic itself reports that.
        let _ = spawn_blocking(move || self.blocking_flush(timeout)).await;
    }

    /// [`flush`](Self::flush) outside a runtime.
    pub(crate) fn blocking_flush(&self, timeout: Duration) {
        // All are flushed at the same time, because each may wait for a collector that does not answer.
        thread::scope(|scope| {
            if let Some(metrics) = &self.metrics {
                scope.spawn(move || metrics.flush(timeout));
            }
            if let Some(logs) = &self.logs {
                scope.spawn(move || logs.flush(timeout));
            }
            if let Some(traces) = &self.traces {
                traces.flush(timeout);
            }
        });
    }
}
