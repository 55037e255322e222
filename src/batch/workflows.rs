//! The workflows of a batch that is being run, and the server that they are at.

use std::sync::atomic::AtomicBool;

use super::{spec::Batch, starts::Starts};
use crate::{telemetry::Traces, temporal::retry::RetryingClient};

/// What starting and awaiting a workflow of a batch needs.
pub(super) struct Workflows {
    pub(super) batch: Batch,
    pub(super) server: RetryingClient,
    pub(super) starts: Starts,
    /// Whether no more workflows are to be started.
    pub(super) is_stopping: AtomicBool,
    pub(super) traces: Option<Traces>,
}
