//! A fleet whose code misbehaves, to see what becomes of it: panics, and logs without end.
//!
//! ```text
//! $ cargo run --example misbehaving -- demo -n 1 --input '{"what": "activity", "text": "no such drink"}'
//! activity-worker:0 | … ERROR temporal_fleet::panic: panicked: no such drink location="examples/misbehaving.rs:…"
//! misbehaving-…: failed: …
//! ```

use std::{fmt, process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use temporal_fleet::{Fleet, activity_task_queue};
use temporalio_common::protos::temporal::api::common::v1::RetryPolicy;
use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};
use tracing::warn;

fn main() -> ExitCode {
    Fleet::new("misbehaving").workflow::<Misbehave>().activities(Misbehaving).main()
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// The workflow panics.
    Workflow,
    /// An activity panics.
    Activity,
    /// An activity logs a value that panics when it is shown.
    Log,
    /// An activity logs 50,000 lines.
    Flood,
    /// The result has 1.9 MB, which is almost as much as the server takes.
    Large,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Fault {
    what: What,
    text: String,
}

#[workflow]
#[derive(Default)]
struct Misbehave;

#[workflow_methods]
impl Misbehave {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, fault: Fault) -> WorkflowResult<String> {
        if let What::Workflow = fault.what {
            panic!("{}", fault.text);
        }
        if let What::Large = fault.what {
            return Ok("x".repeat(1_900_000));
        }
        let once = RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() };
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
            .maybe_task_queue(activity_task_queue())
            .retry_policy(once)
            .build();
        Ok(ctx.execute_activity(Misbehaving::act, fault, options).await?)
    }
}

struct Misbehaving;

#[activities]
impl Misbehaving {
    #[activity]
    async fn act(_ctx: ActivityContext, fault: Fault) -> Result<String, ActivityError> {
        match fault.what {
            What::Workflow | What::Activity | What::Large => panic!("{}", fault.text),
            What::Log => warn!("a value: {}", Unshowable(fault.text.clone())),
            What::Flood => {
                for number in 0..50_000 {
                    warn!(number, "{}", fault.text);
                }
            }
        }
        Ok(fault.text)
    }
}

struct Unshowable(String);

impl fmt::Display for Unshowable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("{}", self.0)
    }
}
