//! Functions and types for workflow and activity code: the queue of activities, the process's label
//! and the drain signal.

pub(crate) mod drain;
pub(crate) mod input;
pub mod label;
pub mod routing;
