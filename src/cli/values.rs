//! Parsers of the values of flags. Their errors are the rule that a value breaks.

use std::time::Duration;

use temporalio_client::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy};

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

/// The id of a workflow, which somebody else may have chosen: the server accepts any text.
pub(super) fn workflow_id(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("expected an id, not empty") } else { Ok(text.to_owned()) }
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

pub(super) fn some_time(text: &str) -> Result<Duration, &'static str> {
    match parse_duration(text)? {
        Duration::ZERO => Err("expected a duration above 0"),
        time => Ok(time),
    }
}

/// The name of a payload's encoding, such as json/plain.
pub(super) fn encoding(text: &str) -> Result<String, &'static str> {
    let is_plain = text.chars().all(|character| character.is_ascii_graphic());
    let is_name = text.split_once('/').is_some_and(|(kind, of)| !kind.is_empty() && !of.is_empty());
    if is_plain && is_name {
        Ok(text.to_owned())
    } else {
        Err("expected an encoding such as json/plain, json/protobuf, binary/plain or binary/null")
    }
}

pub(super) fn key_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

pub(super) fn key_and_json(text: &str) -> Result<(String, String), String> {
    let (key, json) = match text.split_once('=') {
        Some((key, json)) if !key.is_empty() => (key, json),
        _ => return Err("expected KEY=JSON, such as 'customer=\"anna\"'".to_owned()),
    };
    serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(|error| {
        format!("the value is not JSON ({error}); a string needs its quotes, such as 'customer=\"anna\"'")
    })?;
    Ok((key.to_owned(), json.to_owned()))
}

pub(super) fn fairness_key(text: &str) -> Result<String, &'static str> {
    if text.len() <= 64 { Ok(text.to_owned()) } else { Err("expected at most 64 bytes") }
}

pub(super) fn fairness_weight(text: &str) -> Result<f32, &'static str> {
    match text.parse::<f32>() {
        Ok(weight) if (0.001..=1000.0).contains(&weight) => Ok(weight),
        _ => Err("expected a number from 0.001 to 1000"),
    }
}

pub(super) fn id_reuse_policy(text: &str) -> Result<WorkflowIdReusePolicy, &'static str> {
    match text {
        "RejectDuplicate" => Ok(WorkflowIdReusePolicy::RejectDuplicate),
        "AllowDuplicateFailedOnly" => Ok(WorkflowIdReusePolicy::AllowDuplicateFailedOnly),
        "AllowDuplicate" => Ok(WorkflowIdReusePolicy::AllowDuplicate),
        _ => Err("expected RejectDuplicate, AllowDuplicateFailedOnly or AllowDuplicate"),
    }
}

pub(super) fn id_conflict_policy(text: &str) -> Result<WorkflowIdConflictPolicy, &'static str> {
    match text {
        "UseExisting" => Ok(WorkflowIdConflictPolicy::UseExisting),
        "TerminateExisting" => Ok(WorkflowIdConflictPolicy::TerminateExisting),
        "Fail" => Ok(WorkflowIdConflictPolicy::Fail),
        _ => Err("expected UseExisting, TerminateExisting or Fail"),
    }
}
