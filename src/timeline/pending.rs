//! What the history of an open run does not contain yet: pending tasks, and what the run waits for.

use std::{collections::BTreeSet, time::SystemTime};

use temporalio_common::protos::temporal::api::{
    enums::v1::{PendingActivityState, PendingNexusOperationState, PendingWorkflowTaskState},
    workflow::v1::{
        PendingActivityInfo, PendingNexusOperationInfo, PendingWorkflowTaskInfo,
        WorkflowExecutionPauseInfo,
        pending_activity_info::{PauseInfo, pause_info::PausedBy},
    },
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::{
    model::{RunStatus, Timeline, Wait},
    proto::{attempt, failure_message, non_empty, time, version},
    row::{Kind, Pause, Row, RowStatus, since},
};
use crate::{
    temporal::{failure::FailureChain, task_queue::TaskKind},
    terminal::duration::short,
};

impl Timeline {
    /// Adds the pending work that the server reported. The report is a moment older than the
    /// history, which prevails where the two differ. `failed_at` is when the last workflow task
    /// ended, if it failed.
    pub(super) fn add_pending(
        &mut self,
        described: &DescribeWorkflowExecutionResponse,
        failed_at: Option<SystemTime>,
    ) {
        let extended = described.workflow_extended_info.as_ref();
        self.run.reset_to = extended.and_then(|info| non_empty(&info.reset_run_id));
        if self.run.closed.is_some() {
            return;
        }
        if let Some(task) = &described.pending_workflow_task {
            self.add_workflow_task(task, failed_at);
            self.rows.sort_by_key(|row| row.at);
        }
        for activity in &described.pending_activities {
            self.add_activity(activity);
        }
        for operation in &described.pending_nexus_operations {
            let row = self.rows.iter_mut().find(|row| row.event_id == operation.scheduled_event_id);
            if let Some(row) = row.filter(|row| row.kind == Kind::NexusOperation) {
                update_nexus_operation(row, operation);
            }
        }
        if let Some(pause) = extended.and_then(|info| info.pause_info.as_ref()) {
            self.add_pause(pause);
        }
    }

    fn add_workflow_task(&mut self, task: &PendingWorkflowTaskInfo, failed_at: Option<SystemTime>) {
        let scheduled = time(task.scheduled_time).unwrap_or(self.until);
        let is_open_task = |row: &Row| row.kind == Kind::WorkflowTask && row.status.is_open();
        let index = if let Some(index) = self.rows.iter().rposition(is_open_task) {
            index
        } else if self.rows.iter().any(|row| row.queued.is_some_and(|at| at >= scheduled)) {
            return; // The history is newer.
        } else {
            // The history has no event of an attempt after the first one until one succeeds.
            let mut row = Row::new(Kind::WorkflowTask, 0, failed_at.unwrap_or(scheduled));
            row.task_queue.clone_from(&self.run.task_queue);
            self.rows.push(row);
            self.rows.len() - 1
        };
        let (until, row) = (self.until, &mut self.rows[index]);
        row.attempt = attempt(task.attempt);
        row.queued = Some(scheduled.min(until));
        row.status = match task.state() {
            PendingWorkflowTaskState::Started => RowStatus::Running,
            _ if scheduled > until => RowStatus::BackingOff,
            _ => RowStatus::Queued,
        };
        row.due = (row.status == RowStatus::BackingOff).then_some(scheduled);
        row.started =
            time(task.started_time).filter(|_| row.status == RowStatus::Running).or(row.started);
    }

    fn add_activity(&mut self, activity: &PendingActivityInfo) {
        let until = self.until;
        let has_its_id =
            |row: &&mut Row| row.kind == Kind::Activity && row.id == activity.activity_id;
        let row = self.rows.iter_mut().rev().find(has_its_id);
        if let Some(row) = row.filter(|row| row.status.is_open()) {
            update_activity(row, activity, until);
        }
    }

    fn add_pause(&mut self, pause: &WorkflowExecutionPauseInfo) {
        self.run.status = RunStatus::Paused;
        let since = time(pause.paused_time);
        let (by, reason) = (pause.identity.clone(), non_empty(&pause.reason));
        let text = paused(&Pause { since, by, reason }, self.until);
        self.waits.push(Wait::of_run(since.unwrap_or(self.until), text));
    }

    /// The queues in which tasks of this run wait. Sticky queues are left out: each has one worker.
    pub(super) fn queues(&self) -> BTreeSet<(TaskKind, String)> {
        let waiting = self.rows.iter().filter(|row| is_in_shared_queue(row));
        waiting.filter_map(|row| Some((task_kind(row.kind)?, row.task_queue.clone()))).collect()
    }

    /// Fills `waits`. `unserved` are the queues that no worker polls.
    pub(super) fn add_waits(&mut self, unserved: &BTreeSet<(TaskKind, String)>) {
        if self.run.closed.is_some() {
            return;
        }
        let last_failure = self.last_workflow_task_failure();
        for row in self.rows.iter_mut().filter(|row| row.status.is_open()) {
            if row.kind == Kind::WorkflowTask
                && row.attempt > 1
                && let (None, Some((text, chain))) = (&row.last_failure, &last_failure)
            {
                row.last_failure = Some(text.clone());
                row.last_failure_chain.clone_from(chain);
            }
            let has_no_poller = task_kind(row.kind)
                .is_some_and(|kind| unserved.contains(&(kind, row.task_queue.clone())));
            let unserved = has_no_poller && is_in_shared_queue(row);
            self.waits.push(wait(row, unserved, self.until));
        }
        if self.waits.is_empty() {
            let last_end = self.rows.iter().filter_map(|row| row.ended).max();
            let text = "a signal, an update or another condition in its code: no task, timer or \
                        child workflow is pending";
            let since = last_end.unwrap_or(self.run.started);
            self.waits.push(Wait::of_run(since, text.to_owned()));
        }
    }

    /// The failure of the last workflow task that has ended, if it failed.
    fn last_workflow_task_failure(&self) -> Option<(String, FailureChain)> {
        let has_ended = |row: &&Row| row.kind == Kind::WorkflowTask && !row.status.is_open();
        let row = self.rows.iter().rev().find(has_ended)?;
        Some((row.failure.clone()?, row.failure_chain.clone()))
    }
}

/// Which earlier attempt is known to have failed: the previous one of an activity, the first one of
/// a workflow task.
pub(super) fn earlier_failure(row: &Row) -> String {
    match (row.kind, row.attempt) {
        (Kind::WorkflowTask, _) => "attempt 1 failed".to_owned(),
        (_, attempt) => format!("attempt {} failed", attempt.max(2) - 1),
    }
}

/// Whether it is in a queue that any worker may poll.
fn is_in_shared_queue(row: &Row) -> bool {
    row.status == RowStatus::Queued && row.sticky_to.is_none()
}

fn task_kind(kind: Kind) -> Option<TaskKind> {
    match kind {
        Kind::WorkflowTask => Some(TaskKind::Workflow),
        Kind::Activity => Some(TaskKind::Activity),
        _ => None,
    }
}

fn update_activity(row: &mut Row, activity: &PendingActivityInfo, until: SystemTime) {
    row.attempt = attempt(activity.attempt);
    row.worker.clone_from(&activity.last_worker_identity);
    row.version = activity.last_deployment_version.as_ref().map(version);
    row.last_failure = failure_message(activity.last_failure.as_ref());
    row.last_failure_chain = FailureChain::of(activity.last_failure.as_ref());
    row.last_heartbeat = time(activity.last_heartbeat_time);
    row.pause = activity.pause_info.as_ref().map(pause_of_activity);
    let scheduled = time(activity.scheduled_time);
    let is_retry = row.attempt > 1;
    row.status = match activity.state() {
        // A worker that runs it goes on. It is the next attempt that the pause prevents.
        PendingActivityState::Started
        | PendingActivityState::CancelRequested
        | PendingActivityState::PauseRequested => RowStatus::Running,
        _ if activity.paused => RowStatus::Paused,
        PendingActivityState::Paused => RowStatus::Paused,
        _ if is_retry && scheduled.is_some_and(|at| at > until) => RowStatus::BackingOff,
        _ => RowStatus::Queued,
    };
    match row.status {
        RowStatus::Running => {
            row.started = time(activity.last_started_time);
            if is_retry {
                row.queued = None;
            }
        }
        RowStatus::Queued if is_retry => row.queued = scheduled,
        RowStatus::BackingOff => {
            row.queued = None;
            row.due = scheduled;
        }
        RowStatus::Paused if is_retry => row.queued = None,
        _ => {}
    }
}

fn pause_of_activity(pause: &PauseInfo) -> Pause {
    let since = time(pause.pause_time);
    match &pause.paused_by {
        Some(PausedBy::Manual(manual)) => {
            Pause { since, by: manual.identity.clone(), reason: non_empty(&manual.reason) }
        }
        Some(PausedBy::Rule(rule)) => {
            let by = format!("{} by rule {}", rule.identity, rule.rule_id);
            Pause { since, by, reason: non_empty(&rule.reason) }
        }
        None => Pause { since, by: String::new(), reason: None },
    }
}

fn update_nexus_operation(row: &mut Row, operation: &PendingNexusOperationInfo) {
    row.last_failure = failure_message(operation.last_attempt_failure.as_ref());
    // The server counts the attempts that have ended. A started operation has no further one.
    let has_started = operation.state() == PendingNexusOperationState::Started;
    let ended = u32::try_from(operation.attempt).unwrap_or_default();
    row.attempt = if has_started { ended.max(1) } else { ended + 1 };
    match operation.state() {
        PendingNexusOperationState::BackingOff => {
            row.status = RowStatus::BackingOff;
            row.due = time(operation.next_attempt_schedule_time);
        }
        PendingNexusOperationState::Blocked => {
            row.status = RowStatus::Blocked;
            row.failure = non_empty(&operation.blocked_reason);
        }
        _ => {}
    }
    let cancellation = operation.cancellation_info.as_ref();
    if let Some((request, info)) = row.cancel_request.as_mut().zip(cancellation) {
        let failure = failure_message(info.last_attempt_failure.as_ref());
        request.failure = failure.or_else(|| non_empty(&info.blocked_reason));
    }
}

/// Who paused it, when and why.
fn paused(pause: &Pause, until: SystemTime) -> String {
    let mut text = "paused".to_owned();
    if let Some(at) = pause.since {
        text = format!("{text} {} ago", short(since(at, until)));
    }
    if !pause.by.is_empty() {
        text = format!("{text} by {}", pause.by);
    }
    if let Some(reason) = &pause.reason {
        text = format!("{text}: {reason}");
    }
    text
}

/// The wait for an open row.
fn wait(row: &Row, unserved: bool, until: SystemTime) -> Wait {
    let since_when = match row.status {
        RowStatus::Queued => row.queued,
        RowStatus::Running => row.started,
        _ => None,
    };
    let from = since_when.unwrap_or(row.at);
    let mut text = format!("{}: {}", subject(row), progress(row, unserved, from, until));
    if let Some(heartbeat) = row.last_heartbeat.filter(|_| row.status == RowStatus::Running) {
        text = format!("{text}, last heartbeat {} ago", short(since(heartbeat, until)));
    }
    if let Some(request) = &row.cancel_request {
        text = format!("{text}, cancel requested {} ago", short(since(request.at, until)));
        if let Some(failure) = &request.failure {
            text = format!("{text}, which failed: {failure}");
        }
    }
    if let Some(pause) = row.pause.as_ref().filter(|_| row.status != RowStatus::Paused) {
        text = format!("{text}, {}", paused(pause, until));
    }
    if let Some(failure) = &row.last_failure {
        text = format!("{text}; {}: {failure}", earlier_failure(row));
    }
    Wait {
        kind: Some(row.kind),
        name: row.name.clone(),
        id: row.id.clone(),
        since: from,
        unserved,
        text,
        failure_chain: row.last_failure_chain.clone(),
    }
}

/// What an open row is, with the id that `temporal activity` commands need.
fn subject(row: &Row) -> String {
    let mut text = match row.kind {
        Kind::StartWait => "its start".to_owned(),
        _ => row.label(),
    };
    if row.kind == Kind::Activity {
        text = format!("{text} (id {})", row.id);
    }
    if row.attempt > 1 {
        text = format!("{text}, attempt {}", row.attempt);
    }
    text
}

/// Describes the progress of an open row, and since when (`from`) it has been in that state.
fn progress(row: &Row, unserved: bool, from: SystemTime, until: SystemTime) -> String {
    let ago = short(since(from, until));
    let queue = &row.task_queue;
    match (row.status, &row.sticky_to, row.due) {
        (RowStatus::Queued, Some(worker), _) => {
            format!("for {ago} for {worker}, which has the workflow in its cache")
        }
        (RowStatus::Queued, None, _) if unserved => {
            format!("in queue {queue:?} for {ago}, and no worker polls it")
        }
        (RowStatus::Queued, None, _) => format!("in queue {queue:?} for {ago}"),
        // The SDKs report only the first failure of a workflow task, and let later ones time out.
        (RowStatus::Running, ..) if row.kind == Kind::WorkflowTask && row.attempt > 1 => {
            format!("running for {ago}, or failed again, which shows only when it times out")
        }
        (RowStatus::Running, ..) if row.worker.is_empty() => format!("running for {ago}"),
        (RowStatus::Running, ..) => format!("running for {ago} in {}", row.worker),
        (RowStatus::Paused, ..) => match &row.pause {
            Some(pause) => paused(pause, until),
            None => format!("paused, after {ago}"),
        },
        (RowStatus::Blocked, ..) => match &row.failure {
            Some(reason) => format!("blocked for {ago}: {reason}"),
            None => format!("blocked for {ago}"),
        },
        (_, _, Some(due)) if row.kind == Kind::StartWait => {
            format!("in {} ({})", short(since(until, due)), row.name)
        }
        (RowStatus::BackingOff, _, Some(due)) => format!("begins in {}", short(since(until, due))),
        (RowStatus::BackingOff, _, None) => "not begun yet".to_owned(),
        (_, _, Some(due)) => format!("fires in {}", short(since(until, due))),
        (_, _, None) => format!("for {ago}"),
    }
}
