//! The sample: Temporal's `worker_multiprocessing`, translated from Python to Rust.
//!
//! A workflow names the process in which it starts, calls an activity that adds its own process, and
//! then adds the process in which the workflow ends:
//!
//! ```text
//! wf-starting-pid:19178 | activity-pid:19180 | wf-ending-pid:19178
//! ```
//!
//! Names, queues and results are those of the Python sample. The starter of either one works with the
//! workers of the other, and both kinds of worker can share the queues.

mod activities;
mod workflow;

pub use self::{activities::EchoActivities, workflow::ParallelizedWorkflow};
