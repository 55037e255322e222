//! Where workflow code sends its activities.
//!
//! A fleet's queues are configuration, so workflow code cannot name them as constants. It asks
//! [`activity_task_queue`], which answers for the worker that runs it.
//!
//! # Why that is safe in replay
//!
//! The answer is set once, before the worker polls, and never changes in its life. Another worker,
//! or the same one after a change of configuration, may answer differently while it replays an old
//! history, and that is allowed: replay matches a recorded `ActivityTaskScheduled` event by the
//! activity's id and type (`temporalio-sdk-core` 0.10.1, `activity_state_machine.rs`), not by its
//! queue. Activities already scheduled stay on the queue where they are; those that the workflow
//! schedules from then on go to the new one.

use std::future::Future;

tokio::task_local! {
    // A task-local and not a global, so that several workers in one process each have their own.
    // Workflow code sees it because the SDK polls workflows inside the future of `Worker::run`;
    // activities do not, they are spawned.
    static ACTIVITY_TASK_QUEUE: String;
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
/// `None` outside a fleet's workflow worker (in a replayer, in a test); the SDK then uses the
/// workflow's own queue. Why this is safe in replay: see the [module documentation](self).
#[must_use]
pub fn activity_task_queue() -> Option<String> {
    ACTIVITY_TASK_QUEUE.try_with(Clone::clone).ok()
}

/// Runs a worker's future with `queue` as the answer of [`activity_task_queue`].
pub(crate) fn with_activity_task_queue<F: Future>(
    queue: String,
    worker: F,
) -> impl Future<Output = F::Output> {
    ACTIVITY_TASK_QUEUE.scope(queue, worker)
}
