//! `fleet trace` of real workflows, compared with the server's own history.

mod closed;
mod command;
mod facts;
mod other_sdks;
mod running;

use std::{process::Command, time::SystemTime};

use serde_json::Value;
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};

use crate::{server, support::run};

/// Returns what `fleet trace --output json` prints.
#[track_caller]
fn traced(mut command: Command, workflow_id: &str) -> Value {
    command.args(["trace", workflow_id, "--output", "json"]);
    let out = run(command).success();
    let [line] = &out[..] else { panic!("{out:#?}") };
    serde_json::from_str(line).unwrap()
}

/// Returns the text that `fleet trace` prints.
#[track_caller]
fn printed(mut command: Command, workflow_id: &str) -> String {
    command.args(["trace", workflow_id]);
    run(command).success().join("\n")
}

/// Runs a starter of one workflow to its end and returns the workflow's id.
#[track_caller]
fn finished(mut program: Command, more: &[&str]) -> String {
    program.args(["starter", "-n", "1", "--output", "json"]).args(more);
    let workflow: Value = serde_json::from_str(&run(program).out[0]).unwrap();
    workflow["workflow_id"].as_str().unwrap().to_owned()
}

fn rows<'a>(timeline: &'a Value, kind: &str) -> Vec<&'a Value> {
    timeline["rows"].as_array().unwrap().iter().filter(|row| row["kind"] == kind).collect()
}

fn time(event: &HistoryEvent) -> SystemTime {
    event.event_time.unwrap().try_into().unwrap()
}

/// Returns the event with an id.
fn nth(history: &[HistoryEvent], id: i64) -> &HistoryEvent {
    history.iter().find(|event| event.event_id == id).unwrap()
}

fn millis(from: &HistoryEvent, to: &HistoryEvent) -> f64 {
    time(to).duration_since(time(from)).unwrap().as_secs_f64() * 1000.0
}

fn is_about(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 0.002)
}

/// Asserts that a timeline's times agree with the events of the history, and that all of the run's
/// time is accounted for.
#[track_caller]
fn assert_agrees_with_the_history(timeline: &Value) {
    let history = server::history(timeline["workflow_id"].as_str().unwrap());
    let mut activities = rows(timeline, "activity").into_iter();
    let mut workflow_tasks = rows(timeline, "workflow_task").into_iter();
    for closed in &history {
        let (row, scheduled, started, worker) = match closed.attributes.as_ref().unwrap() {
            Attributes::WorkflowTaskCompletedEventAttributes(completed) => (
                &mut workflow_tasks,
                completed.scheduled_event_id,
                completed.started_event_id,
                &completed.identity,
            ),
            Attributes::ActivityTaskCompletedEventAttributes(completed) => (
                &mut activities,
                completed.scheduled_event_id,
                completed.started_event_id,
                &completed.identity,
            ),
            _ => continue,
        };
        let row = row.next().unwrap();
        assert_eq!(row["event_id"], scheduled, "{row}");
        assert_eq!(
            (&row["worker"], &row["status"]),
            (&worker.as_str().into(), &"completed".into())
        );
        let (scheduled, started) = (nth(&history, scheduled), nth(&history, started));
        let waited = millis(scheduled, started);
        if row["attempt"] == 1 {
            assert!(is_about(&row["queue_wait_ms"], waited), "{row}");
            assert_eq!(row["retries_ms"], 0.0, "{row}");
        } else {
            assert_eq!(row["queue_wait_ms"], Value::Null, "{row}");
            assert!(is_about(&row["retries_ms"], waited), "{row}");
        }
        assert!(is_about(&row["execution_ms"], millis(started, closed)), "{row}");
    }
    assert_eq!((activities.next(), workflow_tasks.next()), (None, None));
    let duration = millis(&history[0], history.last().unwrap());
    assert!(is_about(&timeline["duration_ms"], duration), "{timeline}");
    assert_eq!(timeline["events"], history.len());
    assert_all_time_is_accounted_for(timeline);
}

#[track_caller]
fn assert_all_time_is_accounted_for(timeline: &Value) {
    let shares = timeline["time_ms"].as_object().unwrap().values();
    let sum: f64 = shares.map(|share| share.as_f64().unwrap()).sum();
    let duration = timeline["duration_ms"].as_f64().unwrap();
    assert!((sum - duration).abs() < 0.02, "{sum} of {duration}");
}
