//! The one `tracing` subscriber of a process that is all the fleet's.

use opentelemetry::global;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::{logs::Logs, stderr, traces::Traces};
use crate::config::Config;

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
