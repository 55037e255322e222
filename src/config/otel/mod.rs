//! OpenTelemetry's own variables (`OTEL_*`): where to, how and what, for each signal.
//!
//! They are read here and nowhere else: the crates read some of them by themselves, take what they
//! cannot parse for unset, and know only this process's environment. What is wrong is a problem like
//! any other setting's; what cannot be honoured is refused.

mod batches;
mod endpoint;
mod reader;
mod signal;

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;

use self::{
    batches::{Batches, Limits},
    reader::{Problem, Reader, pairs, parse_milliseconds},
    signal::Signal,
};
pub(crate) use self::{
    endpoint::{Endpoint, Protocol},
    reader::describe,
};
use super::environment::Environment;

/// What the fleet exports, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Where spans go; `None` where nothing is to be sent.
    pub(crate) traces: Option<Endpoint>,
    /// Where metrics go; `None` where none are to be sent.
    pub(crate) metrics: Option<Endpoint>,
    /// Where log records go; `None` where they only go to stderr.
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
    pub(crate) limits: Limits,
}

/// Which context goes along with a task.
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

/// OpenTelemetry's default.
const METRIC_INTERVAL: Duration = Duration::from_mins(1);

impl Settings {
    /// Reads them, and what is wrong with them.
    pub(crate) fn read(environment: &Environment) -> (Self, Vec<Problem>) {
        let mut reader = Reader::of(environment);
        let disabled = reader.parse("OTEL_SDK_DISABLED", parse_switch).unwrap_or(false);
        if disabled {
            // A way out for a process whose surroundings are set up for something else.
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
mod tests {
    use super::*;

    fn read(environment: &str) -> (Settings, Vec<String>) {
        let (settings, problems) = Settings::read(&environment.parse().unwrap());
        (settings, problems.into_iter().map(|(what, rule)| format!("{what}: {rule}")).collect())
    }

    #[test]
    fn every_wrong_value_is_named_with_its_rule_and_no_secret() {
        for (variable, problem) in [
            ("OTEL_SDK_DISABLED=yes", "OTEL_SDK_DISABLED=\"yes\": expected true or false"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"localhost:4317\": expected a URL, as http://localhost:4317",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@a:1",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://***@a:1/\": holds a user name or password: see \
                 OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
                "OTEL_EXPORTER_OTLP_PROTOCOL=\"http/json\": expected grpc or http/protobuf",
            ),
            (
                "OTEL_EXPORTER_OTLP_HEADERS=secret",
                "OTEL_EXPORTER_OTLP_HEADERS: expected name=value pairs with commas between them (the \
                 values are not shown)",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=10s",
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=\"10s\": expected a whole number of milliseconds, \
                 from 1 to 3600000",
            ),
            (
                "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
                "OTEL_EXPORTER_OTLP_COMPRESSION=\"zstd\": expected gzip",
            ),
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere",
                "OTEL_EXPORTER_OTLP_CERTIFICATE=\"/nowhere\": cannot read it: No such file or \
                 directory (os error 2)",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPONT=http://a",
                "OTEL_EXPORTER_OTLP_ENDPONT: no such setting; the nearest is \
                 OTEL_EXPORTER_OTLP_ENDPOINT",
            ),
            (
                "OTEL_EXPORTER_OTLP_INSECURE=true",
                "OTEL_EXPORTER_OTLP_INSECURE: give the endpoint with http:// or https:// instead",
            ),
            (
                "OTEL_TRACES_EXPORTER=zipkin",
                "OTEL_TRACES_EXPORTER=\"zipkin\": expected otlp or none",
            ),
            (
                "OTEL_METRICS_EXPORTER=statsd",
                "OTEL_METRICS_EXPORTER=\"statsd\": expected otlp or none",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES=a",
                "OTEL_RESOURCE_ATTRIBUTES=\"a\": expected name=value pairs with commas between them",
            ),
            (
                "OTEL_TRACES_SAMPLER=xray",
                "OTEL_TRACES_SAMPLER=\"xray\": expected always_on, always_off, traceidratio, \
                 parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
            ),
            (
                "OTEL_TRACES_SAMPLER_ARG=2",
                "OTEL_TRACES_SAMPLER_ARG=\"2\": expected a number from 0.0 to 1.0",
            ),
            (
                "OTEL_PROPAGATORS=b3",
                "OTEL_PROPAGATORS=\"b3\": expected tracecontext, baggage, both with a comma, or none",
            ),
            (
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4000",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=\"4000\": must not be above OTEL_BSP_MAX_QUEUE_SIZE \
                 (2048)",
            ),
            (
                "OTEL_SPAN_EVENT_COUNT_LIMIT=-1",
                "OTEL_SPAN_EVENT_COUNT_LIMIT=\"-1\": expected a whole number, 0 or more",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://a/b\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://a/b\": over grpc an endpoint has no path: see \
                 OTEL_EXPORTER_OTLP_PROTOCOL",
            ),
        ] {
            assert_eq!(read(variable).1, [problem], "{variable}");
        }
    }

    #[test]
    fn so_is_every_wrong_value_for_logs() {
        for (variable, problem) in [
            ("OTEL_LOGS_EXPORTER=console", "OTEL_LOGS_EXPORTER=\"console\": expected otlp or none"),
            (
                "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=0",
                "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=\"0\": expected a whole number of milliseconds, \
                 from 1 to 3600000",
            ),
            (
                "OTEL_EXPORTER_OTLP_LOGS_ENDPONT=http://a",
                "OTEL_EXPORTER_OTLP_LOGS_ENDPONT: no such setting; the nearest is \
                 OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            ),
            (
                "OTEL_LOGS_EXPORT=otlp",
                "OTEL_LOGS_EXPORT: no such setting; the nearest is OTEL_LOGS_EXPORTER",
            ),
            (
                "OTEL_BLRP_EXPORT_TIMEOUT=1000",
                "OTEL_BLRP_EXPORT_TIMEOUT: see OTEL_EXPORTER_OTLP_TIMEOUT, which bounds the same",
            ),
            (
                "OTEL_BLRP_MAX_QUEUE_SIZE=100\nOTEL_BLRP_MAX_EXPORT_BATCH_SIZE=101",
                "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=\"101\": must not be above \
                 OTEL_BLRP_MAX_QUEUE_SIZE (100)",
            ),
        ] {
            assert_eq!(read(variable).1, [problem], "{variable}");
        }
    }

    #[test]
    fn what_is_switched_off_is_not_looked_at() {
        let (settings, problems) = read("OTEL_SDK_DISABLED=true\nOTEL_TRACES_EXPORTER=zipkin");
        assert!(settings.traces.is_none() && problems.is_empty(), "{problems:#?}");
    }
}
