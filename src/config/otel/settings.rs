//! The settings of the export, as OpenTelemetry's specification names their variables.

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;

use super::{
    batches::{Batches, SpanLimits},
    endpoint::Endpoint,
    reader::{Problem, Reader, pairs, parse_milliseconds},
    signal::Signal,
};
use crate::config::environment::Environment;

/// What the fleet exports, where to and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Where spans are sent; `None` if they are not exported.
    pub(crate) traces: Option<Endpoint>,
    /// Where metrics are sent; `None` if they are not exported.
    pub(crate) metrics: Option<Endpoint>,
    /// Where log records are sent; `None` if they only go to stderr.
    pub(crate) logs: Option<Endpoint>,
    /// `OTEL_METRIC_EXPORT_INTERVAL`.
    pub(crate) metric_interval: Duration,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub(crate) attributes: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and its argument.
    pub(crate) sampler: Option<Sampler>,
    /// `OTEL_PROPAGATORS`.
    pub(crate) propagators: Propagators,
    /// `OTEL_BSP_*`.
    pub(crate) batches: Batches,
    /// `OTEL_BLRP_*`.
    pub(crate) log_batches: Batches,
    /// `OTEL_SPAN_*_COUNT_LIMIT`.
    pub(crate) limits: SpanLimits,
}

/// The kinds of context that are propagated with a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Propagators {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl Default for Propagators {
    fn default() -> Self {
        Self { trace_context: true, baggage: true }
    }
}

/// The default of OpenTelemetry's specification.
const METRIC_INTERVAL: Duration = Duration::from_mins(1);

impl Settings {
    /// Reads the settings, and the problems with them.
    pub(crate) fn read(environment: &Environment) -> (Self, Vec<Problem>) {
        let mut reader = Reader::of(environment);
        let disabled = reader.parse("OTEL_SDK_DISABLED", parse_switch).unwrap_or(false);
        if disabled {
            // It is a way out for a process whose environment is meant for something else.
            return (Self::default(), reader.problems);
        }
        reader.refuse_unknown();
        let settings = Self {
            traces: reader.endpoint(Signal::Traces),
            metrics: reader.endpoint(Signal::Metrics),
            logs: reader.endpoint(Signal::Logs),
            metric_interval: reader
                .parse("OTEL_METRIC_EXPORT_INTERVAL", parse_milliseconds)
                .unwrap_or(METRIC_INTERVAL),
            service_name: reader.parse("OTEL_SERVICE_NAME", |text| Ok(text.to_owned())),
            attributes: reader
                .parse("OTEL_RESOURCE_ATTRIBUTES", parse_attributes)
                .unwrap_or_default(),
            sampler: reader.sampler(),
            propagators: reader.parse("OTEL_PROPAGATORS", parse_propagators).unwrap_or_default(),
            batches: reader.batches("OTEL_BSP_"),
            log_batches: reader.batches("OTEL_BLRP_"),
            limits: reader.limits(),
        };
        (settings, reader.problems)
    }
}

impl Reader<'_> {
    fn sampler(&mut self) -> Option<Sampler> {
        let ratio = self.parse("OTEL_TRACES_SAMPLER_ARG", |text| match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err("expected a number from 0.0 to 1.0".into()),
        });
        let of_parent = |root| Sampler::ParentBased(Box::new(root));
        let by_ratio = || Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0));
        self.parse("OTEL_TRACES_SAMPLER", |text| {
            Ok(match text {
                "always_on" => Sampler::AlwaysOn,
                "always_off" => Sampler::AlwaysOff,
                "traceidratio" => by_ratio(),
                "parentbased_always_on" => of_parent(Sampler::AlwaysOn),
                "parentbased_always_off" => of_parent(Sampler::AlwaysOff),
                "parentbased_traceidratio" => of_parent(by_ratio()),
                _ => {
                    return Err("expected always_on, always_off, traceidratio, \
                                parentbased_always_on, parentbased_always_off or \
                                parentbased_traceidratio"
                        .into());
                }
            })
        })
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "expected true or false".into())
}

fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    pairs(text).ok_or_else(|| "expected name=value pairs with commas between them".into())
}

fn parse_propagators(text: &str) -> Result<Propagators, String> {
    let mut propagators = Propagators { trace_context: false, baggage: false };
    for name in text.split(',').map(str::trim) {
        match name {
            "tracecontext" => propagators.trace_context = true,
            "baggage" => propagators.baggage = true,
            "none" => {}
            _ => return Err("expected tracecontext, baggage, both with a comma, or none".into()),
        }
    }
    Ok(propagators)
}

#[cfg(test)]
mod tests;
