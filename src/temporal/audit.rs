//! What the server says afterwards of workflows: their histories, and its visibility.

use std::collections::BTreeMap;

use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::Code};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::WorkflowExecutionStatus,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{GetWorkflowExecutionHistoryRequest, ListWorkflowExecutionsRequest},
};

use super::{
    history::PAGE_EVENTS,
    rate_limits::once,
    retry::{CallFailure, RetryingClient},
};

/// How many workflows visibility returns in one page.
const PAGE_WORKFLOWS: i32 = 1000;

/// What a history says of the workflow's latest run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunAudit {
    /// How it ended, in the words of the server; `None` if it has not ended.
    pub(crate) end: Option<&'static str>,
    /// How many times it completed: once, if all is well.
    pub(crate) completions: usize,
    /// How many activities were started.
    pub(crate) activities: u64,
    /// How many of them were started more than once.
    pub(crate) retried_activities: u64,
    /// The number of attempts of the one with the most.
    pub(crate) most_attempts: u32,
    /// How many workflow tasks timed out, by the timeout. Of a task that times out repeatedly, a history has the
    /// first time.
    pub(crate) workflow_task_timeouts: BTreeMap<&'static str, u64>,
    /// How many workflow tasks failed, by the cause.
    pub(crate) workflow_task_failures: BTreeMap<&'static str, u64>,
}

/// Reads the history of a workflow's latest run. `None` if the server does not know the workflow.
///
/// # Errors
/// Those of [`RetryingClient::call`].
pub(crate) async fn read_run(
    server: &RetryingClient,
    workflow_id: &str,
) -> Result<Option<RunAudit>, CallFailure> {
    let mut run = RunAudit::default();
    let mut page = Vec::new();
    loop {
        let answer = server.call(async || {
            let mut client = server.client().clone();
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: client.namespace(),
                execution: Some(WorkflowExecution {
                    workflow_id: workflow_id.to_owned(),
                    run_id: String::new(),
                }),
                maximum_page_size: PAGE_EVENTS,
                next_page_token: page.clone(),
                ..Default::default()
            };
            Ok(client.get_workflow_execution_history(once(request)).await?.into_inner())
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(CallFailure::Refused(status)) if status.code() == Code::NotFound => {
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        for event in answer.history.unwrap_or_default().events {
            run.add(&event);
        }
        page = answer.next_page_token;
        if page.is_empty() {
            return Ok(Some(run));
        }
    }
}

impl RunAudit {
    fn add(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        match attributes {
            Attributes::ActivityTaskStartedEventAttributes(started) => {
                let attempts = u32::try_from(started.attempt).unwrap_or_default();
                self.activities += 1;
                self.retried_activities += u64::from(attempts > 1);
                self.most_attempts = self.most_attempts.max(attempts);
            }
            Attributes::WorkflowTaskTimedOutEventAttributes(task) => {
                let timeout = task.timeout_type().as_str_name().trim_start_matches("TIMEOUT_TYPE_");
                *self.workflow_task_timeouts.entry(timeout).or_default() += 1;
            }
            Attributes::WorkflowTaskFailedEventAttributes(task) => {
                let cause =
                    task.cause().as_str_name().trim_start_matches("WORKFLOW_TASK_FAILED_CAUSE_");
                *self.workflow_task_failures.entry(cause).or_default() += 1;
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(_) => {
                self.completions += 1;
                self.end = Some("completed");
            }
            Attributes::WorkflowExecutionFailedEventAttributes(_) => self.end = Some("failed"),
            Attributes::WorkflowExecutionCanceledEventAttributes(_) => self.end = Some("cancelled"),
            Attributes::WorkflowExecutionTerminatedEventAttributes(_) => {
                self.end = Some("terminated");
            }
            Attributes::WorkflowExecutionTimedOutEventAttributes(_) => self.end = Some("timed out"),
            _ => {}
        }
    }
}

/// How many completed runs each workflow has whose id begins with `prefix`, as visibility lists them. It is behind
/// the histories, by a moment or more.
///
/// # Errors
/// Those of [`RetryingClient::call`].
pub(crate) async fn list_completed(
    server: &RetryingClient,
    prefix: &str,
) -> Result<BTreeMap<String, usize>, CallFailure> {
    let mut completed = BTreeMap::new();
    let mut page = Vec::new();
    loop {
        let answer = server
            .call(async || {
                let mut client = server.client().clone();
                let request = ListWorkflowExecutionsRequest {
                    namespace: client.namespace(),
                    query: format!("WorkflowId STARTS_WITH '{prefix}'"),
                    page_size: PAGE_WORKFLOWS,
                    next_page_token: page.clone(),
                };
                Ok(client.list_workflow_executions(once(request)).await?.into_inner())
            })
            .await?;
        for listed in answer.executions {
            if listed.status() == WorkflowExecutionStatus::Completed
                && let Some(execution) = listed.execution
            {
                *completed.entry(execution.workflow_id).or_default() += 1;
            }
        }
        page = answer.next_page_token;
        if page.is_empty() {
            return Ok(completed);
        }
    }
}
