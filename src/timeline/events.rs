//! A history's events, one after the other, as rows.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use temporalio_common::protos::temporal::api::{
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::{EventType, TaskQueueKind},
    failure::v1::Failure,
    history::v1::{
        HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes,
    },
    sdk::v1::UserMetadata,
    taskqueue::v1::TaskQueue,
};

use super::model::{Kind, Row, Run, State, Timeline};
use crate::temporal::{history::failure_text, payload};

/// Takes a history, event by event, and keeps of it what a timeline shows: no payloads.
#[derive(Debug, Default)]
pub(super) struct Builder {
    run: Option<Run>,
    pub(super) rows: Vec<Row>,
    /// The rows by the event that later events name.
    pub(super) by_event: HashMap<i64, usize>,
    /// The workflow task that runs, or ran last.
    pub(super) workflow_task: Option<usize>,
    /// When the last workflow task ended, if it failed.
    pub(super) failed_at: Option<SystemTime>,
    /// The first local activity of a workflow task: the workflow task's row, and the worker's time.
    pub(super) local_base: Option<(usize, SystemTime)>,
    other: BTreeMap<String, usize>,
    events: u64,
    last: Option<SystemTime>,
}

/// A point in time as `prost` has it; none where it stands for none.
pub(super) fn time(it: Option<impl TryInto<SystemTime>>) -> Option<SystemTime> {
    it.and_then(|it| it.try_into().ok()).filter(|it| *it > SystemTime::UNIX_EPOCH)
}

pub(super) fn duration(it: Option<impl TryInto<Duration>>) -> Option<Duration> {
    it.and_then(|it| it.try_into().ok())
}

/// The words of one of Temporal's enumerations, without what all its values begin with.
pub(super) fn plain(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).replace('_', " ").to_lowercase()
}

pub(super) fn said(failure: Option<&Failure>) -> Option<String> {
    failure.map(failure_text).filter(|text| !text.is_empty())
}

pub(super) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A worker's version, as `deployment:build`.
pub(super) fn version(it: &WorkerDeploymentVersion) -> String {
    format!("{}:{}", it.deployment_name, it.build_id)
}

pub(super) fn queue(it: Option<&TaskQueue>) -> String {
    let Some(it) = it else { return String::new() };
    // A sticky queue is one worker's, and its name says nothing.
    if is_sticky(it) { it.normal_name.clone() } else { it.name.clone() }
}

pub(super) fn is_sticky(it: &TaskQueue) -> bool {
    it.kind() == TaskQueueKind::Sticky && !it.normal_name.is_empty()
}

fn summary(metadata: Option<&UserMetadata>) -> Option<String> {
    let summary = metadata?.summary.as_ref()?;
    Some(payload::line(Some(summary)))
}

impl Builder {
    /// The next event.
    pub(super) fn add(&mut self, event: HistoryEvent) {
        self.events += 1;
        let at = time(event.event_time).or(self.last).unwrap_or(SystemTime::UNIX_EPOCH);
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        let (id, of_type) = (event.event_id, event.event_type());
        let summary = summary(event.user_metadata.as_ref());
        let known = event.attributes.is_some_and(|it| {
            self.of_the_run(id, at, &it)
                || self.of_a_task(id, at, &it)
                || self.of_another(id, at, &it)
                || self.of_a_child(id, at, &it)
                || self.of_nexus(id, at, &it)
        });
        match (self.by_event.get(&id), &mut self.run) {
            (Some(&index), _) => self.rows[index].summary = summary,
            (None, Some(run)) if of_type == EventType::WorkflowExecutionStarted => {
                run.summary = summary;
            }
            _ => {}
        }
        if !known {
            let name = match of_type {
                EventType::Unspecified => "unknown".to_owned(),
                it => plain(it.as_str_name(), "EVENT_TYPE_"),
            };
            *self.other.entry(name).or_default() += 1;
        }
    }

    /// The timeline so far. `None`: no event was the run's start.
    pub(super) fn build(mut self, run_id: &str, now: SystemTime) -> Option<Timeline> {
        let mut run = self.run?;
        run_id.clone_into(&mut run.run_id);
        run.events = self.events;
        if run.closed.is_some() {
            for row in self.rows.iter_mut().filter(|row| row.state.is_open()) {
                row.state = State::Abandoned;
                row.ended = run.closed;
            }
        }
        self.rows.sort_by_key(|row| row.at); // stable: of one time, as in the history
        let now = now.max(self.last.unwrap_or(now)); // the server's clock may be ahead
        Some(Timeline {
            until: run.closed.unwrap_or(now),
            run,
            rows: self.rows,
            waits: Vec::new(),
            other: self.other,
        })
    }

