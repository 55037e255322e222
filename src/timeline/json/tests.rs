//! The JSON of a timeline: values for recorded histories, and the keys and types of a full example.

use std::collections::BTreeSet;

use serde_json::Value;
use temporalio_common::protos::temporal::api::{
    common::v1::Payloads,
    enums::v1::RetryState,
    failure::v1::{ActivityFailureInfo, ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::History,
};

use super::*;
use crate::{
    temporal::payload::from_json,
    timeline::{
        events::Builder,
        model::{RunStatus, StartWait, WorkflowRun},
        row::{CancelRequest, Pause, RowStatus},
    },
};

fn recorded(json: &str) -> Timeline {
    let mut builder = Builder::default();
    for event in serde_json::from_str::<History>(json).unwrap().events {
        builder.add(event);
    }
    builder.build("a-run", SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn recorded_histories_keep_their_json() {
    for (history, expected) in [
        (
            include_str!("../histories/retried.json"),
            include_str!("../histories/retried.trace.json"),
        ),
        (
            include_str!("../histories/killed_worker.json"),
            include_str!("../histories/killed_worker.trace.json"),
        ),
    ] {
        let printed = json(&recorded(history), "http://a:1", "default");
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), expected);
        assert!(!printed.contains('\n'), "{printed}");
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// A failure of which every value is known.
fn failure_chain() -> FailureChain {
    let info = ApplicationFailureInfo {
        r#type: "Type".into(),
        non_retryable: true,
        details: Some(Payloads { payloads: vec![from_json("true")] }),
        ..ApplicationFailureInfo::default()
    };
    let inner = Failure {
        message: "message".into(),
        source: "SDK".into(),
        stack_trace: "line".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Failure::default()
    };
    let info = ActivityFailureInfo {
        activity_id: "1".into(),
        retry_state: RetryState::MaximumAttemptsReached.into(),
        ..ActivityFailureInfo::default()
    };
    FailureChain::of(Some(&Failure {
        failure_info: Some(FailureInfo::ActivityFailureInfo(info)),
        cause: Some(Box::new(inner)),
        ..Failure::default()
    }))
}

/// A timeline in which every value is known.
fn full() -> Timeline {
    let text = || Some("text".to_owned());
    let run = WorkflowRun {
        workflow_id: "id".into(),
        run_id: "run".into(),
        workflow_type: "Type".into(),
        task_queue: "queue".into(),
        status: RunStatus::Failed,
        started: at(0),
        begins: Some(at(1)),
        start_wait: Some(StartWait::StartDelay),
        cancel_requested: Some(at(8)),
        cron_schedule: text(),
        continued_failure: text(),
        last_result: text(),
        reset_from: text(),
        reset_to: text(),
        closed: Some(at(9)),
        started_by: "starter".into(),
        terminated_by: Some("cli@host".into()),
        summary: text(),
        failure: text(),
        failure_chain: failure_chain(),
        attempt: 2,
        parent: text(),
        previous_run: text(),
        next_run: text(),
        events: 7,
    };
    let row = Row {
        name: "Activity".into(),
        id: "1".into(),
        task_queue: "queue".into(),
        status: RowStatus::Failed,
        queued: Some(at(2)),
        started: Some(at(3)),
        ended: Some(at(5)),
        attempt: 2,
        worker: "worker".into(),
        version: text(),
        failure: text(),
        failure_chain: failure_chain(),
        last_failure: text(),
        last_failure_chain: failure_chain(),
        due: Some(at(4)),
        last_heartbeat: Some(at(4)),
        cancel_request: Some(CancelRequest { at: at(4), failure: text() }),
        pause: Some(Pause { since: Some(at(4)), by: "somebody".into(), reason: text() }),
        value: text(),
        summary: text(),
        ..Row::new(Kind::Activity, 5, at(1))
    };
    let wait = Wait {
        kind: Some(Kind::Activity),
        name: "Activity".into(),
        id: "1".into(),
        since: at(2),
        unserved: true,
        text: "text".into(),
        failure_chain: failure_chain(),
    };
    let other = [("unknown".to_owned(), 1)].into();
    let skew = Some(Skew { by: Duration::from_secs(2), is_ahead: true, is_least: false });
    Timeline { run, rows: vec![row], waits: vec![wait], other, until: at(9), skew }
}

/// Adds each path in `value` with the type of what is there.
fn collect(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(values) => {
            return values.iter().for_each(|value| collect(&format!("{path}[]"), value, found));
        }
        Value::Object(fields) => {
            return fields
                .iter()
                .for_each(|(key, value)| collect(&format!("{path}.{key}"), value, found));
        }
    };
    found.insert(format!("{path}: {name}"));
}

#[test]
fn full_example_has_every_key_with_its_type() {
    let document: Value = serde_json::from_str(&json(&full(), "http://a:1", "default")).unwrap();
    let mut found = BTreeSet::new();
    collect("", &document, &mut found);
    let found: Vec<_> = found.into_iter().collect();
    let expected: Vec<_> = include_str!("schema.txt").lines().collect();
    assert_eq!(found, expected);
}

#[test]
fn unknown_values_are_null_and_their_keys_stay() {
    let mut timeline = full();
    timeline.rows = vec![Row::new(Kind::Timer, 0, at(1))];
    timeline.rows[0].status = RowStatus::Open;
    timeline.run.closed = None;
    let document: Value = serde_json::from_str(&json(&timeline, "a", "n")).unwrap();
    assert_eq!(document["closed"], Value::Null);
    let row = document["rows"][0].as_object().unwrap();
    let null: Vec<_> = row.iter().filter(|(_, value)| value.is_null()).collect();
    let keys: Vec<_> = null.into_iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "attempt",
            "cancel_requested",
            "due",
            "ended",
            "event_id",
            "execution_ms",
            "failure",
            "failure_chain",
            "id",
            "last_failure",
            "last_failure_chain",
            "last_heartbeat",
            "name",
            "pause",
            "queue_wait_ms",
            "queued",
            "retries_ms",
            "started",
            "summary",
            "task_queue",
            "value",
            "version",
            "worker",
        ]
    );
}
