//! Rows of workflow tasks and activities.

use std::time::SystemTime;

use temporalio_common::protos::temporal::api::{
    enums::v1::{TimeoutType, WorkflowTaskFailedCause},
    failure::v1::failure::FailureInfo,
    history::v1::{
        ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes,
        ActivityTaskTimedOutEventAttributes, WorkflowTaskCompletedEventAttributes,
        WorkflowTaskFailedEventAttributes, WorkflowTaskScheduledEventAttributes,
        WorkflowTaskTimedOutEventAttributes, history_event::Attributes,
    },
};

use super::{
    events::Builder,
    proto::{
        attempt, enum_words, failure_message, is_sticky, non_empty, queue, version, with_details,
    },
    row::{CancelRequest, Kind, Row, RowStatus},
};

impl Builder {
    pub(super) fn add_workflow_task_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::WorkflowTaskScheduledEventAttributes(event) => {
                self.workflow_task_scheduled(id, at, event);
            }
            A::WorkflowTaskStartedEventAttributes(event) => {
                self.workflow_task = self.by_event.get(&event.scheduled_event_id).copied();
                if let Some(row) = self.row(event.scheduled_event_id) {
                    row.status = RowStatus::Running;
                    row.started = Some(at);
                    row.worker.clone_from(&event.identity);
                }
            }
            A::WorkflowTaskCompletedEventAttributes(event) => {
                self.workflow_task_completed(at, event);
            }
            A::WorkflowTaskFailedEventAttributes(event) => self.workflow_task_failed(at, event),
            A::WorkflowTaskTimedOutEventAttributes(event) => {
                self.workflow_task_timed_out(at, event);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn add_activity_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::ActivityTaskScheduledEventAttributes(event) => {
                self.activity_scheduled(id, at, event);
            }
            A::ActivityTaskStartedEventAttributes(event) => self.activity_started(at, event),
            A::ActivityTaskCompletedEventAttributes(event) => {
                self.end(event.scheduled_event_id, at, RowStatus::Completed, None);
            }
            A::ActivityTaskFailedEventAttributes(event) => {
                let failure = failure_message(event.failure.as_ref());
                self.end(event.scheduled_event_id, at, RowStatus::Failed, failure);
            }
            A::ActivityTaskTimedOutEventAttributes(event) => self.activity_timed_out(at, event),
            A::ActivityTaskCancelRequestedEventAttributes(event) => {
                if let Some(row) = self.row(event.scheduled_event_id) {
                    row.cancel_request = Some(CancelRequest { at, failure: None });
                }
            }
            A::ActivityTaskCanceledEventAttributes(event) => {
                let details = with_details(None, event.details.as_ref());
                self.end(event.scheduled_event_id, at, RowStatus::Cancelled, details);
            }
            _ => return false,
        }
        true
    }

    fn workflow_task_scheduled(
        &mut self,
        id: i64,
        at: SystemTime,
        event: &WorkflowTaskScheduledEventAttributes,
    ) {
        self.local_activities_until(at);
        let attempt = attempt(event.attempt);
        // The history does not have the attempts between the first and this one.
        let failed_at = self.failed_at.take().filter(|_| attempt > 1);
        let sticky = event.task_queue.as_ref().is_some_and(is_sticky);
        let last = self.workflow_task.map(|index| self.rows[index].worker.clone());
        let row = self.push(Row::new(Kind::WorkflowTask, id, failed_at.unwrap_or(at)));
        row.queued = Some(at);
        row.status = RowStatus::Queued;
        row.attempt = attempt;
        row.task_queue = queue(event.task_queue.as_ref());
        row.sticky_to = last.filter(|_| sticky);
    }

    fn workflow_task_completed(
        &mut self,
        at: SystemTime,
        event: &WorkflowTaskCompletedEventAttributes,
    ) {
        self.end(event.scheduled_event_id, at, RowStatus::Completed, None);
        #[expect(deprecated, reason = "the field in which unversioned workers send their build id")]
        let build_id =
            event.worker_version.as_ref().and_then(|version| non_empty(&version.build_id));
        if let Some(row) = self.row(event.scheduled_event_id) {
            row.version = event.deployment_version.as_ref().map(version).or(build_id);
        }
    }

    fn workflow_task_failed(&mut self, at: SystemTime, event: &WorkflowTaskFailedEventAttributes) {
        let cause = enum_words(event.cause().as_str_name(), "WORKFLOW_TASK_FAILED_CAUSE_");
        let why = match (benign(event.cause()), failure_message(event.failure.as_ref())) {
            (Some(why), _) => format!("{cause}, which is harmless: {why}"),
            (None, Some(words)) => format!("{cause}: {words}"),
            (None, None) => cause,
        };
        if benign(event.cause()).is_some() {
            self.end(event.scheduled_event_id, at, RowStatus::Repeated, Some(why));
            return;
        }
        if event.cause() == WorkflowTaskFailedCause::ResetWorkflow {
            if let Some(run) = self.run.as_mut() {
                run.reset_from = non_empty(&event.base_run_id);
            }
            // Up to here the run is a copy of an earlier one. The reset came at any time later, and
            // how long this task ran in the earlier one is not known.
            let row = self.row(event.scheduled_event_id);
            let until = row.and_then(|row| row.started.take()).unwrap_or(at);
            self.end(event.scheduled_event_id, until, RowStatus::Repeated, Some(why));
            return;
        }
        self.end(event.scheduled_event_id, at, RowStatus::Failed, Some(why));
        self.failed_at = Some(at);
    }

    fn workflow_task_timed_out(
        &mut self,
        at: SystemTime,
        event: &WorkflowTaskTimedOutEventAttributes,
    ) {
        let sticky_to = self.row(event.scheduled_event_id).and_then(|row| row.sticky_to.clone());
        let why = match (event.timeout_type(), sticky_to) {
            (TimeoutType::ScheduleToStart, Some(worker)) => {
                format!("{worker}, which has the workflow in its cache, did not take it")
            }
            (TimeoutType::ScheduleToStart, None) => "no worker took it in time".to_owned(),
            _ => "its worker did not answer in time".to_owned(),
        };
        self.end(event.scheduled_event_id, at, RowStatus::TimedOut, Some(why));
        self.failed_at = Some(at);
    }

    fn activity_scheduled(
        &mut self,
        id: i64,
        at: SystemTime,
        event: &ActivityTaskScheduledEventAttributes,
    ) {
        let row = self.push(Row::new(Kind::Activity, id, at));
        row.queued = Some(at);
        row.status = RowStatus::Queued;
        row.attempt = 1;
        row.name = event.activity_type.clone().unwrap_or_default().name;
        row.id.clone_from(&event.activity_id);
        row.task_queue = queue(event.task_queue.as_ref());
    }

    /// Adds the start of an activity's last attempt. The history does not have those of other
    /// attempts, and has this one only when the attempt has ended.
    fn activity_started(&mut self, at: SystemTime, event: &ActivityTaskStartedEventAttributes) {
        let Some(row) = self.row(event.scheduled_event_id) else { return };
        row.status = RowStatus::Running;
        row.started = Some(at);
        row.attempt = attempt(event.attempt);
        row.worker.clone_from(&event.identity);
        row.last_failure = failure_message(event.last_failure.as_ref());
        if row.attempt > 1 {
            row.queued = None;
        }
    }

    fn activity_timed_out(&mut self, at: SystemTime, event: &ActivityTaskTimedOutEventAttributes) {
        let failure = event.failure.as_ref();
        let timeout_type = failure.and_then(|failure| match &failure.failure_info {
            Some(FailureInfo::TimeoutFailureInfo(info)) => Some(info.timeout_type()),
            _ => None,
        });
        let why = match timeout_type {
            Some(TimeoutType::Heartbeat) => Some("no heartbeat in time".to_owned()),
            Some(TimeoutType::ScheduleToStart) => Some("no worker took it in time".to_owned()),
            Some(TimeoutType::StartToClose) => {
                Some("its worker did not complete it in time".to_owned())
            }
            Some(TimeoutType::ScheduleToClose) => Some("not completed in time".to_owned()),
            _ => failure_message(failure),
        };
        let before = failure.and_then(|failure| failure_message(failure.cause.as_deref()));
        if let Some(row) = self.row(event.scheduled_event_id) {
            if row.started.is_none() && before.is_some() {
                row.queued = None; // It was between two attempts.
            }
            row.last_failure = row.last_failure.take().or(before);
        }
        self.end(event.scheduled_event_id, at, RowStatus::TimedOut, why);
    }
}

/// Why a workflow task was to be done again, if it was no fault of the worker or of the code.
fn benign(cause: WorkflowTaskFailedCause) -> Option<&'static str> {
    use WorkflowTaskFailedCause as Cause;
    match cause {
        Cause::UnhandledCommand => Some("a signal or another event arrived while it ran"),
        Cause::UnhandledUpdate => Some("an update arrived while it ran"),
        Cause::ResetStickyTaskQueue => Some("the worker gave its cached workflow up"),
        Cause::ForceCloseCommand => Some("the server ended it to close the run"),
        Cause::FailoverCloseCommand => Some("the namespace failed over to another cluster"),
        Cause::WorkflowPauseRequestedBeforeTaskStarted => {
            Some("the workflow was paused before a worker took it")
        }
        _ => None,
    }
}
