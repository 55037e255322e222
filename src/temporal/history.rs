//! What the server's history of a workflow tells of it: how it was started, who worked on it, why
//! somebody ended it.

use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::GetWorkflowExecutionHistoryRequest,
};

/// Enough for most workflows, and what the server sends at a time. Of a longer history this is the
/// beginning.
pub(crate) const PAGE_EVENTS: i32 = 1000;

/// The beginning of one run's history.
pub(crate) struct History(Vec<HistoryEvent>);

/// How a workflow is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    /// The one argument, as JSON; `None`: there is none.
    pub(crate) input: Option<String>,
}

/// A part of two definitions that differs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The name of the part: `workflow type`, `task queue` or `input`.
    pub(crate) part: &'static str,
    /// The part of the workflow that exists, as messages show it.
    pub(crate) existing: String,
    /// The part that was asked for, as messages show it.
    pub(crate) requested: String,
}

/// The identities of a workflow's workers.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Who completed the last workflow task.
    pub(crate) workflow: Option<String>,
    /// Who ran the activities, each as often as it ran one.
    pub(crate) activities: Vec<String>,
}

impl History {
    /// Reads the first `events` of a run; an empty `run_id` stands for the workflow's latest.
    pub(crate) async fn read(
        client: &Client,
        workflow_id: &str,
        run_id: &str,
        events: i32,
    ) -> Result<Self, Status> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                run_id: run_id.to_owned(),
            }),
            maximum_page_size: events,
            ..Default::default()
        };
        let mut client = client.clone();
        let response = client.get_workflow_execution_history(request.into_request()).await?;
        Ok(Self(response.into_inner().history.unwrap_or_default().events))
    }

    /// The run with which the workflow began, where this is a later one of it: it continued as new,
    /// was retried or is a cron workflow's.
    pub(crate) fn earlier_run(&self) -> Option<&str> {
        self.0.iter().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                let first = &started.first_execution_run_id;
                let this = &started.original_execution_run_id;
                (!first.is_empty() && first != this).then_some(first.as_str())
            }
            _ => None,
        })
    }

    /// How the workflow was started, and by whom: the identity of the starter.
    pub(crate) fn started(&self) -> Option<(Definition, &str)> {
        self.0.iter().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => Some((
                Definition {
                    workflow_type: started.workflow_type.clone().unwrap_or_default().name,
                    task_queue: started.task_queue.clone().unwrap_or_default().name,
                    input: started.input.as_ref().and_then(input),
                },
                started.identity.as_str(),
            )),
            _ => None,
        })
    }

    /// Who worked on it, as far as this part of the history goes.
    pub(crate) fn workers(&self) -> Workers {
        let mut workers = Workers::default();
        for event in &self.0 {
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

    /// What somebody said who terminated or cancelled the workflow.
    pub(crate) fn reason(&self) -> Option<&str> {
        let reason = self.0.iter().rev().find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionTerminatedEventAttributes(it) => Some(it.reason.as_str()),
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(it) => {
                Some(it.cause.as_str())
            }
            _ => None,
        });
        reason.filter(|reason| !reason.is_empty())
    }
}

/// The arguments as text; of what is not text, what looks like it.
fn input(payloads: &Payloads) -> Option<String> {
    let text = |payload: &Payload| String::from_utf8_lossy(&payload.data).into_owned();
    let arguments: Vec<_> = payloads.payloads.iter().map(text).collect();
    (!arguments.is_empty()).then(|| arguments.join(", "))
}

/// A failure and its causes, outermost first, as people say it.
pub(crate) fn failure_text(failure: &Failure) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(failure);
    while let Some(failure) = next {
        let said = match &failure.failure_info {
            Some(FailureInfo::ActivityFailureInfo(it)) => {
                format!("activity {}", it.activity_type.clone().unwrap_or_default().name)
            }
            Some(FailureInfo::ChildWorkflowExecutionFailureInfo(it)) => {
                format!("child workflow {}", it.workflow_type.clone().unwrap_or_default().name)
            }
            _ => failure.message.clone(),
        };
        if !said.is_empty() && words.last() != Some(&said) {
            words.push(said);
        }
        next = failure.cause.as_deref();
    }
    words.join(": ")
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
            .or_else(|| input_difference(self.input.as_deref(), requested.input.as_deref()))
    }
}

fn input_difference(existing: Option<&str>, requested: Option<&str>) -> Option<Difference> {
    if existing == requested {
        return None;
    }
    let at = common_prefix(existing.unwrap_or_default(), requested.unwrap_or_default());
    let shown = |input: Option<&str>| input.map_or_else(|| "none".into(), |text| excerpt(text, at));
    Some(Difference { part: "input", existing: shown(existing), requested: shown(requested) })
}

/// The number of characters that two texts have in common at their beginning.
fn common_prefix(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// The part of a text around the character `at`, on one line; all of it where that is short.
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
    part.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_both_and_shows_where_long_inputs_part() {
        let one = Definition {
            workflow_type: "Order".into(),
            task_queue: "q".into(),
            input: Some(format!("{:200}1 end", "start")),
        };
        assert_eq!(one.difference(&one.clone()), None);
        let other = Definition { workflow_type: "Other".into(), ..one.clone() };
        let names = Difference {
            part: "workflow type",
            existing: "\"Order\"".into(),
            requested: "\"Other\"".into(),
        };
        assert_eq!(one.difference(&other), Some(names));
        let other = Definition { input: Some(format!("{:200}2 end", "start")), ..one.clone() };
        let Difference { part, existing, requested } = one.difference(&other).unwrap();
        assert_eq!(part, "input");
        assert!(existing.starts_with('…') && existing.ends_with("1 end"), "{existing}");
        assert!(requested.ends_with("2 end"), "{requested}");
        let other = Definition { input: None, ..one.clone() };
        assert_eq!(one.difference(&other).unwrap().requested, "none");
    }
}
