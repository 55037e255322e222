//! `fleet status --output json`. Scripts rely on the names and types.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::queues::{FOOTNOTE, QueueRow, Reading};
use crate::{
    temporal::{clock::Skew, task_queue::Poller},
    text::json::on_one_line,
};

/// The queues as one object on one line. The server refused `rate_limited` calls because of a limit.
pub(super) fn json(address: &str, namespace: &str, reading: &Reading, rate_limited: u64) -> String {
    let document = StatusDocument {
        time: TimestampMillis(reading.now),
        clock_skew_ms: reading.skew.map(Skew::millis),
        address,
        namespace,
        queues: reading.rows.iter().map(QueueJson::new).collect(),
        rate_limited,
        note: FOOTNOTE.replace('\n', " "),
    };
    // A `Value` sorts the keys, so that the order of the fields below is free.
    let json = serde_json::to_value(document).expect("plain data").to_string();
    on_one_line(&json).into_owned()
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    /// The server's time.
    time: TimestampMillis,
    /// How far this machine's clock is ahead of it; null if that is not known.
    clock_skew_ms: Option<f64>,
    address: &'a str,
    namespace: &'a str,
    queues: Vec<QueueJson<'a>>,
    rate_limited: u64,
    note: String,
}

#[derive(Serialize)]
struct QueueJson<'a> {
    task_queue: &'a str,
    kind: &'static str,
    backlog: i64,
    /// How long the first task of the backlog has waited; null without a backlog.
    oldest_seconds: Option<f64>,
    /// Tasks a second.
    add_rate: f32,
    dispatch_rate: f32,
    /// The worker deployment version that new workflows go to, as `deployment:build`.
    routed_to: Option<&'a str>,
    unserved: bool,
    pollers: Vec<PollerJson<'a>>,
}

#[derive(Serialize)]
struct PollerJson<'a> {
    identity: &'a str,
    last_access: Option<String>,
    seconds_ago: Option<f64>,
    gone: bool,
    version: Option<&'a str>,
}

/// Written in RFC 3339 with milliseconds.
struct TimestampMillis(SystemTime);

impl Serialize for TimestampMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(self.0))
    }
}

impl<'a> QueueJson<'a> {
    fn new(row: &'a QueueRow) -> Self {
        let view = &row.view;
        Self {
            task_queue: &row.queue,
            kind: row.kind(),
            backlog: view.backlog,
            oldest_seconds: row.oldest().map(|age| age.as_secs_f64()),
            add_rate: view.add_rate,
            dispatch_rate: view.dispatch_rate,
            routed_to: view.routed_to.as_deref(),
            unserved: view.is_unserved(),
            pollers: view.pollers.iter().map(PollerJson::new).collect(),
        }
    }
}

impl<'a> PollerJson<'a> {
    fn new(poller: &'a Poller) -> Self {
        Self {
            identity: &poller.identity,
            last_access: poller.last_access.map(|at| humantime::format_rfc3339(at).to_string()),
            seconds_ago: poller.seen_ago().map(|ago| ago.as_secs_f64()),
            gone: poller.is_gone(),
            version: poller.version.as_deref(),
        }
    }
}
