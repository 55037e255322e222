//! Rows of timers, updates, child workflows, Nexus operations and messages to other workflows.

use std::time::SystemTime;

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution, history::v1::history_event::Attributes, update::v1::outcome,
};

use super::{
    events::Builder,
    proto::{duration, enum_words, failure_message, with_details},
    row::{CancelRequest, Kind, Row, RowStatus},
};
use crate::terminal::duration::short;

fn workflow_id(execution: Option<&WorkflowExecution>) -> String {
    execution.map(|execution| execution.workflow_id.clone()).unwrap_or_default()
}

impl Builder {
    pub(super) fn add_timer_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::TimerStartedEventAttributes(event) => {
                let after = duration(event.start_to_fire_timeout).unwrap_or_default();
                let row = self.push(Row::new(Kind::Timer, id, at));
                row.name = short(after);
                row.id.clone_from(&event.timer_id);
                row.due = Some(at + after);
            }
            A::TimerFiredEventAttributes(event) => {
                self.end(event.started_event_id, at, RowStatus::Completed, None);
            }
            A::TimerCanceledEventAttributes(event) => {
                self.end(event.started_event_id, at, RowStatus::Cancelled, None);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn add_update_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::WorkflowExecutionUpdateAcceptedEventAttributes(event) => {
                let request = event.accepted_request.as_ref();
                let input = request.and_then(|request| request.input.as_ref());
                let row = self.push(Row::new(Kind::Update, id, at));
                row.name = input.map(|input| input.name.clone()).unwrap_or_default();
                row.id.clone_from(&event.protocol_instance_id);
            }
            A::WorkflowExecutionUpdateCompletedEventAttributes(event) => {
                let outcome = event.outcome.as_ref().and_then(|outcome| outcome.value.as_ref());
                let (status, failure) = match outcome {
                    Some(outcome::Value::Failure(failure)) => {
                        (RowStatus::Failed, failure_message(Some(failure)))
                    }
                    _ => (RowStatus::Completed, None),
                };
                self.end(event.accepted_event_id, at, status, failure);
            }
            _ => return false,
        }
        true
    }

    /// Adds an event of a signal or a cancel request to another workflow.
    pub(super) fn add_external_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::SignalExternalWorkflowExecutionInitiatedEventAttributes(event) => {
                let row = self.push(Row::new(Kind::ExternalSignal, id, at));
                row.name.clone_from(&event.signal_name);
                row.id = workflow_id(event.workflow_execution.as_ref());
            }
            A::ExternalWorkflowExecutionSignaledEventAttributes(event) => {
                self.end(event.initiated_event_id, at, RowStatus::Completed, None);
            }
            A::SignalExternalWorkflowExecutionFailedEventAttributes(event) => {
                let prefix = "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_";
                let cause = enum_words(event.cause().as_str_name(), prefix);
                self.end(event.initiated_event_id, at, RowStatus::Failed, Some(cause));
            }
            A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(event) => {
                self.push(Row::new(Kind::ExternalCancel, id, at)).id =
                    workflow_id(event.workflow_execution.as_ref());
            }
            A::ExternalWorkflowExecutionCancelRequestedEventAttributes(event) => {
                self.end(event.initiated_event_id, at, RowStatus::Completed, None);
            }
            A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(event) => {
                let prefix = "CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_";
                let cause = enum_words(event.cause().as_str_name(), prefix);
                self.end(event.initiated_event_id, at, RowStatus::Failed, Some(cause));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn add_child_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::StartChildWorkflowExecutionInitiatedEventAttributes(event) => {
                let row = self.push(Row::new(Kind::ChildWorkflow, id, at));
                row.name = event.workflow_type.clone().unwrap_or_default().name;
                row.id.clone_from(&event.workflow_id);
                row.task_queue = event.task_queue.clone().unwrap_or_default().name;
            }
            A::StartChildWorkflowExecutionFailedEventAttributes(event) => {
                let prefix = "START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_";
                let cause = enum_words(event.cause().as_str_name(), prefix);
                self.end(event.initiated_event_id, at, RowStatus::Failed, Some(cause));
            }
            A::ChildWorkflowExecutionStartedEventAttributes(event) => {
                if let Some(row) = self.row(event.initiated_event_id) {
                    row.started = Some(at);
                }
            }
            A::ChildWorkflowExecutionCompletedEventAttributes(event) => {
                self.end(event.initiated_event_id, at, RowStatus::Completed, None);
            }
            A::ChildWorkflowExecutionFailedEventAttributes(event) => {
                let failure = failure_message(event.failure.as_ref());
                self.end(event.initiated_event_id, at, RowStatus::Failed, failure);
            }
            A::ChildWorkflowExecutionCanceledEventAttributes(event) => {
                let details = with_details(None, event.details.as_ref());
                self.end(event.initiated_event_id, at, RowStatus::Cancelled, details);
            }
            A::ChildWorkflowExecutionTimedOutEventAttributes(event) => {
                self.end(event.initiated_event_id, at, RowStatus::TimedOut, None);
            }
            A::ChildWorkflowExecutionTerminatedEventAttributes(event) => {
                self.end(event.initiated_event_id, at, RowStatus::Terminated, None);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn add_nexus_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        use Attributes as A;
        match attributes {
            A::NexusOperationScheduledEventAttributes(event) => {
                let row = self.push(Row::new(Kind::NexusOperation, id, at));
                row.name = format!("{}/{}.{}", event.endpoint, event.service, event.operation);
            }
            A::NexusOperationStartedEventAttributes(event) => {
                if let Some(row) = self.row(event.scheduled_event_id) {
                    row.started = Some(at);
                }
            }
            A::NexusOperationCompletedEventAttributes(event) => {
                self.end(event.scheduled_event_id, at, RowStatus::Completed, None);
            }
            A::NexusOperationFailedEventAttributes(event) => {
                let failure = failure_message(event.failure.as_ref());
                self.end(event.scheduled_event_id, at, RowStatus::Failed, failure);
            }
            A::NexusOperationCancelRequestedEventAttributes(event) => {
                if let Some(row) = self.row(event.scheduled_event_id) {
                    row.cancel_request = Some(CancelRequest { at, failure: None });
                }
            }
            A::NexusOperationCancelRequestCompletedEventAttributes(_) => {}
            A::NexusOperationCancelRequestFailedEventAttributes(event) => {
                let row = self.row(event.scheduled_event_id);
                if let Some(request) = row.and_then(|row| row.cancel_request.as_mut()) {
                    request.failure = failure_message(event.failure.as_ref());
                }
            }
            A::NexusOperationCanceledEventAttributes(event) => {
                self.end(event.scheduled_event_id, at, RowStatus::Cancelled, None);
            }
            A::NexusOperationTimedOutEventAttributes(event) => {
                let failure = failure_message(event.failure.as_ref());
                self.end(event.scheduled_event_id, at, RowStatus::TimedOut, failure);
            }
            _ => return false,
        }
        true
    }
}
