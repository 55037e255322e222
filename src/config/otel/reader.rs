//! Reads variables one by one, and collects the problems with them.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use temporalio_client::Url;

use super::signal::{EXPORTER, PREFIX, Signal};
use crate::config::{environment::Environment, problems::unknown};

/// A variable whose name begins so concerns the fleet. It is known, or it is refused.
const OURS: [&str; 5] = [PREFIX, "OTEL_BSP_", "OTEL_BLRP_", "OTEL_TRACES_", "OTEL_LOGS_"];

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
        let what =
            if is_secret(name) { name.to_owned() } else { format!("{name}={:?}", masked(value)) };
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
        let others = [
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
        // Other programs that send metrics read these.
        let foreign = [
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        ];
        let known = || known.iter().map(String::as_str).chain(others);
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
            (name.to_owned(), if is_secret(name) { "***".into() } else { masked(value) })
        })
        .collect()
}

fn is_secret(name: &str) -> bool {
    name.ends_with("_HEADERS")
}

/// The value; if it is a URL, without user name and password.
fn masked(value: &str) -> String {
    match Url::parse(value) {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            let _ = url.set_password(None);
            let _ = url.set_username("***");
            url.into()
        }
        _ => value.to_owned(),
    }
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
