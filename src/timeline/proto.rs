//! Values of Temporal's messages as plain values.

use std::time::{Duration, SystemTime};

use temporalio_common::protos::temporal::api::{
    common::v1::Payloads, deployment::v1::WorkerDeploymentVersion, enums::v1::TaskQueueKind,
    failure::v1::Failure, sdk::v1::UserMetadata, taskqueue::v1::TaskQueue,
};

use crate::temporal::{failure::FailureChain, payload};

/// A timestamp. `None` if it is absent or the Unix epoch, which the server sends for "never".
pub(super) fn time(timestamp: Option<impl TryInto<SystemTime>>) -> Option<SystemTime> {
    let time = timestamp.and_then(|timestamp| timestamp.try_into().ok());
    time.filter(|time| *time > SystemTime::UNIX_EPOCH)
}

/// A duration. `None` if it is absent or negative.
pub(super) fn duration(duration: Option<impl TryInto<Duration>>) -> Option<Duration> {
    duration.and_then(|duration| duration.try_into().ok())
}

/// The number of an attempt, at least 1.
pub(super) fn attempt(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(1).max(1)
}

/// The value of an enumeration in lower-case words, without the prefix that all its values share.
pub(super) fn enum_words(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).replace('_', " ").to_lowercase()
}

/// The failure with its causes as text. `None` if there is no failure.
pub(super) fn failure_message(failure: Option<&Failure>) -> Option<String> {
    failure.map(|failure| FailureChain::of(Some(failure)).text())
}

/// The text, or `None` if it is empty.
pub(super) fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A worker's version as `deployment:build`.
pub(super) fn version(version: &WorkerDeploymentVersion) -> String {
    format!("{}:{}", version.deployment_name, version.build_id)
}

/// The name of a task queue. For a sticky queue, whose own name is random, it is the name of the
/// normal queue that it belongs to.
pub(super) fn queue(queue: Option<&TaskQueue>) -> String {
    let Some(queue) = queue else { return String::new() };
    if is_sticky(queue) { queue.normal_name.clone() } else { queue.name.clone() }
}

pub(super) fn is_sticky(queue: &TaskQueue) -> bool {
    queue.kind() == TaskQueueKind::Sticky && !queue.normal_name.is_empty()
}

/// The note that user code attached to a command or a workflow.
pub(super) fn summary(metadata: Option<&UserMetadata>) -> Option<String> {
    let summary = metadata?.summary.as_ref()?;
    Some(payload::note(summary))
}

/// The reason that somebody gave, with the details that were given with it.
pub(super) fn with_details(reason: Option<&str>, details: Option<&Payloads>) -> Option<String> {
    let details = details.map(|details| &details.payloads[..]).unwrap_or_default();
    match (reason, details) {
        (None, []) => None,
        (Some(reason), []) => Some(reason.to_owned()),
        (None, details) => Some(payload::line(details)),
        (Some(reason), details) => Some(format!("{reason} (details: {})", payload::line(details))),
    }
}
