//! A fleet that adds its own spans and log lines to the trace of each workflow.
//!
//! ```text
//! $ export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317
//! $ cargo run --example traces -- demo -n 1 --num-workers 1 --input '"tea"'
//! tea, and a pressed orange
//! ```
//!
//! If a collector listens there, it receives this trace (see docs/telemetry.md):
//!
//! ```text
//! fleet starter
//! └─ StartWorkflow:Breakfast
//!    └─ RunWorkflow:Breakfast
//!       ├─ StartActivity:Kitchen::brew
//!       │  └─ RunActivity:Kitchen::brew
//!       │     └─ heat                       from `#[instrument]` or `info_span!`
//!       ├─ decide                           once, also if the workflow is replayed
//!       └─ StartActivity:Kitchen::press
//!          └─ RunActivity:Kitchen::press
//!             └─ squeeze                    in a synchronous activity, which enters its trace
//! ```

use std::{process::ExitCode, time::Duration};

use temporal_fleet::{Fleet, TraceContext, activity_task_queue};
use temporalio_sdk::{
    ActivityOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};
use tracing::{Instrument, info, info_span};

fn main() -> ExitCode {
    Fleet::new("breakfast").workflow::<Breakfast>().activities(Kitchen).main()
}

#[workflow]
#[derive(Default)]
struct Breakfast;

#[workflow_methods]
impl Breakfast {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, drink: String) -> WorkflowResult<String> {
        let options = || {
            ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
                .maybe_task_queue(activity_task_queue())
                .build()
        };
        info!("deciding");
        let drink = ctx.execute_activity(Kitchen::brew, drink, options()).await?;
        info_span!("decide").in_scope(|| {});
        info!("decided");
        let fruit = ctx.execute_activity(Kitchen::press, "orange".to_owned(), options()).await?;
        Ok(format!("{drink}, and {fruit}"))
    }
}

struct Kitchen;

#[activities]
impl Kitchen {
    #[activity]
    async fn brew(_ctx: ActivityContext, drink: String) -> Result<String, ActivityError> {
        info!(drink, "brewing");
        async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            info!("it boils");
        }
        .instrument(info_span!("heat", degrees = 90))
        .await;
        Ok(drink)
    }

    /// A synchronous activity runs on a thread of its own. That thread has no trace until it enters the
    /// activity's.
    #[activity]
    #[expect(clippy::needless_pass_by_value, reason = "the macro requires values")]
    fn press(ctx: ActivityContext, fruit: String) -> Result<String, ActivityError> {
        let _in_trace = TraceContext::of(&ctx).enter();
        info!("pressing");
        info_span!("squeeze").in_scope(|| std::thread::sleep(Duration::from_millis(10)));
        Ok(format!("a pressed {fruit}"))
    }
}
