//! The sample's workflow.

#![expect(missing_docs, reason = "the SDK's macros make public items without documentation")]

use std::time::Duration;

use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    workflows::{workflow, workflow_methods},
};

use super::activities::EchoActivities;
use crate::user_code::{label::worker_label, routing::activity_task_queue};

/// The Python sample's figure. The echo takes no time; ten seconds is how long Temporal waits before
/// it gives the echo of a worker that died to another one.
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);

/// Notes which processes ran its start, its activity and its end.
///
/// It reads [`worker_label`], which is not deterministic: why that cannot break replay is told in
/// [`crate::user_code::label`].
#[workflow]
#[derive(Default)]
pub struct ParallelizedWorkflow;

#[workflow_methods]
impl ParallelizedWorkflow {
    /// The workflow's body.
    ///
    /// # Errors
    /// Those of the activity, which is retried without end unless the workflow is cancelled.
    #[run(name = "ParallelizedWorkflow")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let echoed = ctx
            .execute_activity(
                EchoActivities::echo_pid_activity,
                format!("wf-starting-pid:{}", worker_label()),
                ActivityOptions::with_start_to_close_timeout(ECHO_TIMEOUT)
                    .maybe_task_queue(activity_task_queue())
                    .build(),
            )
            .await?;
        Ok(format!("{echoed} | wf-ending-pid:{}", worker_label()))
    }
}
