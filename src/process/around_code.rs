//! An interceptor of the SDK around all code of a workflow: its body, its handlers, and what validates updates.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use temporalio_sdk::{
    WorkflowContextView,
    workflow_interceptors::{
        ExecuteWorkflowInput, ExecuteWorkflowResult, HandleQueryInput, HandleQueryResult,
        HandleSignalInput, HandleSignalResult, HandleUpdateInput, HandleUpdateResult,
        InitializeWorkflowInput, InitializeWorkflowOutput, SyncWorkflowInterceptorContext,
        ValidateUpdateInput, ValidateUpdateResult, WorkflowInterceptor,
        WorkflowInterceptorConstructor, WorkflowInterceptorContext, WorkflowInterceptorFuture,
        WorkflowNext,
    },
};

/// What is done around the code of one workflow.
pub(crate) trait AroundCode: 'static {
    /// It is dropped when the code returns or panics.
    type Entered<'a>;

    /// Called before the code runs. `ctx` is that of a body or handler, which can wait and so is called again and
    /// again; `None` for code that cannot.
    fn enter(&self, ctx: Option<&WorkflowInterceptorContext>) -> Self::Entered<'_>;
}

/// The interceptor that makes an [`AroundCode`] for each workflow in the sticky cache.
pub(crate) fn around_code<A: AroundCode>(
    new: impl Fn(&WorkflowContextView) -> A + Send + Sync + 'static,
) -> WorkflowInterceptorConstructor {
    WorkflowInterceptorConstructor::new(move |workflow: &WorkflowContextView| {
        Interceptor(new(workflow))
    })
}

struct Interceptor<A>(A);

type Next<'a, I, O> = WorkflowNext<'a, I, WorkflowInterceptorFuture<'a, O>>;

impl<A: AroundCode> Interceptor<A> {
    fn around<'a, T: 'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        inner: WorkflowInterceptorFuture<'a, T>,
    ) -> WorkflowInterceptorFuture<'a, T> {
        WorkflowInterceptorFuture::new(Around { around: &self.0, ctx, inner })
    }
}

impl<A: AroundCode> WorkflowInterceptor for Interceptor<A> {
    fn initialize_workflow(
        &self,
        _: WorkflowContextView,
        input: InitializeWorkflowInput,
        next: WorkflowNext<'_, InitializeWorkflowInput, InitializeWorkflowOutput>,
    ) -> InitializeWorkflowOutput {
        let _entered = self.0.enter(None);
        next.run(input)
    }

    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: Next<'a, ExecuteWorkflowInput, ExecuteWorkflowResult>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        self.around(ctx, next.run(input))
    }

    fn handle_signal<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleSignalInput,
        next: Next<'a, HandleSignalInput, HandleSignalResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        self.around(ctx, next.run(input))
    }

    fn handle_update<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: HandleUpdateInput,
        next: Next<'a, HandleUpdateInput, HandleUpdateResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleUpdateResult> {
        self.around(ctx, next.run(input))
    }

    fn handle_query(
        &self,
        _: SyncWorkflowInterceptorContext,
        input: HandleQueryInput,
        next: WorkflowNext<'_, HandleQueryInput, HandleQueryResult>,
    ) -> HandleQueryResult {
        let _entered = self.0.enter(None);
        next.run(input)
    }

    fn validate_update(
        &self,
        _: SyncWorkflowInterceptorContext,
        input: ValidateUpdateInput,
        next: WorkflowNext<'_, ValidateUpdateInput, ValidateUpdateResult>,
    ) -> ValidateUpdateResult {
        let _entered = self.0.enter(None);
        next.run(input)
    }
}

/// A future of workflow code. Its code runs while it is polled.
struct Around<'a, A, T> {
    around: &'a A,
    ctx: WorkflowInterceptorContext,
    inner: WorkflowInterceptorFuture<'a, T>,
}

impl<A: AroundCode, T> Future for Around<'_, A, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let around = self.around;
        let _entered = around.enter(Some(&self.ctx));
        Pin::new(&mut self.inner).poll(context)
    }
}
