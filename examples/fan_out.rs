//! A workflow that runs many activities at the same time. `benches/soak` and `benches/long-history` use
//! it as load.
//!
//! ```console
//! $ cargo run --release --example fan_out -- demo -n 3 --input '{"activities": 200}'
//! …
//! 3 completed, 0 failed in …
//! ```

use std::{process::ExitCode, time::Duration};

use temporal_fleet::{Fleet, activity_task_queue};
use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{join_all, workflow, workflow_methods},
};

/// How many activities a workflow has in flight. The server allows 2,000 that are pending.
const AT_A_TIME: usize = 200;
/// The activities spend most of this time in the task queue.
const ECHO_TIMEOUT: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    Fleet::new("fan-out").workflow::<FanOut>().activities(Echo).main()
}

#[workflow]
#[derive(Default)]
struct FanOut;

/// The workflow's input.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Plan {
    activities: usize,
    /// How long the workflow waits after its activities, in seconds.
    #[serde(default)]
    hold_s: u64,
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
        if plan.hold_s > 0 {
            ctx.timer(Duration::from_secs(plan.hold_s)).await;
        }
        Ok(echoed)
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
