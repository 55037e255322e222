//! Workflows and activities in one process and on one task queue, as is usual with Temporal.
//!
//! In the role `worker`, a workflow can use *local* activities. They run in the process that schedules
//! them, without a task queue and without a round trip to the server. This workflow calls the same
//! function twice: first as a local activity, then as a normal one.
//!
//! ```text
//! $ cargo run --example local_activity -- demo -w 0 -a 0 --num-workers 2 -n 3
//! local in 25061, remote in 25060
//! local in 25060, remote in 25060
//! local in 25061, remote in 25061
//! ```

use std::{process::ExitCode, time::Duration};

use temporal_fleet::{Fleet, activity_task_queue, worker_label};
use temporalio_sdk::{
    ActivityOptions, LocalActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};

fn main() -> ExitCode {
    Fleet::new("local").workflow::<BothWays>().activities(Whereabouts).main()
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[workflow]
#[derive(Default)]
struct BothWays;

#[workflow_methods]
impl BothWays {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let local = ctx
            .execute_local_activity(
                Whereabouts::am_i,
                (),
                LocalActivityOptions::builder().start_to_close_timeout(TIMEOUT).build(),
            )
            .await?;
        let remote = ctx
            .execute_activity(
                Whereabouts::am_i,
                (),
                ActivityOptions::with_start_to_close_timeout(TIMEOUT)
                    .maybe_task_queue(activity_task_queue())
                    .build(),
            )
            .await?;
        Ok(format!("local in {local}, remote in {remote}"))
    }
}

struct Whereabouts;

#[activities]
impl Whereabouts {
    /// This activity is synchronous: it runs on a thread of its own, and may compute or block.
    #[activity]
    fn am_i(_ctx: ActivityContext) -> Result<String, ActivityError> {
        Ok(worker_label().to_owned())
    }
}
