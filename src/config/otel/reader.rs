//! Reads variables one by one, and collects the problems with them.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use temporalio_client::Url;

use super::signal::{EXPORTER, PREFIX, Signal};
use crate::config::{environment::Environment, problems::unknown};

/// A variable whose name begins so concerns the fleet. It is known, or it is refused.
const OURS: [&str; 5] = [PREFIX, "OTEL_BSP_", "OTEL_BLRP_", "OTEL_TRACES_", "OTEL_LOGS_"];
/// The variables under [`OURS`] that are read, beside those of an exporter.
const OTHERS: [&str; 10] = [
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_LOGS_EXPORTER",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// Shorter words are taken for no secret.
const SHORTEST_SECRET: usize = 5;

/// A variable with a problem, and the rule. The first part also has the value, unless that is a secret.
pub(crate) type Problem = (String, String);

pub(super) struct Reader<'a> {
    pub(super) environment: &'a Environment,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn of(environment: &'a Environment) -> Self {
        Self { environment, problems: Vec::new() }
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.environment.get(name)?;
        parse(text).map_err(|rule| self.problem(name, rule)).ok()
    }

    pub(super) fn problem(&mut self, name: &str, rule: String) {
        let value = self.environment.get(name).unwrap_or_default();
        let what = match shown(name, value) {
            Some(value) => format!("{name}={value:?}"),
            None => name.to_owned(),
        };
        // A variable for all signals is read once for each of them.
        if !self.problems.iter().any(|(known, _)| *known == what) {
            self.problems.push((what, rule));
        }
    }

    /// A setting of an exporter: the signal's own, else the one for all signals. Both are checked.
    pub(super) fn of_exporter<T>(
        &mut self,
        signal: Signal,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let all = self.parse(&format!("{PREFIX}{what}"), &parse);
        self.parse(&format!("{PREFIX}{}_{what}", signal.name()), &parse).or(all)
    }

    /// Refuses unknown names: with a typing error in one of them, nothing would be sent, or not to the right place.
    pub(super) fn refuse_unknown(&mut self) {
        let with = |signal: &str| EXPORTER.map(|what| format!("{PREFIX}{signal}{what}"));
        let known: Vec<_> =
            ["", "TRACES_", "METRICS_", "LOGS_"].into_iter().flat_map(with).collect();
        // Other programs that send metrics read these.
        let foreign = [
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        ];
        let known = || known.iter().map(String::as_str).chain(OTHERS);
        for name in self.environment.names() {
            let ours = OURS.iter().any(|prefix| name.starts_with(prefix));
            if !ours
                || known().any(|known| known == name)
                || foreign.iter().any(|prefix| name.starts_with(prefix))
            {
                continue;
            }
            let rule = match name.rsplit_once('_') {
                Some((_, "INSECURE")) => {
                    "give the endpoint with http:// or https:// instead".into()
                }
                _ if matches!(name, "OTEL_BSP_EXPORT_TIMEOUT" | "OTEL_BLRP_EXPORT_TIMEOUT") => {
                    "see OTEL_EXPORTER_OTLP_TIMEOUT, which bounds the same".into()
                }
                _ => unknown(name, known()),
            };
            self.problems.push((name.to_owned(), rule));
        }
    }
}

/// The variables that are set, with secrets masked.
pub(crate) fn describe(environment: &Environment) -> Vec<(String, String)> {
    let names = environment.names().filter(|name| name.starts_with("OTEL_"));
    names
        .map(|name| {
            let value = environment.get(name).unwrap_or_default();
            (name.to_owned(), shown(name, value).unwrap_or_else(|| "***".into()))
        })
        .collect()
}

/// The value of a variable as it may be shown; `None` if it may be a secret. Of variables that are not known,
/// anything may be one.
fn shown(name: &str, value: &str) -> Option<String> {
    const PUBLIC: [&str; 12] = [
        "OTEL_SDK_DISABLED",
        "OTEL_SERVICE_NAME",
        "OTEL_PROPAGATORS",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_METRICS_EXPORTER",
        "OTEL_LOG_LEVEL",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
    ];
    let of_exporter = name.strip_prefix(PREFIX).map(|rest| {
        let signals = ["TRACES_", "METRICS_", "LOGS_"];
        signals.iter().find_map(|signal| rest.strip_prefix(signal)).unwrap_or(rest)
    });
    match of_exporter {
        _ if value.contains("-----BEGIN") => None, // a key in place of the path to it
        Some("ENDPOINT") => match Url::parse(value).ok().and_then(|url| shown_url(&url)) {
            Some(url) if url.contains("***") => Some(url),
            Some(_) => Some(value.to_owned()),
            None => is_plain(value).then(|| value.to_owned()),
        },
        Some("HEADERS") => None,
        Some(what) if EXPORTER.contains(&what) => Some(value.to_owned()),
        // Its values describe the service. They are sent to the collector, and shown to whoever looks there.
        None if name == "OTEL_RESOURCE_ATTRIBUTES" => Some(masked_pairs(value)),
        None if PUBLIC.contains(&name) || OTHERS.contains(&name) => Some(value.to_owned()),
        _ => None,
    }
}

/// Whether a text is at most a host and a port, or a word.
fn is_plain(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || ".:_-[]".contains(c))
}

/// `name=value` pairs with the values of those that OpenTelemetry's conventions name.
fn masked_pairs(text: &str) -> String {
    const CONVENTIONS: [&str; 8] =
        ["cloud.", "container.", "deployment.", "host.", "k8s.", "os.", "process.", "service."];
    let shown = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if CONVENTIONS.iter().any(|prefix| name.trim().starts_with(prefix)) => {
            pair.to_owned()
        }
        Some((name, _)) => format!("{name}=***"),
        None if pair.len() < SHORTEST_SECRET => pair.to_owned(),
        None => "***".to_owned(),
    };
    text.split(',').map(shown).collect::<Vec<_>>().join(",")
}

/// A URL without what may carry a token: user name and password, query and fragment, and parts of the path that
/// are not usual ones. `None` if it is no URL of a host.
pub(crate) fn shown_url(url: &Url) -> Option<String> {
    const USUAL: [&str; 13] = [
        "",
        "api",
        "collector",
        "intake",
        "logs",
        "metrics",
        "opentelemetry",
        "otel",
        "otlp",
        "traces",
        "v1",
        "v2",
        "v1development",
    ];
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let segment = |segment: &str| {
        if segment.len() < SHORTEST_SECRET || USUAL.contains(&segment) {
            segment.to_owned()
        } else {
            "***".to_owned()
        }
    };
    let path: Vec<_> = url.path().split('/').map(segment).collect();
    let query = if url.query().is_some() || url.fragment().is_some() { "?***" } else { "" };
    let user = if url.username().is_empty() && url.password().is_none() { "" } else { "***@" };
    Some(format!("{}://{user}{host}{port}{}{query}", url.scheme(), path.join("/")))
}

/// Parses `name=value` pairs with commas between them. Values may be percent-encoded.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
        })
        .collect()
}

pub(super) fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    const RULE: &str = "expected a whole number of milliseconds, from 1 to 3600000";
    match text.parse() {
        Ok(number @ 1..=3_600_000) => Ok(Duration::from_millis(number)),
        _ => Err(RULE.into()),
    }
}

pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("expected a whole number from 1 to 1000000".into()),
    }
}

pub(super) fn parse_count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".into())
}
