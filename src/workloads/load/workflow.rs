//! The load's workflow.

#![expect(missing_docs, reason = "the SDK's macros make public items without documentation")]

use std::{hint::black_box, time::Duration};

use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    workflows::{join_all, workflow, workflow_methods},
};

use super::{
    activities::{LoadActivities, LoadTask},
    input::Load,
    work::{compute, text},
};
use crate::user_code::routing::activity_task_queue;

/// No activity of the load takes this long, not even if a worker has a hundred of them and few cores.
/// If a worker dies, Temporal gives its activities to another worker after this timeout.
const ACTIVITY_TIMEOUT: Duration = Duration::from_mins(1);

/// Does the work that its [`Load`] describes, and returns how many activities it ran.
#[workflow]
#[derive(Default)]
pub struct LoadWorkflow;

#[workflow_methods]
impl LoadWorkflow {
    /// The workflow's body.
    ///
    /// # Errors
    /// Those of an activity, which is retried without limit until the workflow is cancelled.
    #[run(name = "LoadWorkflow")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, load: Load) -> WorkflowResult<u64> {
        black_box(compute(load.workflow_iterations));
        if load.timer_ms > 0 {
            ctx.timer(Duration::from_millis(load.timer_ms)).await;
        }
        let task = LoadTask {
            wait_ms: load.activity_wait_ms,
            iterations: load.activity_iterations,
            payload: text(load.payload_bytes),
        };
        let timeout = match load.activity_timeout_ms {
            0 => ACTIVITY_TIMEOUT,
            time => Duration::from_millis(time),
        };
        let options = ActivityOptions::with_start_to_close_timeout(timeout)
            .maybe_task_queue(activity_task_queue())
            .build();
        let mut ran = 0;
        for _ in 0..load.activities {
            let side_by_side = (0..load.parallel).map(|_| {
                ctx.execute_activity(LoadActivities::load_activity, task.clone(), options.clone())
            });
            for ended in join_all(side_by_side).await {
                ended?;
                ran += 1;
            }
            black_box(compute(load.workflow_iterations));
        }
        Ok(ran)
    }
}
