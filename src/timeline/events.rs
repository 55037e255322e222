//! Builds a timeline from a history, event by event.

use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{
    local_times::LocalActivities,
    model::{RunStatus, Timeline, WorkflowRun},
    proto::{enum_words, failure_message, non_empty, summary, time, with_details},
    row::{Kind, Row, RowStatus},
    start::started_run,
};

/// Takes the events of a history, and keeps what a timeline shows of them. Payloads are dropped.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) run: Option<WorkflowRun>,
    pub(super) rows: Vec<Row>,
    /// The index of a row by the id of the event that later events refer to.
    pub(super) by_event: HashMap<i64, usize>,
    /// The index of the workflow task that was started last.
    pub(super) workflow_task: Option<usize>,
    /// When the last workflow task ended, if it failed.
    pub(super) failed_at: Option<SystemTime>,
    pub(super) local: LocalActivities,
    other: BTreeMap<String, usize>,
    events: u64,
    last: Option<SystemTime>,
}

impl Builder {
    /// Adds the next event.
    pub(super) fn add(&mut self, event: HistoryEvent) {
        self.events += 1;
        let at = time(event.event_time).or(self.last).unwrap_or(SystemTime::UNIX_EPOCH);
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        let (id, event_type) = (event.event_id, event.event_type());
        let summary = summary(event.user_metadata.as_ref());
        let is_shown = event.attributes.is_some_and(|attributes| {
            let is_shown = self.add_attributes(id, at, &attributes);
            self.add_failure_chain(id, &attributes);
            is_shown
        });
        match (self.by_event.get(&id), &mut self.run) {
            (Some(&index), _) => self.rows[index].summary = summary,
            (None, Some(run)) if event_type == EventType::WorkflowExecutionStarted => {
                run.summary = summary;
            }
            _ => {}
        }
        self.local.note(event_type);
        if !is_shown {
            let name = match event_type {
                EventType::Unspecified => "unknown".to_owned(),
                known => enum_words(known.as_str_name(), "EVENT_TYPE_"),
            };
            *self.other.entry(name).or_default() += 1;
        }
    }

    /// Adds an event by its attributes. Returns whether the timeline shows such events; so do the
    /// `add_…_event` functions, each for events of its own.
    fn add_attributes(&mut self, id: i64, at: SystemTime, attributes: &Attributes) -> bool {
        self.add_run_event(id, at, attributes)
            || self.add_workflow_task_event(id, at, attributes)
            || self.add_activity_event(id, at, attributes)
            || self.add_marker_event(id, at, attributes)
            || self.add_timer_event(id, at, attributes)
            || self.add_update_event(id, at, attributes)
            || self.add_external_event(id, at, attributes)
            || self.add_child_event(id, at, attributes)
            || self.add_nexus_event(id, at, attributes)
    }

    /// The timeline so far. `None` if the run's start is not among the events.
    pub(super) fn build(mut self, run_id: &str, now: SystemTime) -> Option<Timeline> {
        self.place_local_activities();
        self.end_start_wait();
        let mut run = self.run?;
        run_id.clone_into(&mut run.run_id);
        run.events = self.events;
        if run.closed.is_some() {
            for row in self.rows.iter_mut().filter(|row| row.status.is_open()) {
                row.status = RowStatus::Abandoned;
                row.ended = run.closed;
            }
        }
        self.rows.sort_by_key(|row| row.at); // The sort is stable.
        let now = now.max(self.last.unwrap_or(now)); // The server's clock may be ahead.
        Some(Timeline {
            // Two hosts of the server may have stamped the start and the end.
            until: run.closed.unwrap_or(now).max(run.started),
            run,
            rows: self.rows,
            waits: Vec::new(),
            other: self.other,
            skew: None,
        })
    }

    /// The time of the latest event.
    pub(super) fn newest(&self) -> Option<SystemTime> {
        self.last
    }

    /// The task queue of the run, if that is open.
    pub(super) fn open_queue(&self) -> Option<&str> {
        let open = self.run.as_ref().filter(|run| run.closed.is_none());
        open.map(|run| run.task_queue.as_str())
    }

    pub(super) fn push(&mut self, row: Row) -> &mut Row {
        self.by_event.insert(row.event_id, self.rows.len());
        self.rows.push(row);
        self.rows.last_mut().expect("just pushed")
    }

    pub(super) fn row(&mut self, event_id: i64) -> Option<&mut Row> {
        self.by_event.get(&event_id).map(|&index| &mut self.rows[index])
    }

    /// Ends the row that began with event `event_id`.
    pub(super) fn end(
        &mut self,
        event_id: i64,
        at: SystemTime,
        status: RowStatus,
        failure: Option<String>,
    ) {
        if let Some(row) = self.row(event_id) {
            row.status = status;
            row.ended = Some(at);
            row.failure = failure;
        }
    }

