//! What the history does not hold yet of a run that goes on: pending tasks, and what it waits for.

use std::{collections::BTreeSet, time::SystemTime};

use temporalio_common::protos::temporal::api::{
    enums::v1::{PendingActivityState, PendingWorkflowTaskState},
    workflow::v1::{PendingActivityInfo, PendingWorkflowTaskInfo},
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::{
    events::{said, some, time, version},
    model::{Kind, Row, State, Timeline, Wait, short, since},
};
use crate::temporal::task_queue::TaskKind;

impl Timeline {
    /// Adds what the server told of pending work, a moment before the history was read: where the
    /// two differ, the history is right. `failed_at` is when the last workflow task ended, if it
    /// failed.
    pub(super) fn add_pending(
        &mut self,
        told: &DescribeWorkflowExecutionResponse,
        failed_at: Option<SystemTime>,
    ) {
        if self.run.closed.is_some() {
            return;
        }
        if let Some(task) = &told.pending_workflow_task {
            self.add_workflow_task(task, failed_at);
            self.rows.sort_by_key(|row| row.at);
        }
        for activity in &told.pending_activities {
            let open =
                |row: &&mut Row| row.kind == Kind::Activity && row.id == activity.activity_id;
            let until = self.until;
            if let Some(row) =
                self.rows.iter_mut().rev().find(open).filter(|row| row.state.is_open())
            {
                add_activity(row, activity, until);
            }
        }
        let paused = told.workflow_extended_info.as_ref().and_then(|it| it.pause_info.as_ref());
        if let Some(pause) = paused {
            self.run.status = "paused";
            let since = time(pause.paused_time).unwrap_or(self.until);
            let mut text = format!("paused by {}", pause.identity);
            if let Some(reason) = some(&pause.reason) {
                text = format!("{text}: {reason}");
            }
            self.waits.push(Wait {
                kind: None,
                name: String::new(),
                id: String::new(),
                since,
                unserved: false,
                text,
            });
        }
    }

    fn add_workflow_task(&mut self, task: &PendingWorkflowTaskInfo, failed_at: Option<SystemTime>) {
        let scheduled = time(task.scheduled_time).unwrap_or(self.until);
        let open = |row: &Row| row.kind == Kind::WorkflowTask && row.state.is_open();
        let index = if let Some(index) = self.rows.iter().rposition(open) {
            index
        } else if self.rows.iter().any(|row| row.queued.is_some_and(|at| at >= scheduled)) {
            return; // the history has gone on since
        } else {
            // The history has no event of an attempt after the first until it succeeds.
            let mut row = Row::new(Kind::WorkflowTask, 0, failed_at.unwrap_or(scheduled));
            row.task_queue.clone_from(&self.run.task_queue);
            self.rows.push(row);
            self.rows.len() - 1
        };
        let (until, row) = (self.until, &mut self.rows[index]);
        row.attempt = u32::try_from(task.attempt).unwrap_or(1).max(1);
        row.queued = Some(scheduled.min(until));
        row.state = match task.state() {
            PendingWorkflowTaskState::Started => State::Running,
            _ if scheduled > until => State::BackingOff,
            _ => State::Queued,
        };
        row.due = (row.state == State::BackingOff).then_some(scheduled);
        row.started =
            time(task.started_time).filter(|_| row.state == State::Running).or(row.started);
    }

    /// The queues in which tasks of this run wait now.
    pub(super) fn queues(&self) -> BTreeSet<(TaskKind, String)> {
        let in_queue = |row: &&Row| row.state == State::Queued && row.sticky_to.is_none();
        let waiting = self.rows.iter().filter(in_queue);
        waiting.filter_map(|row| Some((task_kind(row.kind)?, row.task_queue.clone()))).collect()
    }

    /// Says what the run waits for, knowing which of its queues nobody polls.
    pub(super) fn add_waits(&mut self, unserved: &BTreeSet<(TaskKind, String)>) {
        if self.run.closed.is_some() {
            return;
        }
        let last_failure = self.rows.iter().rev().find_map(|row| {
            let failed = row.kind == Kind::WorkflowTask && !row.state.is_open();
            failed.then(|| row.failure.clone())
        });
        let mut waits = Vec::new();
        for row in self.rows.iter_mut().filter(|row| row.state.is_open()) {
            if row.kind == Kind::WorkflowTask && row.attempt > 1 {
                row.last_failure = row.last_failure.take().or(last_failure.clone().flatten());
            }
            let nobody = task_kind(row.kind)
                .is_some_and(|kind| unserved.contains(&(kind, row.task_queue.clone())));
            let unserved = nobody && row.state == State::Queued && row.sticky_to.is_none();
            waits.push(wait(row, unserved, self.until));
        }
        if let Some(begins) = self.run.begins.filter(|begins| *begins > self.until) {
            let text = format!("its start, in {}", short(since(self.until, begins)));
            waits.push(plain_wait(self.run.started, text));
        }
        if waits.is_empty() && self.waits.is_empty() {
            let last = self.rows.iter().filter_map(|row| row.ended).max();
            let text = "no task, timer or child workflow: for a signal, an update or something \
                        else that its code waits for"
                .to_owned();
            waits.push(plain_wait(last.unwrap_or(self.run.started), text));
        }
        self.waits.append(&mut waits);
    }
}

/// The attempt that is known to have failed: of an activity the last one, of a workflow task the first.
pub(super) fn earlier(row: &Row) -> String {
    match (row.kind, row.attempt) {
        (Kind::WorkflowTask, _) => "attempt 1 failed".to_owned(),
        (_, attempt) => format!("attempt {} failed", attempt.max(2) - 1),
    }
}

fn plain_wait(since: SystemTime, text: String) -> Wait {
    Wait { kind: None, name: String::new(), id: String::new(), since, unserved: false, text }
}

fn task_kind(kind: Kind) -> Option<TaskKind> {
    match kind {
        Kind::WorkflowTask => Some(TaskKind::Workflow),
        Kind::Activity => Some(TaskKind::Activity),
        _ => None,
    }
}

fn add_activity(row: &mut Row, told: &PendingActivityInfo, until: SystemTime) {
    row.attempt = u32::try_from(told.attempt).unwrap_or(1).max(1);
    row.worker.clone_from(&told.last_worker_identity);
    row.version = told.last_deployment_version.as_ref().map(version);
    row.last_failure = said(told.last_failure.as_ref());
    row.last_heartbeat = time(told.last_heartbeat_time);
    let scheduled = time(told.scheduled_time);
    let again = row.attempt > 1;
    row.state = match told.state() {
        _ if told.paused => State::Paused,
        PendingActivityState::Started | PendingActivityState::CancelRequested => State::Running,
        PendingActivityState::Paused | PendingActivityState::PauseRequested => State::Paused,
        _ if again && scheduled.is_some_and(|at| at > until) => State::BackingOff,
        _ => State::Queued,
    };
    match row.state {
        State::Running => {
            row.started = time(told.last_started_time);
            if again {
                row.queued = None;
            }
        }
        State::Queued if again => row.queued = scheduled,
        State::BackingOff => {
            row.queued = None;
            row.due = scheduled;
        }
        State::Paused if again => row.queued = None,
        _ => {}
    }
}

/// An open row in words.
fn wait(row: &Row, unserved: bool, until: SystemTime) -> Wait {
    let mut text = row.label();
    if row.kind == Kind::Activity {
        text = format!("{text} (id {})", row.id);
    }
    if row.attempt > 1 {
        text = format!("{text}, attempt {}", row.attempt);
    }
    let from = match row.state {
        State::Queued => row.queued,
        State::Running => row.started,
        _ => None,
    };
    let from = from.unwrap_or(row.at);
    let ago = short(since(from, until));
    let how = match row.state {
        State::Queued if row.sticky_to.is_some() => {
            let worker = row.sticky_to.as_deref().unwrap_or_default();
            format!("for {ago} for {worker}, which has the workflow in its cache")
        }
        State::Queued if unserved => {
            format!("in queue {:?} for {ago}, and no worker polls it", row.task_queue)
        }
        State::Queued => format!("in queue {:?} for {ago}", row.task_queue),
        // The SDKs report the first failure of a workflow task only, and let later ones time out.
        State::Running if row.kind == Kind::WorkflowTask && row.attempt > 1 => {
            format!("running for {ago}, or failed again, which shows only when it times out")
        }
        State::Running if row.worker.is_empty() => format!("running for {ago}"),
        State::Running => format!("running for {ago} in {}", row.worker),
        State::Paused => format!("paused, after {ago}"),
        State::BackingOff => match row.due {
            Some(due) => format!("begins in {}", short(since(until, due))),
            None => "is to come".to_owned(),
        },
        _ => match row.due {
            Some(due) => format!("fires in {}", short(since(until, due))),
            None => format!("for {ago}"),
        },
    };
    text = format!("{text}: {how}");
    if let Some(heartbeat) = row.last_heartbeat.filter(|_| row.state == State::Running) {
        text = format!("{text}, last heartbeat {} ago", short(since(heartbeat, until)));
    }
    if let Some(failure) = &row.last_failure {
        text = format!("{text}; {}: {failure}", earlier(row));
    }
    Wait {
        kind: Some(row.kind),
        name: row.name.clone(),
        id: row.id.clone(),
        since: from,
        unserved,
        text,
    }
}
