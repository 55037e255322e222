//! One process's worker, from its start to the end of its drain.
//!
//! [`FleetWorker`] is the worker as others see it: it has a state, metrics and a deadline for its
//! drain. Inside it, `SdkWorkers` runs the SDK's workers: one at a time, or two while one replaces
//! the other.

mod backlog;
mod chosen_activities;
mod fleet_worker;
mod input_errors;
pub(crate) mod options;
mod poll_gate;
mod polls;
mod presence;
mod readiness;
mod sdk_worker;
mod sdk_worker_factory;
mod sdk_workers;
mod sticky_queue;

pub use self::fleet_worker::FleetWorker;
