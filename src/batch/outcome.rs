//! How a workflow of a batch ended.

use std::{fmt, time::Duration};

use temporalio_client::{WorkflowResultDetails, errors::WorkflowGetResultError};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::{
    error,
    temporal::{failure::FailureChain, history::Workers, payload},
    text::{cut, one_line},
};

/// The length to which a cause is cut for people, in columns. JSON has all of it.
const LONGEST_CAUSE: usize = 1000;

/// How one workflow of a batch ended.
pub(crate) struct Outcome {
    /// The workflow's number in the batch, counted from 0.
    pub(crate) index: usize,
    pub(crate) workflow_id: String,
    /// The result of a completed workflow; else the failure. Nearly all results are one value or none.
    pub(crate) end: Result<Vec<Payload>, WorkflowFailure>,
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
    /// The failure and its causes, or the details that a workflow was cancelled or terminated with; else empty.
    pub(crate) chain: FailureChain,
}

impl From<WorkflowGetResultError> for WorkflowFailure {
    fn from(error: WorkflowGetResultError) -> Self {
        use WorkflowGetResultError as Error;
        let mut chain = FailureChain::default();
        let (status, cause) = match error {
            Error::Failed(error) => {
                chain = FailureChain::of(Some(error.failure()));
                (WorkflowStatus::Failed, chain.text())
            }
            Error::Cancelled { details } => {
                chain = FailureChain::of_cancellation(None, details.raw());
                (WorkflowStatus::Cancelled, details_text(&details))
            }
            Error::Terminated { details } => {
                chain = FailureChain::of_termination(None, details.raw());
                (WorkflowStatus::Terminated, details_text(&details))
            }
            Error::TimedOut => (WorkflowStatus::TimedOut, String::new()),
            Error::NotFound(_) => (
                WorkflowStatus::Lost,
                "the server no longer knows it: its data was lost, or its retention period is over"
                    .into(),
            ),
            other => (WorkflowStatus::Unknown, error::chain(&other)),
        };
        Self { chain, ..Self::new(status, &cause) }
    }
}

/// The details that were given with a cancellation or a termination; empty if there are none.
fn details_text(details: &WorkflowResultDetails) -> String {
    match details.raw() {
        [] => String::new(),
        details => payload::line(details),
    }
}

impl WorkflowFailure {
    /// A failure of which no more is known.
    pub(crate) fn new(status: WorkflowStatus, cause: &str) -> Self {
        Self { status, cause: one_line(cause), chain: FailureChain::default() }
    }

    /// Adds the reason that somebody gave with a termination or a cancellation.
    pub(super) fn with_reason(mut self, reason: Option<&str>) -> Self {
        let is_ended_by_somebody =
            matches!(self.status, WorkflowStatus::Cancelled | WorkflowStatus::Terminated);
        let Some(reason) = reason.filter(|_| self.cause.is_empty() || is_ended_by_somebody) else {
            return self;
        };
        self.chain.set_reason(reason);
        self.cause = match self.cause.as_str() {
            "" => one_line(reason),
            details => format!("{} (details: {details})", one_line(reason)),
        };
        self
    }

    /// The cause for people. A long one has its first and its last part.
    pub(super) fn short_cause(&self) -> String {
        if self.status == WorkflowStatus::Failed && !self.chain.is_empty() {
            self.chain.short(LONGEST_CAUSE)
        } else {
            cut(&self.cause, LONGEST_CAUSE)
        }
    }

    /// What failures of the same kind have in common: the cause without the details of each.
    pub(crate) fn kind(&self) -> String {
        if self.status != WorkflowStatus::Failed || self.chain.is_empty() {
            self.cause.clone()
        } else {
            one_line(&self.chain.text_without_details())
        }
    }
}
