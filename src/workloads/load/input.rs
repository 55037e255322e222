//! The input of the load's workflow.

use serde::{Deserialize, Serialize};

/// The input of one [`LoadWorkflow`](super::LoadWorkflow), as JSON. Each field can be omitted.
///
/// The workflow computes, then waits for its timer, if it has one, then runs its steps one after the
/// other. In each step `parallel` activities run at the same time, and after it the workflow computes
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Load {
    /// Number of steps.
    pub activities: u32,
    /// Activities that each step runs at the same time.
    pub parallel: u32,
    /// Iterations of the computation in the workflow's code, at its start and again after each step.
    pub workflow_iterations: u64,
    /// Iterations of the computation in each activity.
    pub activity_iterations: u64,
    /// How long each activity waits before its computation, in milliseconds, without using the CPU.
    #[serde(skip_serializing_if = "is_zero")]
    pub activity_wait_ms: u64,
    /// After how many milliseconds an activity that has not ended is retried. 0: after a minute.
    #[serde(skip_serializing_if = "is_zero")]
    pub activity_timeout_ms: u64,
    /// Length in bytes of the text that each activity receives and returns.
    pub payload_bytes: u32,
    /// Duration of the timer before the first step, in milliseconds. 0: no timer.
    pub timer_ms: u64,
}

impl Default for Load {
    /// One activity that does nothing. It measures what Temporal and the SDK themselves cost.
    fn default() -> Self {
        Self {
            activities: 1,
            parallel: 1,
            workflow_iterations: 0,
            activity_iterations: 0,
            activity_wait_ms: 0,
            activity_timeout_ms: 0,
            payload_bytes: 0,
            timer_ms: 0,
        }
    }
}

/// Whether a field is left out, so that workers of an earlier version accept an input without it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}
