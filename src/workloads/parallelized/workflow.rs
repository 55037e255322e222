//! The sample's workflow.

#![expect(missing_docs, reason = "the SDK's macros make public items without documentation")]

use std::time::Duration;

use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    workflows::{workflow, workflow_methods},
};

use super::activities::EchoActivities;
use crate::user_code::{label::worker_label, routing::activity_task_queue};

/// The same as in the Python sample. The echo itself takes no time. If its worker dies, Temporal gives
/// it to another worker after this timeout.
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the labels of the processes that ran its start, its activity and its end.
///
/// It reads [`worker_label`], which is not deterministic. [`crate::label`] explains why that does not
/// break replay.
#[workflow]
#[derive(Default)]
pub struct ParallelizedWorkflow;

#[workflow_methods]
impl ParallelizedWorkflow {
    /// The workflow's body.
    ///
    /// # Errors
    /// Those of the activity, which is retried without limit until the workflow is cancelled.
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
