//! Detects replay: workflow code that repeats what its history already holds. Log lines are
//! suppressed during replay, because the code already logged them the first time.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use temporalio_sdk::workflow_interceptors::{
    ExecuteWorkflowInput, ExecuteWorkflowResult, HandleSignalInput, HandleSignalResult,
    HandleUpdateInput, HandleUpdateResult, WorkflowInterceptor, WorkflowInterceptorConstructor,
    WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
};

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
    WorkflowInterceptorConstructor::new(|_| ReplayInterceptor)
}

struct ReplayInterceptor;

type Next<'a, I, O> = WorkflowNext<'a, I, WorkflowInterceptorFuture<'a, O>>;

impl WorkflowInterceptor for ReplayInterceptor {
    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: Next<'a, ExecuteWorkflowInput, ExecuteWorkflowResult>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        watch(ctx, next.run(input))
    }

    fn handle_signal<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleSignalInput,
        next: Next<'a, HandleSignalInput, HandleSignalResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        watch(ctx, next.run(input))
    }

    fn handle_update<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleUpdateInput,
        next: Next<'a, HandleUpdateInput, HandleUpdateResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleUpdateResult> {
        watch(ctx, next.run(input))
    }
}

fn watch<'a, T: 'a>(
    ctx: WorkflowInterceptorContext,
    inner: WorkflowInterceptorFuture<'a, T>,
) -> WorkflowInterceptorFuture<'a, T> {
    WorkflowInterceptorFuture::new(ReplayWatch { ctx, inner })
}

/// A future of workflow code. Each poll sets [`REPLAYING`] and restores it afterwards.
struct ReplayWatch<'a, T> {
    ctx: WorkflowInterceptorContext,
    inner: WorkflowInterceptorFuture<'a, T>,
}

impl<T> Future for ReplayWatch<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let _guard = RestoreGuard(REPLAYING.replace(self.ctx.is_replaying_history_events()));
        Pin::new(&mut self.inner).poll(context)
    }
}

/// Restores the earlier value of [`REPLAYING`] when it is dropped, even if workflow code panics.
struct RestoreGuard(bool);

impl Drop for RestoreGuard {
    fn drop(&mut self) {
        REPLAYING.set(self.0);
    }
}