    /// Adds a row for something that takes no time.
    pub(super) fn push_moment(&mut self, kind: Kind, id: i64, at: SystemTime) -> &mut Row {
        let row = self.push(Row::new(kind, id, at));
        row.status = RowStatus::Completed;
        row.ended = Some(at);
        row
    }

    fn close(&mut self, at: SystemTime, status: RunStatus, failure: Option<String>, next: &str) {
        if let Some(run) = &mut self.run {
            run.closed = Some(at);
            run.status = status;
            run.failure = failure.or_else(|| run.failure.take());
            run.next_run = non_empty(next);
        }
    }

    /// Adds an event of the run itself.
    fn add_run_event(&mut self, id: i64, at: SystemTime, attributes: &Attributes) -> bool {
        use Attributes as A;
        match attributes {
            A::WorkflowExecutionStartedEventAttributes(event) => {
                let run = started_run(event, at);
                self.add_start_wait(id, &run);
                self.run = Some(run);
            }
            A::WorkflowExecutionPausedEventAttributes(event) => {
                let row = self.push_moment(Kind::Pause, id, at);
                row.name.clone_from(&event.identity);
                row.failure = non_empty(&event.reason);
            }
            A::WorkflowExecutionUnpausedEventAttributes(event) => {
                let row = self.push_moment(Kind::Unpause, id, at);
                row.name.clone_from(&event.identity);
                row.failure = non_empty(&event.reason);
            }
            A::WorkflowExecutionSignaledEventAttributes(event) => {
                self.push_moment(Kind::Signal, id, at).name.clone_from(&event.signal_name);
            }
            A::WorkflowExecutionCancelRequestedEventAttributes(event) => {
                let row = self.push_moment(Kind::CancelRequest, id, at);
                row.name.clone_from(&event.identity);
                row.failure = non_empty(&event.cause);
                if let Some(run) = &mut self.run {
                    run.failure = non_empty(&event.cause); // A later failure replaces it.
                    run.cancel_requested = Some(at);
                }
            }
            other => return self.add_closing_event(at, other),
        }
        true
    }

    /// Adds a row for the time that the server holds the run back.
    fn add_start_wait(&mut self, id: i64, run: &WorkflowRun) {
        let Some((wait, begins)) = run.start_wait.zip(run.begins) else { return };
        let mut row = Row::new(Kind::StartWait, id, run.started);
        wait.as_str().clone_into(&mut row.name);
        row.due = Some(begins);
        self.rows.push(row); // Nothing refers to it, and the summary of this event is the run's.
    }

    /// Ends that row with the first workflow task, which a signal can bring forward.
    fn end_start_wait(&mut self) {
        let is_task = |row: &&Row| row.kind == Kind::WorkflowTask;
        let first_task = self.rows.iter().find(is_task).map(|row| row.at);
        let row = self.rows.first_mut().filter(|row| row.kind == Kind::StartWait);
        if let Some((row, at)) = row.zip(first_task) {
            row.status = RowStatus::Completed;
            row.ended = Some(at);
            row.due = None;
        }
    }

    /// Adds the event that closes the run.
    fn add_closing_event(&mut self, at: SystemTime, attributes: &Attributes) -> bool {
        use Attributes as A;
        let (status, failure, next) = match attributes {
            A::WorkflowExecutionCompletedEventAttributes(event) => {
                (RunStatus::Completed, None, event.new_execution_run_id.as_str())
            }
            A::WorkflowExecutionFailedEventAttributes(event) => {
                let failure = failure_message(event.failure.as_ref());
                (RunStatus::Failed, failure, event.new_execution_run_id.as_str())
            }
            A::WorkflowExecutionTimedOutEventAttributes(event) => {
                (RunStatus::TimedOut, None, event.new_execution_run_id.as_str())
            }
            A::WorkflowExecutionCanceledEventAttributes(event) => {
                let reason = self.run.as_ref().and_then(|run| run.failure.as_deref());
                (RunStatus::Cancelled, with_details(reason, event.details.as_ref()), "")
            }
            A::WorkflowExecutionTerminatedEventAttributes(event) => {
                if let Some(run) = &mut self.run {
                    run.terminated_by = non_empty(&event.identity);
                }
                let reason = Some(event.reason.as_str()).filter(|reason| !reason.is_empty());
                (RunStatus::Terminated, with_details(reason, event.details.as_ref()), "")
            }
            A::WorkflowExecutionContinuedAsNewEventAttributes(event) => {
                (RunStatus::ContinuedAsNew, None, event.new_execution_run_id.as_str())
            }
            _ => return false,
        };
        self.close(at, status, failure, next);
        true
    }
}
