//! Logs and traces, and the way out for logs, traces and metrics: what a process says of itself.
//!
//! [`install`] is for a process that is all the fleet's. A program that embeds a worker has a
//! subscriber of its own, or none: its workers' traces ([`Traces`]) touch nothing global.

mod batches;
mod endpoint;
mod export;
mod logs;
mod outage;
mod reader;
pub(crate) mod replay;
pub(crate) mod settings;
mod stderr;
mod traces;

use opentelemetry::global;
use opentelemetry_sdk::metrics::{PeriodicReader, exporter::PushMetricExporter};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{Registry, layer::SubscriberExt};

pub(crate) use endpoint::Endpoint;
pub(crate) use logs::Logs;
pub(crate) use reader::describe;
pub use traces::TraceContext;
pub(crate) use traces::{FLUSH_TIMEOUT, Traces, resource};

use crate::{config::Config, error::Error};

/// Has the log written, and spans of `tracing` join the traces, if there are any.
pub(crate) fn install(
    config: &Config,
    default_filter: &str,
    name: Option<&str>,
    traces: Option<&Traces>,
    logs: Option<&Logs>,
) {
    // What comes of the collector is told whether it goes or comes, once, by `outage.rs`; the crates
    // below would tell of each batch, where a program turns their logs on.
    let default_filter =
        format!("{default_filter},opentelemetry=off,temporal_fleet::telemetry=info");
    let subscriber = Registry::default()
        .with(stderr::layer(config, &default_filter, name))
        .with(logs.map(|logs| logs.layer(config, &default_filter)))
        .with(traces.map(Traces::layer));
    // A program that embeds the library may have installed its own; then that one serves.
    let _ = tracing::subscriber::set_global_default(subscriber);
    if let Some(traces) = traces {
        global::set_tracer_provider(traces.provider());
        traces.check_caller(&config.environment);
    }
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
    let exporter = export::metrics(endpoint, ending)
        .map_err(|cause| Error::Telemetry { endpoint: endpoint.to_string(), cause })?;
    let interval = config.telemetry.metric_interval;
    Ok(Some(PeriodicReader::builder(exporter).with_interval(interval).build()))
}
