//! The signals, and the parts of which the names of their variables consist.

/// A kind of data that is exported.
#[derive(Clone, Copy)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// The part of a variable's name that stands for the signal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// The path below `OTEL_EXPORTER_OTLP_ENDPOINT`, over HTTP.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }
}

/// The settings of an exporter. Each can have a signal's name between [`PREFIX`] and these words.
pub(super) const EXPORTER: [&str; 8] = [
    "ENDPOINT",
    "PROTOCOL",
    "HEADERS",
    "TIMEOUT",
    "COMPRESSION",
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
];
/// The beginning of the exporters' variables.
pub(super) const PREFIX: &str = "OTEL_EXPORTER_OTLP_";
