//! A history's timers, updates, child workflows and what else it tells of, as rows.

use std::time::SystemTime;

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution, history::v1::history_event::Attributes, update::v1::outcome,
};

use super::{
    events::{Builder, duration, plain, said},
    model::{Kind, Row, State, short},
};

fn workflow_id(it: Option<&WorkflowExecution>) -> String {
    it.map(|it| it.workflow_id.clone()).unwrap_or_default()
}

impl Builder {
    /// An event of anything else that a row tells of: whether it was one.
    pub(super) fn of_another(&mut self, id: i64, at: SystemTime, event: &Attributes) -> bool {
        use Attributes as A;
        match event {
            A::TimerStartedEventAttributes(it) => {
                let after = duration(it.start_to_fire_timeout).unwrap_or_default();
                let row = self.push(Row::new(Kind::Timer, id, at));
                row.name = short(after);
                row.id.clone_from(&it.timer_id);
                row.due = Some(at + after);
            }
            A::TimerFiredEventAttributes(it) => {
                self.end(it.started_event_id, at, State::Completed, None);
            }
            A::TimerCanceledEventAttributes(it) => {
                self.end(it.started_event_id, at, State::Cancelled, None);
            }
            A::MarkerRecordedEventAttributes(it) => return self.marker(id, at, it),
            A::WorkflowExecutionUpdateAcceptedEventAttributes(it) => {
                let input = it.accepted_request.as_ref().and_then(|it| it.input.as_ref());
                let row = self.push(Row::new(Kind::Update, id, at));
                row.name = input.map(|input| input.name.clone()).unwrap_or_default();
                row.id.clone_from(&it.protocol_instance_id);
            }
            A::WorkflowExecutionUpdateCompletedEventAttributes(it) => {
                let (state, why) = match it.outcome.as_ref().and_then(|it| it.value.as_ref()) {
                    Some(outcome::Value::Failure(failure)) => (State::Failed, said(Some(failure))),
                    _ => (State::Completed, None),
                };
                self.end(it.accepted_event_id, at, state, why);
            }
            A::SignalExternalWorkflowExecutionInitiatedEventAttributes(it) => {
                let row = self.push(Row::new(Kind::ExternalSignal, id, at));
                row.name.clone_from(&it.signal_name);
                row.id = workflow_id(it.workflow_execution.as_ref());
            }
            A::ExternalWorkflowExecutionSignaledEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Completed, None);
            }
            A::SignalExternalWorkflowExecutionFailedEventAttributes(it) => {
                let why = plain(
                    it.cause().as_str_name(),
                    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_",
                );
                self.end(it.initiated_event_id, at, State::Failed, Some(why));
            }
            A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(it) => {
                self.push(Row::new(Kind::ExternalCancel, id, at)).id =
                    workflow_id(it.workflow_execution.as_ref());
            }
            A::ExternalWorkflowExecutionCancelRequestedEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Completed, None);
            }
            A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(it) => {
                let why = plain(
                    it.cause().as_str_name(),
                    "CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_",
                );
                self.end(it.initiated_event_id, at, State::Failed, Some(why));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn of_a_child(&mut self, id: i64, at: SystemTime, event: &Attributes) -> bool {
        use Attributes as A;
        match event {
            A::StartChildWorkflowExecutionInitiatedEventAttributes(it) => {
                let row = self.push(Row::new(Kind::ChildWorkflow, id, at));
                row.name = it.workflow_type.clone().unwrap_or_default().name;
                row.id.clone_from(&it.workflow_id);
                row.task_queue = it.task_queue.clone().unwrap_or_default().name;
            }
            A::StartChildWorkflowExecutionFailedEventAttributes(it) => {
                let why =
                    plain(it.cause().as_str_name(), "START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_");
                self.end(it.initiated_event_id, at, State::Failed, Some(why));
            }
            A::ChildWorkflowExecutionStartedEventAttributes(it) => {
                if let Some(row) = self.row(it.initiated_event_id) {
                    row.started = Some(at);
                }
            }
            A::ChildWorkflowExecutionCompletedEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Completed, None);
            }
            A::ChildWorkflowExecutionFailedEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Failed, said(it.failure.as_ref()));
            }
            A::ChildWorkflowExecutionCanceledEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Cancelled, None);
            }
            A::ChildWorkflowExecutionTimedOutEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::TimedOut, None);
            }
            A::ChildWorkflowExecutionTerminatedEventAttributes(it) => {
                self.end(it.initiated_event_id, at, State::Terminated, None);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn of_nexus(&mut self, id: i64, at: SystemTime, event: &Attributes) -> bool {
        use Attributes as A;
        match event {
            A::NexusOperationScheduledEventAttributes(it) => {
                let row = self.push(Row::new(Kind::NexusOperation, id, at));
                row.name = format!("{}/{}.{}", it.endpoint, it.service, it.operation);
            }
            A::NexusOperationStartedEventAttributes(it) => {
                if let Some(row) = self.row(it.scheduled_event_id) {
                    row.started = Some(at);
                }
            }
            A::NexusOperationCompletedEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::Completed, None);
            }
            A::NexusOperationFailedEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::Failed, said(it.failure.as_ref()));
            }
            A::NexusOperationCanceledEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::Cancelled, None);
            }
            A::NexusOperationTimedOutEventAttributes(it) => {
                self.end(it.scheduled_event_id, at, State::TimedOut, said(it.failure.as_ref()));
            }
            _ => return false,
        }
        true
    }
}
