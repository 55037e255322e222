//! A workflow of so many echoes at once, for load: `benches/soak` and `benches/replay` run it.
//!
//! ```console
//! $ cargo run --release --example fan_out -- demo -n 3 --input '{"activities": 200}'
//! …
//! 3 completed, 0 failed in …
//! ```

use std::{process::ExitCode, time::Duration};

use temporal_fleet::{Fleet, activity_task_queue};
use temporalio_sdk::{
    ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{join_all, workflow, workflow_methods},
};

/// How many echoes a workflow has under way at a time: the server allows 2,000 that are pending.
const AT_A_TIME: usize = 200;
/// They wait in the queue for most of it.
const ECHO_TIMEOUT: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    Fleet::new("fan-out").workflow::<FanOut>().activities(Echo).main()
}

#[workflow]
#[derive(Default)]
struct FanOut {
    released: bool,
}

/// How many echoes, and whether to wait for the signal `release` after them.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Plan {
    activities: usize,
    #[serde(default)]
    hold: bool,
}

#[workflow_methods]
impl FanOut {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, plan: Plan) -> WorkflowResult<usize> {
        let mut echoed = 0;
        while echoed < plan.activities {
            let options = || {
                ActivityOptions::with_start_to_close_timeout(ECHO_TIMEOUT)
                    .maybe_task_queue(activity_task_queue())
                    .build()
            };
            let next = echoed..plan.activities.min(echoed + AT_A_TIME);
            let shared = &*ctx;
            let echoes = next.map(|number| shared.execute_activity(Echo::echo, number, options()));
            for echo in join_all(echoes).await {
                echo?;
                echoed += 1;
            }
        }
        if plan.hold {
            ctx.wait_condition(|it| it.released).await?;
        }
        Ok(echoed)
    }

    /// Lets a workflow end that holds.
    #[signal]
    fn release(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.released = true;
    }
}

struct Echo;

#[activities]
impl Echo {
    #[activity]
    async fn echo(_ctx: ActivityContext, number: usize) -> Result<usize, ActivityError> {
        Ok(number)
    }
}