    pub(super) fn push(&mut self, row: Row) -> &mut Row {
        self.by_event.insert(row.event_id, self.rows.len());
        self.rows.push(row);
        self.rows.last_mut().expect("just pushed")
    }

    pub(super) fn row(&mut self, event_id: i64) -> Option<&mut Row> {
        self.by_event.get(&event_id).map(|&index| &mut self.rows[index])
    }

    pub(super) fn end(
        &mut self,
        event_id: i64,
        at: SystemTime,
        state: State,
        failure: Option<String>,
    ) {
        if let Some(row) = self.row(event_id) {
            row.state = state;
            row.ended = Some(at);
            row.failure = failure;
        }
    }

    /// Something that happens at one time.
    pub(super) fn moment(&mut self, kind: Kind, id: i64, at: SystemTime) -> &mut Row {
        let row = self.push(Row::new(kind, id, at));
        row.state = State::Completed;
        row.ended = Some(at);
        row
    }

    fn close(&mut self, at: SystemTime, status: &'static str, why: Option<String>, next: &str) {
        if let Some(run) = &mut self.run {
            run.closed = Some(at);
            run.status = status;
            run.failure = why.or_else(|| run.failure.take());
            run.next_run = some(next);
        }
    }

    /// An event of the run itself: whether it was one.
    fn of_the_run(&mut self, id: i64, at: SystemTime, event: &Attributes) -> bool {
        use Attributes as A;
        match event {
            A::WorkflowExecutionStartedEventAttributes(it) => self.run = Some(started(it, at)),
            A::WorkflowExecutionCompletedEventAttributes(it) => {
                self.close(at, "completed", None, &it.new_execution_run_id);
            }
            A::WorkflowExecutionFailedEventAttributes(it) => {
                self.close(at, "failed", said(it.failure.as_ref()), &it.new_execution_run_id);
            }
            A::WorkflowExecutionTimedOutEventAttributes(it) => {
                self.close(at, "timed out", None, &it.new_execution_run_id);
            }
            A::WorkflowExecutionCanceledEventAttributes(_) => self.close(at, "cancelled", None, ""),
            A::WorkflowExecutionTerminatedEventAttributes(it) => {
                self.close(at, "terminated", some(&it.reason), "");
            }
            A::WorkflowExecutionContinuedAsNewEventAttributes(it) => {
                self.close(at, "continued as new", None, &it.new_execution_run_id);
            }
            A::WorkflowExecutionPausedEventAttributes(it) => {
                let row = self.moment(Kind::Pause, id, at);
                row.name.clone_from(&it.identity);
                row.failure = some(&it.reason);
            }
            A::WorkflowExecutionUnpausedEventAttributes(it) => {
                let row = self.moment(Kind::Unpause, id, at);
                row.name.clone_from(&it.identity);
                row.failure = some(&it.reason);
            }
            A::WorkflowExecutionSignaledEventAttributes(it) => {
                self.moment(Kind::Signal, id, at).name.clone_from(&it.signal_name);
            }
            A::WorkflowExecutionCancelRequestedEventAttributes(it) => {
                self.moment(Kind::CancelRequest, id, at).failure = some(&it.cause);
                if let Some(run) = &mut self.run {
                    run.failure = some(&it.cause); // until it ends in another way
                }
            }
            _ => return false,
        }
        true
    }
}

fn started(it: &WorkflowExecutionStartedEventAttributes, at: SystemTime) -> Run {
    let delay = duration(it.first_workflow_task_backoff).filter(|it| !it.is_zero());
    Run {
        workflow_id: it.workflow_id.clone(),
        run_id: it.original_execution_run_id.clone(),
        workflow_type: it.workflow_type.clone().unwrap_or_default().name,
        task_queue: queue(it.task_queue.as_ref()),
        status: "running",
        started: at,
        begins: delay.map(|delay| at + delay),
        closed: None,
        started_by: it.identity.clone(),
        summary: None,
        failure: None,
        attempt: u32::try_from(it.attempt).unwrap_or(1).max(1),
        parent: it.parent_workflow_execution.as_ref().and_then(|it| some(&it.workflow_id)),
        previous_run: some(&it.continued_execution_run_id),
        next_run: None,
        events: 0,
    }
}
