//! A workload that measures a fleet: `LoadWorkflow`, whose input [`Load`] gives its size and shape.
//!
//! [`Fleet::load_workload`](crate::Fleet::load_workload) registers it, and `fleet bench` starts it
//! unless `--workflow-type` names another workflow. It does nothing useful and has no side effects, so
//! it is not an example of how to write a workflow.
//!
//! All of it is deterministic. Work such as "20 ms of CPU time" is a number of iterations. The program
//! that starts the workflow calculates this number once, for the machine that it runs on
//! ([`iterations_in`]); workflow code never reads a clock.

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
