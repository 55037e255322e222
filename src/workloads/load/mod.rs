//! A workload to measure a fleet with, whose size and shape its input tells: `LoadWorkflow`.
//!
//! [`Fleet::load_workload`](crate::Fleet::load_workload) registers it, and `fleet bench` starts it
//! unless it is told to start another workflow. It does nothing of use and touches nothing outside:
//! it is no example of how to write a workflow.
//!
//! All of it is deterministic. "20 ms of CPU time" is a number of iterations, which whoever starts
//! the workflow works out once for the machine it runs on; workflow code never looks at a clock.

mod activities;
mod input;
mod work;
mod workflow;

pub use self::{
    activities::{LoadActivities, LoadTask},
    input::Load,
    work::iterations_in,
    workflow::LoadWorkflow,
};
