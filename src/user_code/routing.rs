//! The task queues to which workflow code sends its activities.
//!
//! A fleet's queues are settings, so workflow code cannot contain them as constants. It calls
//! [`activity_task_queue`], which returns the setting of the worker that runs the workflow, or
//! [`task_queue`], which returns the queue of a group of workers.
//!
//! # Why that is safe in replay
//!
//! The queue is set once, before the worker polls, and does not change while the worker runs. Another
//! worker, or the same one after its settings were changed, may return another queue while it replays
//! an old history. That is allowed: replay matches a recorded `ActivityTaskScheduled` event by the
//! activity's id and type (`temporalio-sdk-core` 0.10.1, `activity_state_machine.rs`), not by its
//! queue. Activities that are already scheduled stay on their queue; those that the workflow schedules
//! from then on go to the new one.

use std::{collections::BTreeMap, future::Future};

tokio::task_local! {
    // This is a task-local and not a global, so that each of several workers in one process has its
    // own. Workflow code can read it, because the SDK polls workflows inside the future of
    // `Worker::run`. Activities cannot, because they are spawned as tasks.
    static QUEUES: Queues;
}

/// The task queues that workflow code may ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    /// The queue of activities.
    pub(crate) activities: String,
    /// The queue of each group of workers; empty for a fleet without groups.
    pub(crate) groups: BTreeMap<String, String>,
}

/// The task queue that this fleet's activity workers poll, for workflow code:
///
/// ```
/// # use std::time::Duration;
/// use temporal_fleet::activity_task_queue;
/// use temporalio_sdk::ActivityOptions;
///
/// let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
///     .maybe_task_queue(activity_task_queue())
///     .build();
/// ```
///
/// It is `None` outside a fleet's workflow worker, such as in a replayer or a test. The SDK then uses
/// the workflow's own queue. The [module documentation](self) explains why this is safe in replay.
#[must_use]
pub fn activity_task_queue() -> Option<String> {
    QUEUES.try_with(|queues| queues.activities.clone()).ok()
}

/// The task queue of a group of workers, such as that of `[workers.payments]` in `fleet.toml`, for workflow code:
///
/// ```
/// # use std::time::Duration;
/// use temporal_fleet::task_queue;
/// use temporalio_sdk::ActivityOptions;
///
/// let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
///     .maybe_task_queue(task_queue("payments"))
///     .build();
/// ```
///
/// It is `None` outside a fleet's workflow worker, and in a fleet without groups. The SDK then uses the workflow's
/// own queue.
///
/// # Panics
/// If the fleet has groups, but none of this name. The workflow task then fails, with a message that names the groups,
/// and is tried again, also after the settings were corrected.
#[must_use]
pub fn task_queue(group: &str) -> Option<String> {
    let found = QUEUES.try_with(|queues| match queues.groups.get(group) {
        Some(queue) => Some(queue.clone()),
        None if queues.groups.is_empty() => None,
        None => {
            let groups: Vec<_> = queues.groups.keys().map(String::as_str).collect();
            panic!("there is no group {group:?}; the groups are {}", groups.join(", "))
        }
    });
    found.ok().flatten()
}

/// Runs a worker's future so that [`activity_task_queue`] and [`task_queue`] return these queues in it.
pub(crate) fn with_task_queues<F: Future>(
    queues: Queues,
    worker: F,
) -> impl Future<Output = F::Output> {
    QUEUES.scope(queues, worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(groups: &[(&str, &str)], group: &str) -> Option<String> {
        let pairs = groups.iter().map(|(group, queue)| ((*group).to_owned(), (*queue).to_owned()));
        let queues = Queues { activities: "a".into(), groups: pairs.collect() };
        with_task_queues(queues, async { task_queue(group) }).await
    }

    #[tokio::test]
    async fn a_group_has_its_queue_where_there_are_groups() {
        let groups = [("orders", "o"), ("payments", "p")];
        assert_eq!(asked(&groups, "payments").await.as_deref(), Some("p"));
        assert_eq!(asked(&[], "payments").await, None);
        assert_eq!(task_queue("payments"), None, "there is no worker");
    }

    #[tokio::test]
    #[should_panic(expected = "there is no group \"payment\"; the groups are orders, payments")]
    async fn an_unknown_group_fails_the_workflow_task() {
        asked(&[("orders", "o"), ("payments", "p")], "payment").await;
    }
}
