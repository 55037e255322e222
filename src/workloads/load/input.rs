//! The input of the load's workflow.

use serde::{Deserialize, Serialize};

/// What one [`LoadWorkflow`](super::LoadWorkflow) does: its input, in which each field may be left out.
///
/// It computes; it waits for its timer, if it has one; then come the steps, one after the other. In
/// each of them `parallel` activities run side by side, and after it the workflow computes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Load {
    /// Steps, one after the other.
    pub activities: u32,
    /// Activities side by side in each step.
    pub parallel: u32,
    /// Iterations of the computation in the workflow's code, at its start and after each step.
    pub workflow_iterations: u64,
    /// Iterations of the computation in each activity.
    pub activity_iterations: u64,
    /// Bytes of text that each activity gets and returns.
    pub payload_bytes: u32,
    /// Milliseconds of the timer before the first step; 0: there is none.
    pub timer_ms: u64,
}

impl Default for Load {
    /// One activity, and nothing to do: what Temporal and the SDK cost.
    fn default() -> Self {
        Self {
            activities: 1,
            parallel: 1,
            workflow_iterations: 0,
            activity_iterations: 0,
            payload_bytes: 0,
            timer_ms: 0,
        }
    }
}
