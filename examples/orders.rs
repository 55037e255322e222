//! A fleet of your own: its workflow charges an order, holds it for a while, packs it and ships it.
//!
//! It shows activities with different timeouts and retries, a timer that a signal ends early, an
//! activity that heartbeats and continues where it was after a crash, and a failure that is not retried.
//!
//! ```text
//! $ cargo run --example orders -- demo -n 1 --input '{"id": "A-17", "items": ["tea", "pot"]}'
//! order A-17: charged at attempt 2, held 0.2 s, packed 2 item(s) at attempt 1, shipped
//! ```
//!
//! Several fleets can share a namespace, because each has its own task queues. Those of this fleet are
//! `orders-workflows` and `orders-activities`.

use std::{pin::pin, process::ExitCode, time::Duration};

use opentelemetry::global;
use serde::{Deserialize, Serialize};
use temporal_fleet::{Fleet, activity_task_queue};
use temporalio_common::RetryPolicy;
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, SyncWorkflowContext, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{select, workflow, workflow_methods},
};

fn main() -> ExitCode {
    Fleet::new("orders").workflow::<OrderWorkflow>().activities(Warehouse).main()
}

/// The workflow's input: what a customer ordered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    id: String,
    items: Vec<String>,
    /// How long the card network takes to answer.
    #[serde(default)]
    charge_ms: u64,
    /// How long packing one item takes.
    #[serde(default)]
    pack_ms: u64,
    /// How long the order is held for changes, unless the `expedite` signal arrives.
    #[serde(default = "default_hold_ms")]
    hold_ms: u64,
    /// `valid`, `flaky` (charging it fails at the first attempt) or `stolen`.
    #[serde(default = "default_card")]
    card: String,
}

fn default_hold_ms() -> u64 {
    200
}

fn default_card() -> String {
    "flaky".into()
}

/// A card network answers within seconds, or not at all.
const CHARGE_TIMEOUT: Duration = Duration::from_secs(5);
/// A big order takes long to pack. The heartbeat shows whether a worker still packs it.
const PACK_TIMEOUT: Duration = Duration::from_mins(10);
/// When a worker is killed, the server notices after this time, and another worker continues.
const PACK_HEARTBEAT: Duration = Duration::from_secs(2);
const SHIP_TIMEOUT: Duration = Duration::from_secs(5);

#[workflow]
#[derive(Default)]
struct OrderWorkflow {
    expedited: bool,
}

#[workflow_methods]
impl OrderWorkflow {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, order: Order) -> WorkflowResult<String> {
        let quick_retry =
            RetryPolicy::builder().initial_interval(Duration::from_millis(50)).build();
        let charged = ctx
            .execute_activity(
                Warehouse::charge,
                order.clone(),
                ActivityOptions::with_start_to_close_timeout(CHARGE_TIMEOUT)
                    .retry_policy(quick_retry)
                    .maybe_task_queue(activity_task_queue())
                    .build(),
            )
            .await?;

        let hold = Duration::from_millis(order.hold_ms);
        let held = select! {
            _ = ctx.timer(hold) => format!("held {:.1} s", hold.as_secs_f64()),
            expedited = ctx.wait_condition(|workflow| workflow.expedited) => {
                expedited?;
                "expedited".to_owned()
            }
        };

        let packed = ctx
            .execute_activity(
                Warehouse::pack,
                order.clone(),
                ActivityOptions::with_start_to_close_timeout(PACK_TIMEOUT)
                    .heartbeat_timeout(PACK_HEARTBEAT)
                    .maybe_task_queue(activity_task_queue())
                    .build(),
            )
            .await?;
        ctx.execute_activity(
            Warehouse::ship,
            order.id.clone(),
            ActivityOptions::with_start_to_close_timeout(SHIP_TIMEOUT)
                .maybe_task_queue(activity_task_queue())
                .build(),
        )
        .await?;
        Ok(format!("order {}: {charged}, {held}, {packed}, shipped", order.id))
    }

    /// Ends the hold, so that the order is packed now.
    #[signal]
    fn expedite(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.expedited = true;
    }
}

struct Warehouse;

#[activities]
impl Warehouse {
    /// Charges the card. It ignores cancellation, because only the card network's answer shows whether
    /// the money was taken.
    #[activity]
    async fn charge(ctx: ActivityContext, order: Order) -> Result<String, ActivityError> {
        tokio::time::sleep(Duration::from_millis(order.charge_ms)).await;
        let attempt = ctx.info().attempt;
        match order.card.as_str() {
            "flaky" if attempt < 2 => {
                Err(ApplicationFailure::new("the card network is busy").into())
            }
            "valid" | "flaky" => Ok(format!("charged at attempt {attempt}")),
            card => Err(ApplicationFailure::non_retryable(format!("the card is {card}")).into()),
        }
    }

    /// Packs item by item. Each heartbeat records the progress, so that another attempt continues there.
    #[activity]
    async fn pack(ctx: ActivityContext, order: Order) -> Result<String, ActivityError> {
        let mut packed: usize = ctx.heartbeat_details().deserialize()?.unwrap_or(0);
        let mut heartbeat = tokio::time::interval(PACK_HEARTBEAT / 4);
        while packed < order.items.len() {
            let mut item = pin!(tokio::time::sleep(Duration::from_millis(order.pack_ms)));
            loop {
                tokio::select! {
                    () = &mut item => break,
                    _ = heartbeat.tick() => ctx.record_heartbeat(packed).await?,
                    () = ctx.cancelled() => return Err(ActivityError::cancelled()),
                }
            }
            packed += 1;
        }
        Ok(format!("packed {} item(s) at attempt {}", order.items.len(), ctx.info().attempt))
    }

    #[activity]
    async fn ship(_ctx: ActivityContext, order_id: String) -> Result<(), ActivityError> {
        tracing::info!(order_id, "shipped");
        // `/metrics` shows this counter as `orders_shipped_total`.
        global::meter("orders").u64_counter("orders.shipped").build().add(1, &[]);
        Ok(())
    }
}
