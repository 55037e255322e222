//! Parsers of the values of flags. Their errors are the rule that a value breaks.

use std::time::Duration;

use crate::config::{parse_duration, parse_number};

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("not a log filter: {error}")),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    parse_number(text, 1, usize::MAX)
}

/// Parses an interval. It has a minimum, because each repetition sends the server at least one request.
pub(super) fn interval(text: &str) -> Result<Duration, &'static str> {
    match parse_duration(text)? {
        interval if interval >= Duration::from_millis(100) => Ok(interval),
        _ => Err("expected a duration of 100ms or more"),
    }
}

pub(super) fn run_id(text: &str) -> Result<String, &'static str> {
    uuid::Uuid::try_parse(text).map(|_| text.to_owned()).map_err(|_| "expected a run id, a UUID")
}

pub(super) fn width(text: &str) -> Result<usize, String> {
    parse_number(text, 60, 1_000)
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    let number = parse_number(text, 0, u16::MAX.into())?;
    Ok(u16::try_from(number).expect("checked"))
}

/// Parses a number of workflows in flight. It is limited, because each of them is an open request at the server and
/// takes memory here: 500 took 200 MB.
pub(super) fn concurrency(text: &str) -> Result<usize, String> {
    parse_number(text, 1, 10_000)
}

/// Parses a number of workers. Its limit is low, because each worker is a process.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    parse_number(text, 0, 1_000)
}

pub(super) fn json(text: &str) -> Result<String, String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| text.to_owned()).map_err(|error| {
        format!("not JSON ({error}); a string needs its quotes, such as '\"you\"'")
    })
}
