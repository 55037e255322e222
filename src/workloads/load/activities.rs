//! The load's activity.

#![expect(missing_docs, reason = "the SDK's macros make public items without documentation")]

use std::{hint::black_box, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::{task::spawn_blocking, time::sleep};

use super::{input::is_zero, work::compute};

/// The input of one activity of the load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadTask {
    /// How long it waits first, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub wait_ms: u64,
    /// Iterations of the computation.
    pub iterations: u64,
    /// The text that it returns.
    pub payload: String,
}

/// The load's activities.
pub struct LoadActivities;

#[activities]
impl LoadActivities {
    /// Waits, computes, and then returns the payload.
    ///
    /// # Errors
    /// It does not fail, unless the runtime shuts down while it computes.
    #[activity(name = "load_activity")]
    pub async fn load_activity(
        _ctx: ActivityContext,
        task: LoadTask,
    ) -> Result<String, ActivityError> {
        if task.wait_ms > 0 {
            sleep(Duration::from_millis(task.wait_ms)).await;
        }
        if task.iterations > 0 {
            // It runs on a thread of its own, so that the worker keeps polling and can use every core.
            spawn_blocking(move || black_box(compute(task.iterations))).await?;
        }
        Ok(task.payload)
    }
}
