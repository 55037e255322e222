//! What is known of a workflow that somebody cancelled or terminated, in the form of a failure.

use temporalio_common::protos::temporal::api::common::v1::Payload;

use super::{FailureChain, FailureKind, FailureLink};

impl FailureChain {
    /// The details that a workflow was cancelled with, and the reason. Empty without details, since the reason
    /// is known as text.
    pub(crate) fn of_cancellation(reason: Option<&str>, details: &[Payload]) -> Self {
        Self::ended(FailureKind::Cancelled, reason, details)
    }

    /// The same of a termination.
    pub(crate) fn of_termination(reason: Option<&str>, details: &[Payload]) -> Self {
        Self::ended(FailureKind::Terminated, reason, details)
    }

    /// Adds a reason that became known later.
    pub(crate) fn set_reason(&mut self, reason: &str) {
        if let Some(first) = self.0.first_mut() {
            reason.clone_into(&mut first.message);
        }
    }

    fn ended(kind: FailureKind, reason: Option<&str>, details: &[Payload]) -> Self {
        if details.is_empty() {
            return Self::default();
        }
        Self(vec![FailureLink {
            kind,
            message: reason.unwrap_or_default().to_owned(),
            details: details.to_vec(),
            ..FailureLink::default()
        }])
    }
}
