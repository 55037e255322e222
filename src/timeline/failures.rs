//! The failures of a timeline with all their causes, and how they are shown.

use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    failure::v1::Failure,
    history::v1::{WorkflowExecutionUpdateCompletedEventAttributes, history_event::Attributes},
    update::v1::outcome,
};

use super::{
    events::Builder,
    layout::Layout,
    row::{Row, RowStatus},
};
use crate::{temporal::failure::FailureChain, terminal::style::DIM, text::cut};

impl Builder {
    /// Keeps the failure that an event contains, with its causes, for the row that the event belongs to.
    pub(super) fn add_failure_chain(&mut self, id: i64, attributes: &Attributes) {
        use Attributes as A;
        let (row, failure) = match attributes {
            A::WorkflowExecutionFailedEventAttributes(event) => {
                if let Some(run) = &mut self.run {
                    run.failure_chain = FailureChain::of(event.failure.as_ref());
                }
                return;
            }
            A::WorkflowExecutionCanceledEventAttributes(event) => {
                if let Some(run) = &mut self.run {
                    let details = payloads(event.details.as_ref());
                    run.failure_chain = FailureChain::of_cancellation(None, details);
                }
                return;
            }
            A::WorkflowExecutionTerminatedEventAttributes(event) => {
                if let Some(run) = &mut self.run {
                    let details = payloads(event.details.as_ref());
                    run.failure_chain = FailureChain::of_termination(Some(&event.reason), details);
                }
                return;
            }
            A::ActivityTaskStartedEventAttributes(event) => {
                if let Some(row) = self.row(event.scheduled_event_id) {
                    row.last_failure_chain = FailureChain::of(event.last_failure.as_ref());
                }
                return;
            }
            A::ActivityTaskTimedOutEventAttributes(event) => {
                let failure = event.failure.as_ref();
                let before = failure.and_then(|failure| failure.cause.as_deref());
                if let Some(row) = self.row(event.scheduled_event_id)
                    && row.last_failure_chain.is_empty()
                {
                    row.last_failure_chain = FailureChain::of(before);
                }
                (event.scheduled_event_id, failure)
            }
            A::WorkflowTaskFailedEventAttributes(event) => {
                (event.scheduled_event_id, event.failure.as_ref())
            }
            A::ActivityTaskFailedEventAttributes(event) => {
                (event.scheduled_event_id, event.failure.as_ref())
            }
            A::ChildWorkflowExecutionFailedEventAttributes(event) => {
                (event.initiated_event_id, event.failure.as_ref())
            }
            A::NexusOperationFailedEventAttributes(event) => {
                (event.scheduled_event_id, event.failure.as_ref())
            }
            A::NexusOperationTimedOutEventAttributes(event) => {
                (event.scheduled_event_id, event.failure.as_ref())
            }
            A::WorkflowExecutionUpdateCompletedEventAttributes(event) => {
                (event.accepted_event_id, failure_of_update(event))
            }
            A::MarkerRecordedEventAttributes(event) => (id, event.failure.as_ref()),
            _ => return,
        };
        if let Some(row) = self.row(row) {
            row.failure_chain = FailureChain::of(failure);
        }
    }
}

fn payloads(payloads: Option<&Payloads>) -> &[Payload] {
    payloads.map(|payloads| &payloads.payloads[..]).unwrap_or_default()
}

fn failure_of_update(event: &WorkflowExecutionUpdateCompletedEventAttributes) -> Option<&Failure> {
    match event.outcome.as_ref()?.value.as_ref()? {
        outcome::Value::Failure(failure) => Some(failure),
        outcome::Value::Success(_) => None,
    }
}

impl Layout {
    /// The text of a failure on one line. A long one has its first and its last causes.
    pub(super) fn shortened(self, text: &str, chain: &FailureChain) -> String {
        let longest = self.longest_note();
        match text.strip_suffix(chain.text().as_str()) {
            Some(before) if !chain.is_empty() => {
                let before = cut(before, longest);
                format!("{before}{}", chain.short(longest))
            }
            _ => cut(text, longest),
        }
    }

    /// The stack traces and large details of a failure, each as a line that begins with a line end; none
    /// unless everything is shown.
    pub(super) fn attachments(self, chain: &FailureChain) -> String {
        if !self.whole {
            return String::new();
        }
        let mut text = String::new();
        for (title, lines) in chain.attachments() {
            let lines = lines.iter().map(|line| format!("      {line}"));
            for line in std::iter::once(format!("    {title}")).chain(lines) {
                text.push('\n');
                text.push_str(&self.colour.paint(DIM, &line));
            }
        }
        text
    }
}

/// How a row ended, if that needs saying.
pub(super) fn ending(row: &Row, layout: Layout) -> Option<String> {
    let why = row.failure.as_ref().map(|why| layout.shortened(why, &row.failure_chain));
    match (row.status, why) {
        (RowStatus::Abandoned, _) => Some("still open when the run ended".to_owned()),
        (status, _) if status.is_open() => None,
        (RowStatus::Completed, why) => why,
        (status, Some(why)) => Some(format!("{}: {why}", status.as_str())),
        (status, None) => Some(status.as_str().to_owned()),
    }
}
