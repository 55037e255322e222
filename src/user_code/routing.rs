//! The task queue to which workflow code sends its activities.
//!
//! A fleet's queues are settings, so workflow code cannot contain them as constants. It calls
//! [`activity_task_queue`], which returns the setting of the worker that runs the workflow.
//!
//! # Why that is safe in replay
//!
//! The queue is set once, before the worker polls, and does not change while the worker runs. Another
//! worker, or the same one after its settings were changed, may return another queue while it replays
//! an old history. That is allowed: replay matches a recorded `ActivityTaskScheduled` event by the
//! activity's id and type (`temporalio-sdk-core` 0.10.1, `activity_state_machine.rs`), not by its
//! queue. Activities that are already scheduled stay on their queue; those that the workflow schedules
//! from then on go to the new one.

use std::future::Future;

tokio::task_local! {
    // This is a task-local and not a global, so that each of several workers in one process has its
    // own. Workflow code can read it, because the SDK polls workflows inside the future of
    // `Worker::run`. Activities cannot, because they are spawned as tasks.
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
/// It is `None` outside a fleet's workflow worker, such as in a replayer or a test. The SDK then uses
/// the workflow's own queue. The [module documentation](self) explains why this is safe in replay.
#[must_use]
pub fn activity_task_queue() -> Option<String> {
    ACTIVITY_TASK_QUEUE.try_with(Clone::clone).ok()
}

/// Runs a worker's future so that [`activity_task_queue`] returns `queue` in it.
pub(crate) fn with_activity_task_queue<F: Future>(
    queue: String,
    worker: F,
) -> impl Future<Output = F::Output> {
    ACTIVITY_TASK_QUEUE.scope(queue, worker)
}
