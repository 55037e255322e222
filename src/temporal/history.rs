//! What the server's history of a workflow shows: how the workflow was started, which workers ran it, and
//! why somebody terminated or cancelled it.

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::Status};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, WorkflowExecution},
    enums::v1::HistoryEventFilterType,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::GetWorkflowExecutionHistoryRequest,
};

use super::rate_limits::once;
use crate::text::one_line;

/// The number of events that the server returns at most in one page. Most histories are shorter.
pub(crate) const PAGE_EVENTS: i32 = 1000;

/// The events of one run of a workflow that this module reads.
pub(crate) struct History {
    events: Vec<HistoryEvent>,
    /// Whether no event of the run is missing.
    pub(crate) is_whole: bool,
}

/// What a workflow is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    /// The arguments.
    pub(crate) input: Vec<Payload>,
}

/// A part of two definitions that differs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The name of the part: `workflow type`, `task queue`, `input` or `input encoding`.
    pub(crate) part: &'static str,
    /// The part of the workflow that exists, as messages show it.
    pub(crate) existing: String,
    /// The part that was asked for, as messages show it.
    pub(crate) requested: String,
}

/// The identities of a workflow's workers.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// The worker that completed the last workflow task.
    pub(crate) workflow: Option<String>,
    /// The worker of each activity attempt that was recorded, in the order of the history.
    pub(crate) activities: Vec<String>,
}

impl History {
    /// Reads the first events of a run, at most `events` of them and at most one page. An empty `run_id`
    /// stands for the workflow's latest run.
    ///
    /// # Errors
    /// The server's status if it refuses or does not answer.
    pub(crate) async fn read(
        client: &Client,
        workflow_id: &str,
        run_id: &str,
        events: i32,
    ) -> Result<Self, Status> {
        Self::read_pages(client, workflow_id, run_id, events, &mut 1).await
    }

