//! What the fleet adds to the spans of the SDK's OpenTelemetry plugin.

use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use temporalio_sdk::{
    activities::ActivityError,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
    workflow_interceptors::{
        ExecuteWorkflowInput, ExecuteWorkflowResult, WorkflowInterceptor,
        WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
    },
};
use temporalio_workflow::WorkflowTermination;

use super::context::header;

/// An interceptor that adds attributes and a status to the plugin's spans, and ends the spans of
/// evicted workflows.
pub(super) struct SpanMarker;

impl ActivityInboundInterceptor for SpanMarker {
    fn execute_activity<'a>(
        &'a self,
        mut input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        // The plugin's span is the current one only while this future is polled.
        Box::pin(async move {
            let context = Context::current();
            let span = context.span();
            let attempt = i64::from(input.activity_info().attempt);
            span.set_attribute(KeyValue::new("temporalActivityAttempt", attempt));
            input.headers_mut().extend([header(span.span_context())]);
            let result = next.run(input).await;
            match &result {
                // The plugin would set an error status. A status of Ok cannot be overwritten.
                Err(ActivityError::WillCompleteAsync) => span.set_status(Status::Ok),
                Err(ActivityError::Cancelled { .. }) => {
                    span.set_attribute(KeyValue::new("error.type", "Cancelled"));
                }
                Err(ActivityError::Application(failure)) => {
                    let kind = failure.type_name().unwrap_or("ApplicationFailure").to_owned();
                    span.set_attribute(KeyValue::new("error.type", kind));
                }
                _ => {}
            }
            result
        })
    }
}

impl WorkflowInterceptor for SpanMarker {
    fn execute<'a>(
        &'a self,
        _ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<
            'a,
            ExecuteWorkflowInput,
            WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>,
        >,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        let run = next.run(input);
        WorkflowInterceptorFuture::new(async move {
            let mut eviction = EvictionGuard(Some(Context::current()));
            let result = run.await;
            match &result {
                Err(WorkflowTermination::Evicted) => drop(eviction),
                // The plugin would set an error status. A status of Ok cannot be overwritten.
                Err(WorkflowTermination::ContinueAsNew(_)) => {
                    eviction.0.take().unwrap_or_default().span().set_status(Status::Ok);
                }
                _ => eviction.0 = None,
            }
            result
        })
    }
}

/// Ends the span of a workflow that is evicted before it has ended, because the cache is full or
/// the worker drains. The SDK keeps the context of the span, so that the span would never end by
/// itself.
struct EvictionGuard(Option<Context>);

impl Drop for EvictionGuard {
    fn drop(&mut self) {
        if let Some(context) = self.0.take() {
            context.span().set_attribute(KeyValue::new("fleet.evicted", true));
            context.span().end();
        }
    }
}
