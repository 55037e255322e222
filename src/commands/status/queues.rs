//! The task queues that `fleet status` shows.

use std::time::{Duration, SystemTime};

use futures::future::try_join_all;
use temporalio_client::Client;

use crate::{
    config::{Config, role::Role},
    error::CommandError,
    temporal::{
        clock::{ClockReader, Skew},
        rate_limits::RateLimits,
        task_queue::{self, TaskKind, View},
    },
};

/// A footnote about tasks that the numbers do not include.
pub(super) const FOOTNOTE: &str = "\
Backlog and rates are the server's estimates for these queues, and can be seconds old. They do not
include tasks that bypass the queues: further tasks of a cached workflow (sticky queues), and
activities that a worker gets eagerly with a workflow task.";

/// A task queue for one kind of task.
pub(super) struct QueueRow {
    pub(super) queue: String,
    pub(super) kind: TaskKind,
    pub(super) view: View,
}

impl QueueRow {
    pub(super) fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// How long the first task of the backlog has waited. `None` without a backlog.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.view.oldest.filter(|_| self.view.backlog > 0)
    }

    /// How many pollers are probably still there.
    pub(super) fn live_pollers(&self) -> usize {
        self.view.pollers.iter().filter(|poller| !poller.is_gone()).count()
    }
}

/// What the server said about the queues.
pub(super) struct Reading {
    pub(super) rows: Vec<QueueRow>,
    /// When it was asked, by its own clock.
    pub(super) now: SystemTime,
    /// How far this machine's clock differs from the server's, if that is known.
    pub(super) skew: Option<Skew>,
}

/// A queue to ask about.
struct Question<'a> {
    queue: &'a str,
    kind: TaskKind,
    /// Whether to show the queue even if nothing polls it and nothing waits in it.
    always: bool,
}

/// Asks the server about the `named` queues, or about the fleet's own queues if none are named.
pub(super) async fn read(
    client: &Client,
    config: &Config,
    named: &[String],
    clock: &ClockReader,
    limits: &RateLimits,
) -> Result<Reading, CommandError> {
    let questions = if named.is_empty() { questions_of_fleet(config) } else { questions_of(named) };
    let views = questions
        .iter()
        .map(|question| task_queue::view(client, question.queue, question.kind, limits));
    let any_queue = questions.first().map_or("", |question| question.queue);
    let (views, clock) = tokio::join!(try_join_all(views), clock.read(client, any_queue));
    let mut views = views?;
    let polls = views.iter().flat_map(|view| &view.pollers).filter_map(|poller| poller.last_access);
    let clock = clock.bounded(None, polls.max());
    let now = clock.now();
    for view in &mut views {
        view.count_from(now);
    }
    let rows = questions
        .into_iter()
        .zip(views)
        .filter(|(question, view)| question.always || view.is_used())
        .map(|(Question { queue, kind, .. }, view)| QueueRow {
            queue: queue.to_owned(),
            kind,
            view,
        })
        .collect();
    Ok(Reading { rows, now, skew: clock.skew() })
}

/// Each queue once, for both kinds of task.
fn questions_of(named: &[String]) -> Vec<Question<'_>> {
    let mut questions: Vec<Question<'_>> = Vec::new();
    for queue in named {
        if questions.iter().all(|question| question.queue != queue) {
            for kind in [TaskKind::Workflow, TaskKind::Activity] {
                questions.push(Question { queue, kind, always: true });
            }
        }
    }
    questions
}

/// The fleet's queues, or those of its groups, each for its own kind of task; for the other kind only if it is used,
/// because workers in role `worker` poll one queue for both.
fn questions_of_fleet(config: &Config) -> Vec<Question<'_>> {
    let mut served: Vec<(&str, Role)> =
        config.groups.iter().map(|group| (group.task_queue(), group.role)).collect();
    if served.is_empty() {
        let roles = [Role::WorkflowWorker, Role::ActivityWorker];
        served.extend(roles.map(|role| (config.task_queue(role), role)));
    }
    let mut questions: Vec<Question<'_>> = Vec::new();
    for (queue, _) in &served {
        if questions.iter().any(|question| question.queue == *queue) {
            continue;
        }
        let runs = |runs: fn(Role) -> bool| {
            served.iter().any(|(other, role)| other == queue && runs(*role))
        };
        let kinds = [
            (TaskKind::Workflow, runs(Role::runs_workflows)),
            (TaskKind::Activity, runs(Role::runs_activities)),
        ];
        questions.extend(kinds.map(|(kind, always)| Question { queue, kind, always }));
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_that_is_named_twice_is_asked_about_once() {
        let named = ["a", "b", "a"].map(str::to_owned);
        let questions = questions_of(&named);
        let asked: Vec<_> =
            questions.iter().map(|question| (question.queue, question.kind.as_str())).collect();
        let expected = [("a", "workflow"), ("a", "activity"), ("b", "workflow"), ("b", "activity")];
        assert_eq!(asked, expected);
    }
}
