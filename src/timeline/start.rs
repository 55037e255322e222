//! How a run began: what it continues, and why the server held it back.

use std::time::SystemTime;

use temporalio_common::protos::temporal::api::{
    enums::v1::ContinueAsNewInitiator, history::v1::WorkflowExecutionStartedEventAttributes,
};

use super::{
    model::{RunStatus, StartWait, WorkflowRun},
    proto::{attempt, duration, failure_message, non_empty, queue},
};
use crate::temporal::{failure::FailureChain, payload};

pub(super) fn started_run(
    event: &WorkflowExecutionStartedEventAttributes,
    at: SystemTime,
) -> WorkflowRun {
    let delay = duration(event.first_workflow_task_backoff).filter(|delay| !delay.is_zero());
    let parent = event.parent_workflow_execution.as_ref();
    let last_result = event.last_completion_result.as_ref();
    WorkflowRun {
        workflow_id: event.workflow_id.clone(),
        run_id: event.original_execution_run_id.clone(),
        workflow_type: event.workflow_type.clone().unwrap_or_default().name,
        task_queue: queue(event.task_queue.as_ref()),
        status: RunStatus::Running,
        started: at,
        begins: delay.map(|delay| at + delay),
        start_wait: delay.map(|_| start_wait(event)),
        closed: None,
        started_by: event.identity.clone(),
        summary: None,
        terminated_by: None,
        failure: None,
        failure_chain: FailureChain::default(),
        cancel_requested: None,
        attempt: attempt(event.attempt),
        cron_schedule: non_empty(&event.cron_schedule),
        continued_failure: failure_message(event.continued_failure.as_ref()),
        last_result: last_result.map(|result| payload::line(&result.payloads)),
        parent: parent.and_then(|parent| non_empty(&parent.workflow_id)),
        previous_run: non_empty(&event.continued_execution_run_id),
        next_run: None,
        reset_from: None,
        reset_to: None,
        events: 0,
    }
}

fn start_wait(event: &WorkflowExecutionStartedEventAttributes) -> StartWait {
    match event.initiator() {
        ContinueAsNewInitiator::Retry => StartWait::Retry,
        ContinueAsNewInitiator::CronSchedule => StartWait::Cron,
        ContinueAsNewInitiator::Workflow => StartWait::ContinueAsNew,
        ContinueAsNewInitiator::Unspecified if !event.cron_schedule.is_empty() => StartWait::Cron,
        ContinueAsNewInitiator::Unspecified => StartWait::StartDelay,
    }
}
