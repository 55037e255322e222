//! Detects replay: workflow code that repeats what its history already holds. Log lines are
//! suppressed during replay, because the code already logged them the first time.

use std::cell::Cell;

use temporalio_sdk::workflow_interceptors::{
    WorkflowInterceptorConstructor, WorkflowInterceptorContext,
};

use crate::process::around_code::{AroundCode, around_code};

thread_local! {
    /// Whether the workflow code that is being polled replays. One value is enough, because all
    /// workflow code of a worker runs on one thread, one poll after another.
    static REPLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is running workflow code that replays.
pub(super) fn is_replaying() -> bool {
    REPLAYING.get()
}

/// The interceptor that keeps [`is_replaying`] up to date.
pub(crate) fn interceptor() -> WorkflowInterceptorConstructor {
    around_code(|_| ReplayWatch)
}

struct ReplayWatch;

impl AroundCode for ReplayWatch {
    type Entered<'a> = RestoreGuard;

    fn enter(&self, ctx: Option<&WorkflowInterceptorContext>) -> RestoreGuard {
        let replays =
            ctx.map_or_else(is_replaying, WorkflowInterceptorContext::is_replaying_history_events);
        RestoreGuard(REPLAYING.replace(replays))
    }
}

/// Restores the earlier value of [`REPLAYING`] when it is dropped, even if workflow code panics.
struct RestoreGuard(bool);

impl Drop for RestoreGuard {
    fn drop(&mut self) {
        REPLAYING.set(self.0);
    }
}
