//! Waits for the ends of a batch's workflows.

use std::time::Duration;

use temporalio_client::{
    NamespacedClient, RetryOptions, RpcOptions, UntypedWorkflow, WorkflowExecutionInfo,
    WorkflowGetResultOptions, WorkflowHandle, errors::WorkflowGetResultError,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio::time::timeout;
use tracing::warn;

use super::{
    outcome::{WorkflowFailure, WorkflowStatus},
    workflows::Workflows,
};
use crate::{
    error::CommandError,
    temporal::{
        history::History,
        runs::{Runs, run_after_reset},
    },
};

/// How long the first request for a result waits. Each further request waits twice as long. When a
/// workflow ends, the server sometimes does not answer a request that is waiting for it until its own limit
/// of 20 seconds is over (docs/sdk.md), but it answers a new request at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The server answers within this time in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The end of a workflow.
pub(super) struct End {
    /// The run that was awaited: the one that was started, or the one that a reset made of it.
    pub(super) run_id: String,
    /// The first value of its result.
    pub(super) result: Result<Payload, WorkflowFailure>,
}

impl Workflows {
    /// Waits for a workflow's end. If somebody resets the workflow meanwhile, which terminates its run, it
    /// goes on in the run that the reset made.
    pub(super) async fn end(&self, workflow_id: &str, run_id: String) -> Result<End, CommandError> {
        let mut runs = vec![run_id];
        loop {
            let run_id = runs.last().cloned().unwrap_or_default();
            let result = self.result(workflow_id, &run_id).await?;
            let is_terminated = matches!(
                &result,
                Err(failure) if failure.status == WorkflowStatus::Terminated
            );
            if !is_terminated {
                return Ok(End { run_id, result });
            }
            let client = self.server.client();
            let next = self.server.call(|| run_after_reset(client, workflow_id, &runs)).await;
            // Where the server does not describe workflows, the termination is all that is known.
            let Some(next) = next.ok().flatten() else { return Ok(End { run_id, result }) };
            warn!("{workflow_id} was reset: waiting for its run {next}");
            runs.push(next);
        }
    }

    /// All values of a result of which the SDK returned the `first`. The SDK drops the others, and returns an
    /// empty payload for none. So they are read from the histories of the workflow's `runs` if they contain
    /// the end, else from the end of the latest run, if it ended with the same value.
    pub(super) async fn whole_result(
        &self,
        workflow_id: &str,
        first: Payload,
        runs: Option<&Runs>,
    ) -> Vec<Payload> {
        let mut result = runs.and_then(Runs::result);
        if result.is_none() {
            let client = self.server.client();
            let end = self.server.call(|| History::read_end(client, workflow_id)).await;
            result = end.ok().and_then(|end| end.result());
        }
        let is_same = |all: &Vec<Payload>| all.first().cloned().unwrap_or_default() == first;
        result.filter(is_same).unwrap_or_else(|| {
            let is_none = first == Payload::default();
            Some(first).filter(|_| !is_none).into_iter().collect()
        })
    }

    /// Waits for the end of a run and of those that it continues as.
    async fn result(
        &self,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Result<Payload, WorkflowFailure>, CommandError> {
        let client = self.server.client();
        let info = WorkflowExecutionInfo::builder()
            .namespace(client.namespace())
            .workflow_id(workflow_id)
            .run_id(run_id)
            .build();
        let rpc = RpcOptions::builder().retry_options(RetryOptions::no_retries()).build();
        let options = WorkflowGetResultOptions::builder().rpc_options(rpc).build();
        let handle = WorkflowHandle::<_, UntypedWorkflow>::new(client.clone(), info);
        let ended = self.server.call(|| async {
            let mut wait = FIRST_WAIT;
            let answer = loop {
                let question = handle.get_result(options.clone());
                if let Ok(answer) = timeout(wait, question).await {
                    break answer;
                }
                // The server has not refused to wait.
                self.server.succeeded();
                wait = (wait * 2).min(LONGEST_WAIT);
            };
            match answer {
                Ok(value) => Ok(Ok(value.payloads.into_iter().next().unwrap_or_default())),
                Err(WorkflowGetResultError::Rpc(status)) => Err(status),
                Err(error) => Ok(Err(error.into())),
            }
        });
        Ok(ended
            .await
            .map_err(|failure| self.server.error("return a workflow's result", failure))?)
    }
}
