//! A batch of workflows: starts them with bounded concurrency, waits for them, and reports each outcome as
//! it comes.
//!
//! A batch has a name, and the ids of its workflows follow from the name. So a starter that died can be
//! run again: it finds at the server what was started before, running or done, and starts nothing twice.

pub(crate) mod outcome;
pub(crate) mod report;
mod run;
mod spec;
mod start;
mod start_options;
mod starts;
mod summary;
mod tally;
mod wait;
mod workflows;

pub(crate) use self::{
    outcome::WorkflowFailure,
    run::BatchRun,
    spec::{Batch, BatchName},
    start_options::StartOptions,
    summary::Remainder,
};
