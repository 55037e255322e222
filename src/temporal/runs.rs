//! The runs of a workflow: one that continues as new, is retried, has a cron schedule or is reset has several.

use std::collections::VecDeque;

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::Status};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, WorkflowExecution},
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse},
};

use super::{
    history::{History, PAGE_EVENTS, Workers},
    rate_limits::once,
    retry::{CallFailure, RetryingClient},
};

/// How many calls to the server reading the runs of one workflow may take. A workflow of one run, whose history
/// has one page, takes one.
const MOST_CALLS: usize = 50;

/// The histories of all runs that belong to one workflow.
pub(crate) struct Runs {
    /// In the order in which they ran; never empty.
    runs: VecDeque<History>,
    /// The place of the run that was asked for.
    asked: usize,
    /// Whether no run and no event is missing.
    pub(crate) is_whole: bool,
}

impl Runs {
    /// Reads the run `run_id`, and the runs before and after it. A run that was reset is none of them: the run
    /// that took its place has what is still valid of its history.
    ///
    /// # Errors
    /// Those of [`RetryingClient::call`] for the run itself. Other runs that cannot be read are left
    /// out.
    pub(crate) async fn read(
        server: &RetryingClient,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Self, CallFailure> {
        let mut calls_left = MOST_CALLS;
        let mut read_run = async |run_id: String| {
            let (history, calls) = server
                .call(async || {
                    let mut calls = calls_left;
                    let (client, size) = (server.client(), PAGE_EVENTS);
                    History::read_pages(client, workflow_id, &run_id, size, &mut calls)
                        .await
                        .map(|history| (history, calls))
                })
                .await?;
            calls_left = calls;
            Ok::<_, CallFailure>(history)
        };
        let first = read_run(run_id.to_owned()).await?;
        let mut read = Self { runs: VecDeque::from([first]), asked: 0, is_whole: false };
        while let Some(run) = read.runs.front().and_then(History::previous_run).map(str::to_owned) {
            let Some(earlier) = read_run(run).await.ok().filter(|run| run.is_whole) else {
                return Ok(read);
            };
            read.runs.push_front(earlier);
            read.asked += 1;
        }
        while let Some(run) = read.runs.back().and_then(History::next_run).map(str::to_owned) {
            let Some(later) = read_run(run).await.ok().filter(|run| run.is_whole) else {
                return Ok(read);
            };
            read.runs.push_back(later);
        }
        read.is_whole = read.runs.iter().all(|run| run.is_whole);
        Ok(read)
    }

    /// The run that was asked for.
    pub(crate) fn asked(&self) -> &History {
        &self.runs[self.asked]
    }

    /// The reason that was given with the termination or cancellation of the last run.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.runs.back().and_then(History::reason)
    }

    /// The values that the last run returned, if it completed and its end was read.
    pub(crate) fn result(&self) -> Option<Vec<Payload>> {
        self.runs.back().and_then(History::result)
    }

    /// The workers of all runs: the one that completed the last workflow task, and those of all activities.
    pub(crate) fn workers(&self) -> Workers {
        let mut all = Workers::default();
        for run in &self.runs {
            let Workers { workflow, activities } = run.workers();
            all.workflow = workflow.or(all.workflow);
            all.activities.extend(activities);
        }
        all
    }
}

/// The run that took the place of a terminated run because somebody reset the workflow. `known` are the runs that
/// were awaited so far, the terminated one or one before it being the last.
///
/// # Errors
/// The server's status if it refuses or does not answer.
pub(crate) async fn run_after_reset(
    client: &Client,
    workflow_id: &str,
    known: &[String],
) -> Result<Option<String>, Status> {
    let last = known.last().map(String::as_str).unwrap_or_default();
    let described = describe(client, workflow_id, last).await?;
    let first_run = described.workflow_execution_info.unwrap_or_default().first_run_id;
    let reset_to = described.workflow_extended_info.unwrap_or_default().reset_run_id;
    if !reset_to.is_empty() && !known.contains(&reset_to) {
        return Ok(Some(reset_to));
    }
    // The terminated run may be a later one, and the run that was reset an earlier one.
    let latest = describe(client, workflow_id, "").await?.workflow_execution_info;
    Ok(latest.and_then(|latest| follows(&latest, &first_run, known)))
}

/// The id of the workflow's latest run, if it belongs to the same workflow and is not known yet.
fn follows(latest: &WorkflowExecutionInfo, first_run: &str, known: &[String]) -> Option<String> {
    let run = latest.execution.as_ref()?.run_id.clone();
    let is_same = !first_run.is_empty() && latest.first_run_id == first_run;
    (is_same && !known.contains(&run)).then_some(run)
}

async fn describe(
    client: &Client,
    workflow_id: &str,
    run_id: &str,
) -> Result<DescribeWorkflowExecutionResponse, Status> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: client.namespace(),
        execution: Some(WorkflowExecution {
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
        }),
    };
    let mut client = client.clone();
    Ok(client.describe_workflow_execution(once(request)).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_run_of_the_same_workflow_is_followed() {
        let latest = |run: &str, first: &str| WorkflowExecutionInfo {
            execution: Some(WorkflowExecution { run_id: run.into(), ..Default::default() }),
            first_run_id: first.into(),
            ..Default::default()
        };
        let known = ["a".to_owned(), "b".to_owned()];
        assert_eq!(follows(&latest("c", "a"), "a", &known), Some("c".to_owned()));
        assert_eq!(follows(&latest("b", "a"), "a", &known), None);
        // Somebody has started another workflow with the same id.
        assert_eq!(follows(&latest("c", "c"), "a", &known), None);
        assert_eq!(follows(&latest("c", ""), "", &known), None);
    }
}
