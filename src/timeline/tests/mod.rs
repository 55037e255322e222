//! Timelines of recorded and made-up histories, without a server.

mod history;
mod local_activities;
mod nexus;
mod output;
mod pending;
mod states;

// The tests' imports from the timeline are listed only here; each file of tests re-uses them.
use std::time::{Duration, SystemTime};

use temporalio_common::protos::temporal::api::{
    enums::v1::{EventType, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::{
        History, HistoryEvent, WorkflowExecutionStartedEventAttributes,
        WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes,
        WorkflowTaskScheduledEventAttributes, WorkflowTaskStartedEventAttributes,
        history_event::Attributes,
    },
};

use super::{
    events::Builder,
    row::{Row, RowStatus, since},
    totals::Share,
    *,
};
use crate::{temporal::task_queue::TaskKind, terminal::style::Colour};

const RETRIED: &str = include_str!("../histories/retried.json");
const KILLED_WORKER: &str = include_str!("../histories/killed_worker.json");

const STYLE: Layout = Layout { width: 100, colour: Colour::Off, most_rows: 200, whole: false };

fn events(json: &str) -> Vec<HistoryEvent> {
    serde_json::from_str::<History>(json).unwrap().events
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(millis)
}

fn build(events: Vec<HistoryEvent>, now: SystemTime) -> Timeline {
    let mut builder = Builder::default();
    for event in events {
        builder.add(event);
    }
    builder.build("a-run", now).unwrap()
}

fn recorded(json: &str) -> Timeline {
    build(events(json), at(0))
}

fn event(id: i64, millis: u64, of_type: EventType, attributes: Attributes) -> HistoryEvent {
    HistoryEvent {
        event_id: id,
        event_time: Some(at(millis).into()),
        event_type: of_type.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}

/// A run's start and its first workflow task, which is scheduled after 10 ms.
fn beginning() -> Vec<HistoryEvent> {
    let started = WorkflowExecutionStartedEventAttributes::default();
    vec![
        event(
            1,
            0,
            EventType::WorkflowExecutionStarted,
            Attributes::WorkflowExecutionStartedEventAttributes(started),
        ),
        workflow_task_scheduled(2, 10, 1),
    ]
}

fn workflow_task_scheduled(id: i64, millis: u64, attempt: i32) -> HistoryEvent {
    let scheduled = WorkflowTaskScheduledEventAttributes { attempt, ..Default::default() };
    let attributes = Attributes::WorkflowTaskScheduledEventAttributes(scheduled);
    event(id, millis, EventType::WorkflowTaskScheduled, attributes)
}

fn workflow_task_started(id: i64, millis: u64) -> HistoryEvent {
    let started = WorkflowTaskStartedEventAttributes {
        scheduled_event_id: id - 1,
        identity: "worker@host:1".into(),
        ..Default::default()
    };
    let attributes = Attributes::WorkflowTaskStartedEventAttributes(started);
    event(id, millis, EventType::WorkflowTaskStarted, attributes)
}

fn workflow_task_completed(id: i64, millis: u64) -> HistoryEvent {
    let completed =
        WorkflowTaskCompletedEventAttributes { scheduled_event_id: id - 2, ..Default::default() };
    let attributes = Attributes::WorkflowTaskCompletedEventAttributes(completed);
    event(id, millis, EventType::WorkflowTaskCompleted, attributes)
}

/// The first workflow task fails after 30 ms.
fn failed_workflow_task() -> Vec<HistoryEvent> {
    let failed = WorkflowTaskFailedEventAttributes {
        scheduled_event_id: 2,
        cause: WorkflowTaskFailedCause::NonDeterministicError.into(),
        failure: Some(Failure { message: "no such timer".into(), ..Default::default() }),
        ..Default::default()
    };
    let attributes = Attributes::WorkflowTaskFailedEventAttributes(failed);
    let failed = event(4, 30, EventType::WorkflowTaskFailed, attributes);
    [beginning(), vec![workflow_task_started(3, 20), failed]].concat()
}

fn lines(timeline: &Timeline) -> Vec<String> {
    text(timeline, "http://a:1", "default", STYLE).lines().map(Into::into).collect()
}