    /// Reads the last event of a workflow's latest run, which must be closed.
    ///
    /// # Errors
    /// The server's status if it refuses or does not answer.
    pub(crate) async fn read_end(client: &Client, workflow_id: &str) -> Result<Self, Status> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                run_id: String::new(),
            }),
            maximum_page_size: 1,
            history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
            ..Default::default()
        };
        let mut client = client.clone();
        let response = client.get_workflow_execution_history(once(request)).await?;
        let events = response.into_inner().history.unwrap_or_default().events;
        Ok(Self { events, is_whole: false })
    }

    /// Reads a run in pages of `events`, as long as there are `calls` left, and takes off those that it made.
    ///
    /// # Errors
    /// The server's status if it refuses or does not answer.
    pub(super) async fn read_pages(
        client: &Client,
        workflow_id: &str,
        run_id: &str,
        events: i32,
        calls: &mut usize,
    ) -> Result<Self, Status> {
        let mut read = Self { events: Vec::new(), is_whole: false };
        let mut page = Vec::new();
        while *calls > 0 && !read.is_whole {
            *calls -= 1;
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: client.namespace(),
                execution: Some(WorkflowExecution {
                    workflow_id: workflow_id.to_owned(),
                    run_id: run_id.to_owned(),
                }),
                maximum_page_size: events,
                next_page_token: page,
                ..Default::default()
            };
            let mut client = client.clone();
            let response = client.get_workflow_execution_history(once(request)).await?;
            let response = response.into_inner();
            let events = response.history.unwrap_or_default().events.into_iter();
            read.events.extend(events.filter(is_read));
            page = response.next_page_token;
            read.is_whole = page.is_empty();
        }
        Ok(read)
    }

    /// The run before this one: the one that continued as new, was retried, or that a cron schedule follows.
    pub(super) fn previous_run(&self) -> Option<&str> {
        self.events.iter().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                let previous = started.continued_execution_run_id.as_str();
                (!previous.is_empty()).then_some(previous)
            }
            _ => None,
        })
    }

    /// The run after this one.
    pub(super) fn next_run(&self) -> Option<&str> {
        let next = self.events.iter().rev().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(event) => {
                Some(event.new_execution_run_id.as_str())
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(event) => {
                Some(event.new_execution_run_id.as_str())
            }
            Attributes::WorkflowExecutionFailedEventAttributes(event) => {
                Some(event.new_execution_run_id.as_str())
            }
            Attributes::WorkflowExecutionTimedOutEventAttributes(event) => {
                Some(event.new_execution_run_id.as_str())
            }
            _ => None,
        });
        next.filter(|run| !run.is_empty())
    }

    /// The values that the run returned, if it completed and its end was read.
    pub(crate) fn result(&self) -> Option<Vec<Payload>> {
        self.events.iter().rev().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionCompletedEventAttributes(completed) => {
                Some(completed.result.clone().unwrap_or_default().payloads)
            }
            _ => None,
        })
    }

    /// The id of the workflow's first run, if this is a later one. A workflow has several runs if it
    /// continued as new, was retried, or has a cron schedule.
    pub(crate) fn earlier_run(&self) -> Option<&str> {
        self.events.iter().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                let first = &started.first_execution_run_id;
                let this = &started.original_execution_run_id;
                (!first.is_empty() && first != this).then_some(first.as_str())
            }
            _ => None,
        })
    }

    /// The definition that this run was started with, and the identity of the client that started it.
    pub(crate) fn started(&self) -> Option<(Definition, &str)> {
        self.events.iter().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => Some((
                Definition {
                    workflow_type: started.workflow_type.clone().unwrap_or_default().name,
                    task_queue: started.task_queue.clone().unwrap_or_default().name,
                    input: started.input.clone().unwrap_or_default().payloads,
                },
                started.identity.as_str(),
            )),
            _ => None,
        })
    }

    /// The workers that ran the workflow, as far as the events that were read show.
    pub(crate) fn workers(&self) -> Workers {
        let mut workers = Workers::default();
        for event in &self.events {
            match &event.attributes {
                Some(Attributes::WorkflowTaskCompletedEventAttributes(task)) => {
                    workers.workflow = Some(task.identity.clone());
                }
                Some(Attributes::ActivityTaskStartedEventAttributes(task)) => {
                    workers.activities.push(task.identity.clone());
                }
                _ => {}
            }
        }
        workers
    }

    /// The reason that was given with the last termination or request to cancel, if any.
    pub(crate) fn reason(&self) -> Option<&str> {
        let reason =
            self.events.iter().rev().find_map(|event| match event.attributes.as_ref()? {
                Attributes::WorkflowExecutionTerminatedEventAttributes(event) => {
                    Some(event.reason.as_str())
                }
                Attributes::WorkflowExecutionCancelRequestedEventAttributes(event) => {
                    Some(event.cause.as_str())
                }
                _ => None,
            });
        reason.filter(|reason| !reason.is_empty())
    }
}

/// Whether one of [`History`]'s functions reads the event. The others may be large.
fn is_read(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::WorkflowExecutionStartedEventAttributes(_)
                | Attributes::WorkflowTaskCompletedEventAttributes(_)
                | Attributes::ActivityTaskStartedEventAttributes(_)
                | Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)
                | Attributes::WorkflowExecutionTerminatedEventAttributes(_)
                | Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)
                | Attributes::WorkflowExecutionCompletedEventAttributes(_)
                | Attributes::WorkflowExecutionFailedEventAttributes(_)
                | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
        )
    )
}

/// The arguments as text, separated by commas; `None` if there are none. Bytes that are not UTF-8 are
/// replaced.
fn input_text(arguments: &[Payload]) -> Option<String> {
    let text = |payload: &Payload| String::from_utf8_lossy(&payload.data).into_owned();
    let arguments: Vec<_> = arguments.iter().map(text).collect();
    (!arguments.is_empty()).then(|| arguments.join(", "))
}

