//! The sample: Temporal's `worker_multiprocessing`, from Python to Rust.
//!
//! A workflow notes the process it starts in, has an activity echo that together with its own
//! process, and notes the process it ends in:
//!
//! ```text
//! wf-starting-pid:19178 | activity-pid:19180 | wf-ending-pid:19178
//! ```
//!
//! Names, queues and results are those of the Python sample: its starter can drive these workers,
//! this starter its workers, and both kinds of worker can share the queues.

mod activities;
mod workflow;

pub use self::{activities::EchoActivities, workflow::ParallelizedWorkflow};
