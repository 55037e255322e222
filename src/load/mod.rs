//! A workload to measure a fleet with, whose size and shape its input tells: `LoadWorkflow`.
//!
//! [`Fleet::load_workload`](crate::Fleet::load_workload) registers it, and `fleet bench` starts it
//! unless it is told to start another workflow. It does nothing of use and touches nothing outside:
//! it is no example of how to write a workflow.
//!
//! All of it is deterministic. "20 ms of CPU time" is a number of iterations, which whoever starts
//! the workflow works out once for the machine it runs on; workflow code never looks at a clock.

mod activities;
mod work;
mod workflow;

pub use activities::{LoadActivities, LoadTask};
use serde::{Deserialize, Serialize};
pub use work::iterations_in;
pub use workflow::LoadWorkflow;

/// What one [`LoadWorkflow`] does: its input, in which each field may be left out.
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