/// The encodings of the arguments, separated by commas.
fn encodings(arguments: &[Payload]) -> String {
    let encoding = |payload: &Payload| {
        let name = payload.metadata.get("encoding").map(|name| String::from_utf8_lossy(name));
        name.unwrap_or_default().into_owned()
    };
    arguments.iter().map(encoding).collect::<Vec<_>>().join(", ")
}

impl Definition {
    /// The first part in which this definition, of a workflow that exists, differs from the requested one.
    pub(crate) fn difference(&self, requested: &Self) -> Option<Difference> {
        let names = |part, existing: &str, requested: &str| {
            let shown = |name| format!("{name:?}");
            let (existing, requested) = (shown(existing), shown(requested));
            (existing != requested).then_some(Difference { part, existing, requested })
        };
        names("workflow type", &self.workflow_type, &requested.workflow_type)
            .or_else(|| names("task queue", &self.task_queue, &requested.task_queue))
            .or_else(|| input_difference(&self.input, &requested.input))
    }
}

fn input_difference(existing: &[Payload], requested: &[Payload]) -> Option<Difference> {
    let same = |(one, other): (&Payload, &Payload)| {
        one.data == other.data && one.metadata == other.metadata
    };
    if existing.len() == requested.len() && existing.iter().zip(requested).all(same) {
        return None;
    }
    let texts = [input_text(existing), input_text(requested)];
    if texts[0] == texts[1] && existing.len() == requested.len() {
        let [existing, requested] = [existing, requested].map(encodings);
        return Some(Difference { part: "input encoding", existing, requested });
    }
    let [existing, requested] = texts;
    let at = common_prefix(
        existing.as_deref().unwrap_or_default(),
        requested.as_deref().unwrap_or_default(),
    );
    let shown =
        |input: Option<String>| input.map_or_else(|| "none".into(), |text| excerpt(&text, at));
    Some(Difference { part: "input", existing: shown(existing), requested: shown(requested) })
}

/// The number of characters that two texts have in common at their beginning.
fn common_prefix(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// The part of a text around the character `at`, on one line. A short text is returned whole.
fn excerpt(text: &str, at: usize) -> String {
    const LONGEST: usize = 80;
    let length = text.chars().count();
    let skipped = if length <= LONGEST { 0 } else { at.saturating_sub(LONGEST / 2) };
    let mut part: String = text.chars().skip(skipped).take(LONGEST).collect();
    if skipped > 0 {
        part.insert(0, '…');
    }
    if skipped + LONGEST < length {
        part.push('…');
    }
    one_line(&part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::payload::from_json;

    #[test]
    fn a_difference_shows_both_values_and_where_long_inputs_differ() {
        let existing = Definition {
            workflow_type: "Order".into(),
            task_queue: "q".into(),
            input: vec![from_json(&format!("{:200}1 end", "start"))],
        };
        assert_eq!(existing.difference(&existing.clone()), None);
        let other = Definition { workflow_type: "Other".into(), ..existing.clone() };
        let names = Difference {
            part: "workflow type",
            existing: "\"Order\"".into(),
            requested: "\"Other\"".into(),
        };
        assert_eq!(existing.difference(&other), Some(names));
        let other = Definition {
            input: vec![from_json(&format!("{:200}2 end", "start"))],
            ..existing.clone()
        };
        let input = existing.difference(&other).unwrap();
        assert_eq!(input.part, "input");
        assert!(input.existing.starts_with('…') && input.existing.ends_with("1 end"), "{input:?}");
        assert!(input.requested.ends_with("2 end"), "{input:?}");
        let other = Definition { input: Vec::new(), ..existing.clone() };
        assert_eq!(existing.difference(&other).unwrap().requested, "none");
        let mut other = existing.clone();
        other.input[0].metadata.insert("encoding".into(), b"binary/plain".to_vec());
        let encoding = existing.difference(&other).unwrap();
        assert_eq!(encoding.part, "input encoding");
        assert_eq!(
            (encoding.existing, encoding.requested),
            ("json/plain".into(), "binary/plain".into())
        );
    }
}
