//! How a workflow of a batch ended.

use std::{fmt, time::Duration};

use temporalio_client::errors::WorkflowGetResultError;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{
    error::chain,
    temporal::history::{self, Workers},
};

/// How one workflow of a batch ended.
pub(crate) struct Outcome {
    /// The workflow's number in the batch, counted from 0.
    pub(crate) index: usize,
    pub(crate) workflow_id: String,
    /// The result of a completed workflow, if it has one; else the failure.
    pub(crate) end: Result<Option<Payload>, WorkflowFailure>,
    /// The time from just before the start request until the result was there. `None` if an earlier starter
    /// started the workflow.
    pub(crate) latency: Option<Duration>,
    /// The workers that ran it.
    pub(crate) workers: Workers,
    /// Whether all runs and events of it were read, so that no worker is missing.
    pub(crate) is_read_whole: bool,
}

impl Outcome {
    pub(crate) fn status(&self) -> WorkflowStatus {
        self.end.as_ref().map_or_else(|failure| failure.status, |_| WorkflowStatus::Completed)
    }
}

/// The state in which a workflow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkflowStatus {
    Completed,
    Failed,
    Cancelled,
    Terminated,
    TimedOut,
    /// The server no longer knows the workflow.
    Lost,
    /// The server's answer cannot be read.
    Unknown,
}

impl WorkflowStatus {
    /// The status as messages and the JSON field `status` have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::TimedOut => "timed out",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for WorkflowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a workflow has no result.
#[derive(Debug)]
pub(crate) struct WorkflowFailure {
    /// Any status except [`WorkflowStatus::Completed`].
    pub(crate) status: WorkflowStatus,
    /// The failure and its causes on one line; empty if the server gave none.
    pub(crate) cause: String,
}

impl From<WorkflowGetResultError> for WorkflowFailure {
    fn from(error: WorkflowGetResultError) -> Self {
        use WorkflowGetResultError as Error;
        let (status, cause) = match error {
            Error::Failed(error) => {
                (WorkflowStatus::Failed, history::failure_text(error.failure()))
            }
            Error::Cancelled { .. } => (WorkflowStatus::Cancelled, String::new()),
            Error::Terminated { .. } => (WorkflowStatus::Terminated, String::new()),
            Error::TimedOut => (WorkflowStatus::TimedOut, String::new()),
            Error::NotFound(_) => (
                WorkflowStatus::Lost,
                "the server no longer knows it: its data was lost, or its retention period is over"
                    .into(),
            ),
            other => (WorkflowStatus::Unknown, chain(&other)),
        };
        Self { status, cause }
    }
}

impl WorkflowFailure {
    /// Uses `reason`, which somebody gave with a termination or a cancellation, where there is no cause.
    /// Puts the cause on one line: the messages of applications hold line ends and stack traces.
    pub(super) fn with_reason(mut self, reason: Option<&str>) -> Self {
        if let Some(reason) = reason.filter(|_| self.cause.is_empty()) {
            reason.clone_into(&mut self.cause);
        }
        self.cause = self.cause.replace(char::is_control, " ");
        self
    }
}
