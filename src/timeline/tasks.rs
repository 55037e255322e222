//! A history's workflow tasks and activities, local ones too, as rows.

use std::time::{Duration, SystemTime};

use temporalio_common::protos::{
    coresdk::{common::extract_local_activity_marker_data, external_data::LocalActivityMarkerData},
    temporal::api::{
        enums::v1::{TimeoutType, WorkflowTaskFailedCause},
        failure::v1::failure::FailureInfo,
        history::v1::{
            ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes,
            ActivityTaskTimedOutEventAttributes, MarkerRecordedEventAttributes,
            WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes,
            WorkflowTaskScheduledEventAttributes, WorkflowTaskTimedOutEventAttributes,
            history_event::Attributes,
        },
    },
};

use super::{
    events::{Builder, is_sticky, plain, queue, said, some, time, version},
    model::{Kind, Row, State, since},
};

/// What Core calls a local activity in the history (`temporalio_protos::constants`).
const LOCAL_ACTIVITY: &str = "core_local_activity";
/// How far the clocks of server and worker may be apart for [`Builder::local_activity`].
const SKEW: Duration = Duration::from_secs(1);

impl Builder {
    /// An event of a workflow task or an activity: whether it was one.
    pub(super) fn of_a_task(&mut self, id: i64, at: SystemTime, event: &Attributes) -> bool {
        use Attributes as A;
        match event {
            A::WorkflowTaskScheduledEventAttributes(it) => self.workflow_task_scheduled(id, at, it),
            A::WorkflowTaskStartedEventAttributes(it) => {
                self.workflow_task = self.by_event.get(&it.scheduled_event_id).copied();
                if let Some(row) = self.row(it.scheduled_event_id) {
                    row.state = State::Running;
                    row.started = Some(at);
                    row.worker.clone_from(&it.identity);
                }
            }
            A::WorkflowTaskCompletedEventAttributes(it) => self.workflow_task_completed(at, it),
            A::WorkflowTaskFailedEventAttributes(it) => self.workflow_task_failed(at, it),
            A::WorkflowTaskTimedOutEventAttributes(it) => self.workflow_task_timed_out(at, it),
            A::ActivityTaskScheduledEventAttributes(it) => self.activity_scheduled(id, at, it),
            A::ActivityTaskStartedEventAttributes(it) => self.activity_started(at, it),
            A::ActivityTaskCompletedEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::Completed, None);
            }
            A::ActivityTaskFailedEventAttributes(it) => {
                let why = said(it.failure.as_ref());
                self.end(it.scheduled_event_id, at, State::Failed, why);
            }
            A::ActivityTaskTimedOutEventAttributes(it) => self.activity_timed_out(at, it),
            A::ActivityTaskCanceledEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::Cancelled, None);
            }
            _ => return false,
        }
        true
    }

    fn workflow_task_scheduled(
        &mut self,
        id: i64,
        at: SystemTime,
        it: &WorkflowTaskScheduledEventAttributes,
    ) {
        let attempt = u32::try_from(it.attempt).unwrap_or(1).max(1);
        // Of the attempts between the history holds nothing.
        let failed_at = self.failed_at.take().filter(|_| attempt > 1);
        let sticky = it.task_queue.as_ref().is_some_and(is_sticky);
        let last = self.workflow_task.map(|index| self.rows[index].worker.clone());
        let row = self.push(Row::new(Kind::WorkflowTask, id, failed_at.unwrap_or(at)));
        row.queued = Some(at);
        row.state = State::Queued;
        row.attempt = attempt;
        row.task_queue = queue(it.task_queue.as_ref());
        row.sticky_to = last.filter(|_| sticky);
    }

    fn workflow_task_completed(
        &mut self,
        at: SystemTime,
        it: &WorkflowTaskCompletedEventAttributes,
    ) {
        self.end(it.scheduled_event_id, at, State::Completed, None);
        #[expect(deprecated, reason = "where unversioned workers tell their build id")]
        let build_id = it.worker_version.as_ref().and_then(|it| some(&it.build_id));
        if let Some(row) = self.row(it.scheduled_event_id) {
            row.version = it.deployment_version.as_ref().map(version).or(build_id);
        }
    }

    fn workflow_task_failed(&mut self, at: SystemTime, it: &WorkflowTaskFailedEventAttributes) {
        let cause = plain(it.cause().as_str_name(), "WORKFLOW_TASK_FAILED_CAUSE_");
        let why = match said(it.failure.as_ref()) {
            Some(words) => format!("{cause}: {words}"),
            None => cause,
        };
        if it.cause() == WorkflowTaskFailedCause::ResetWorkflow {
            // The run is a copy of an earlier one up to here, and was reset any time later.
            let until = self.row(it.scheduled_event_id).and_then(|row| row.started).unwrap_or(at);
            self.end(it.scheduled_event_id, until, State::Failed, Some(why));
            return;
        }
        self.end(it.scheduled_event_id, at, State::Failed, Some(why));
        self.failed_at = Some(at);
    }

    fn workflow_task_timed_out(
        &mut self,
        at: SystemTime,
        it: &WorkflowTaskTimedOutEventAttributes,
    ) {
        let sticky_to = self.row(it.scheduled_event_id).and_then(|row| row.sticky_to.clone());
        let why = match (it.timeout_type(), sticky_to) {
            (TimeoutType::ScheduleToStart, Some(worker)) => {
                format!("{worker}, which has the workflow in its cache, did not take it")
            }
            (TimeoutType::ScheduleToStart, None) => "no worker took it in time".to_owned(),
            _ => "its worker did not answer in time".to_owned(),
        };
        self.end(it.scheduled_event_id, at, State::TimedOut, Some(why));
        self.failed_at = Some(at);
    }

    fn activity_scheduled(
        &mut self,
        id: i64,
        at: SystemTime,
        it: &ActivityTaskScheduledEventAttributes,
    ) {
        let row = self.push(Row::new(Kind::Activity, id, at));
        row.queued = Some(at);
        row.state = State::Queued;
        row.attempt = 1;
        row.name = it.activity_type.clone().unwrap_or_default().name;
        row.id.clone_from(&it.activity_id);
        row.task_queue = queue(it.task_queue.as_ref());
    }

    /// The history has this event of the last attempt only, and only once that is over.
    fn activity_started(&mut self, at: SystemTime, it: &ActivityTaskStartedEventAttributes) {
        let Some(row) = self.row(it.scheduled_event_id) else { return };
        row.state = State::Running;
        row.started = Some(at);
        row.attempt = u32::try_from(it.attempt).unwrap_or(1).max(1);
        row.worker.clone_from(&it.identity);
        row.last_failure = said(it.last_failure.as_ref());
        if row.attempt > 1 {
            row.queued = None;
        }
    }

    fn activity_timed_out(&mut self, at: SystemTime, it: &ActivityTaskTimedOutEventAttributes) {
        let failure = it.failure.as_ref();
        let how = failure.and_then(|it| match &it.failure_info {
            Some(FailureInfo::TimeoutFailureInfo(it)) => Some(it.timeout_type()),
            _ => None,
        });
        let why = match how {
            Some(TimeoutType::Heartbeat) => Some("no heartbeat in time".to_owned()),
            Some(TimeoutType::ScheduleToStart) => Some("no worker took it in time".to_owned()),
            Some(TimeoutType::StartToClose) => Some("its worker did not end it in time".to_owned()),
            Some(TimeoutType::ScheduleToClose) => Some("it was not done in time".to_owned()),
            _ => said(failure),
        };
        let before = failure.and_then(|it| said(it.cause.as_deref()));
        if let Some(row) = self.row(it.scheduled_event_id) {
            if row.started.is_none() && before.is_some() {
                row.queued = None; // between two attempts
            }
            row.last_failure = row.last_failure.take().or(before);
        }
        self.end(it.scheduled_event_id, at, State::TimedOut, why);
    }

    /// Whether the marker is a local activity's.
    pub(super) fn marker(
        &mut self,
        id: i64,
        at: SystemTime,
        it: &MarkerRecordedEventAttributes,
    ) -> bool {
        let data = (it.marker_name == LOCAL_ACTIVITY)
            .then(|| extract_local_activity_marker_data(&it.details))
            .flatten();
        let Some(data) = data else { return false };
        let index = self.local_activity(id, at, data);
        let row = &mut self.rows[index];
        row.failure = said(it.failure.as_ref());
        row.state = if it.failure.is_some() { State::Failed } else { State::Completed };
        true
    }

    /// The marker comes with the end of the workflow task. It tells when the activity ended, by the
    /// workflow's time: the start of its workflow task and how long it ran; and when it was
    /// scheduled, by the worker's clock, which tells how long after the task's first one that was.
    fn local_activity(&mut self, id: i64, at: SystemTime, data: LocalActivityMarkerData) -> usize {
        let scheduled = time(data.original_schedule_time);
        let task = self.workflow_task_at(scheduled);
        let began = task.and_then(|index| self.rows[index].started);
        let start = match (task, began, scheduled) {
            (Some(task), Some(began), Some(scheduled)) => {
                let base = match self.local_base {
                    Some((same, base)) if same == task => base,
                    _ => scheduled,
                };
                self.local_base = Some((task, base));
                began + since(base, scheduled)
            }
            _ => at,
        };
        let worker = task.map(|index| &self.rows[index]);
        let (worker, version) =
            worker.map(|row| (row.worker.clone(), row.version.clone())).unwrap_or_default();
        let ended = time(data.complete_time).unwrap_or(at).max(start);
        let mut row = Row::new(Kind::LocalActivity, id, start);
        row.name = data.activity_type;
        row.id = data.activity_id;
        row.attempt = data.attempt.max(1);
        // Of a later attempt the marker does not tell when it began.
        row.started = (row.attempt == 1).then_some(start);
        row.ended = Some(ended);
        row.worker = worker;
        row.version = version;
        self.push(row);
        self.rows.len() - 1
    }

    /// The workflow task in which something was scheduled, by the worker's clock: the last one, or an
    /// earlier one that the worker prolonged while the activity ran.
    fn workflow_task_at(&self, scheduled: Option<SystemTime>) -> Option<usize> {
        let last = self.workflow_task?;
        let Some(scheduled) = scheduled else { return Some(last) };
        let before = self.rows[..=last].iter().enumerate().rev().find(|(_, row)| {
            row.kind == Kind::WorkflowTask
                && row.started.is_some_and(|started| started <= scheduled + SKEW)
        });
        Some(before.map_or(last, |(index, _)| index))
    }
}
