//! Whether workflow code replays history, which it does without a word: what it says was said when
//! it happened.

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
    /// All workflow code of a worker runs on one thread, one poll after the other.
    static REPLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs workflow code that replays.
pub(super) fn is_replaying() -> bool {
    REPLAYING.get()
}

/// The interceptor that notes it.
pub(crate) fn interceptor() -> WorkflowInterceptorConstructor {
    WorkflowInterceptorConstructor::new(|_| Noting)
}

struct Noting;

type Next<'a, I, O> = WorkflowNext<'a, I, WorkflowInterceptorFuture<'a, O>>;

impl WorkflowInterceptor for Noting {
    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: Next<'a, ExecuteWorkflowInput, ExecuteWorkflowResult>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        noting(ctx, next.run(input))
    }

    fn handle_signal<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleSignalInput,
        next: Next<'a, HandleSignalInput, HandleSignalResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        noting(ctx, next.run(input))
    }

    fn handle_update<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleUpdateInput,
        next: Next<'a, HandleUpdateInput, HandleUpdateResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleUpdateResult> {
        noting(ctx, next.run(input))
    }
}

fn noting<'a, T: 'a>(
    ctx: WorkflowInterceptorContext,
    inner: WorkflowInterceptorFuture<'a, T>,
) -> WorkflowInterceptorFuture<'a, T> {
    WorkflowInterceptorFuture::new(Noted { ctx, inner })
}

struct Noted<'a, T> {
    ctx: WorkflowInterceptorContext,
    inner: WorkflowInterceptorFuture<'a, T>,
}

impl<T> Future for Noted<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let _restored = Restored(REPLAYING.replace(self.ctx.is_replaying_history_events()));
        Pin::new(&mut self.inner).poll(context)
    }
}

/// Puts back what was noted before, also where workflow code panics.
struct Restored(bool);

impl Drop for Restored {
    fn drop(&mut self) {
        REPLAYING.set(self.0);
    }
}
