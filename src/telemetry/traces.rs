//! Traces: the SDK's plugin, a provider for its spans, and what both leave out.
//!
//! The tree of a workflow: the starter's span, `StartWorkflow`, `RunWorkflow`, `StartActivity`,
//! `RunActivity`, across processes. The plugin makes all but the first; its context travels in the
//! Temporal header `_tracer-data`, as in the other SDKs.

use std::{collections::HashMap, fmt::Write, sync::Arc, time::Duration};

use opentelemetry::{
    Context, ContextGuard, KeyValue,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{
        FutureExt, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::{
    SimplePlugin,
    activities::{ActivityContext, ActivityError},
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
    opentelemetry::{OpenTelemetryPlugin, WorkflowIdGenerator, WorkflowSpanProcessor},
    workflow_interceptors::{
        ExecuteWorkflowInput, ExecuteWorkflowResult, WorkflowInterceptor,
        WorkflowInterceptorConstructor, WorkflowInterceptorContext, WorkflowInterceptorFuture,
        WorkflowNext,
    },
};
use temporalio_workflow::WorkflowTermination;
use tokio_util::sync::CancellationToken;
use tracing::{Event, Level, Metadata, Subscriber, field, warn};
use tracing_subscriber::{Layer, filter::filter_fn, layer, registry::LookupSpan};

use super::{export, resource};
use crate::{
    config::{
        Config,
        environment::Environment,
        otel::{Propagators, Settings},
    },
    error::Error,
};

/// The instrumentation scope of what the fleet itself adds.
const SCOPE: &str = "temporal-fleet";

/// Where a process's spans go.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    propagators: Propagators,
    /// The caller's context, where the environment has one.
    caller: Context,
    /// Tells the exporter that the process ends, where the provider is ours, to be shut down.
    ending: Option<CancellationToken>,
}

impl Traces {
    /// The traces of a process in `role`, as the environment has them; `None` where it names no
    /// endpoint.
    ///
    /// # Errors
    /// [`Error::Telemetry`] for certificates that do not fit.
    pub(crate) fn start(config: &Config, role: &str) -> Result<Option<Self>, Error> {
        let Settings { traces, sampler, propagators, batches, limits, .. } = &config.telemetry;
        let Some(endpoint) = traces else { return Ok(None) };
        let resource = resource(config, role);
        let ending = CancellationToken::new();
        let exporter = export::spans(endpoint, ending.clone())
            .map_err(|cause| Error::Telemetry { endpoint: endpoint.to_string(), cause })?;
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(batches.queue)
            .with_max_export_batch_size(batches.most)
            .with_scheduled_delay(batches.delay)
            .build();
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
        let of_parent = || Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let mut provider = SdkTracerProvider::builder()
            .with_id_generator(WorkflowIdGenerator::default())
            // Workflow code may make spans: not on replay.
            .with_span_processor(WorkflowSpanProcessor::new(queue))
            .with_sampler(sampler.clone().unwrap_or_else(of_parent))
            .with_resource(resource);
        if let Some(most) = limits.attributes {
            provider = provider.with_max_attributes_per_span(most);
        }
        if let Some(most) = limits.events {
            provider = provider.with_max_events_per_span(most);
        }
        if let Some(most) = limits.links {
            provider = provider.with_max_links_per_span(most);
        }
        let caller = caller(&config.environment);
        Ok(Some(Self {
            provider: provider.build(),
            propagators: *propagators,
            caller,
            ending: Some(ending),
        }))
    }

    /// Traces by a provider that the program has made, and flushes.
    pub(crate) fn by(provider: SdkTracerProvider, config: &Config) -> Self {
        let caller = caller(&config.environment);
        Self { provider, propagators: config.telemetry.propagators, caller, ending: None }
    }

    pub(crate) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    /// Tells of a caller's context that is none, once there is a log.
    pub(super) fn check_caller(&self, environment: &Environment) {
        let given = environment.get("TRACEPARENT").filter(|it| !it.is_empty());
        if let Some(given) = given.filter(|_| !self.caller.has_active_span()) {
            // The specification wants a new trace then, and no failure.
            warn!("TRACEPARENT={given:?} is no trace context: traces begin here");
        }
    }

    /// The plugins of a client: the SDK's, and ours, which has to come after it, so that it finds the
    /// SDK's spans under way.
    pub(crate) fn plugins(&self) -> [SimplePlugin; 2] {
        let mut propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
        if self.propagators.trace_context {
            propagators.push(Box::new(TraceContextPropagator::new()));
        }
        if self.propagators.baggage {
            propagators.push(Box::new(BaggagePropagator::new()));
        }
        let spans = OpenTelemetryPlugin::builder()
            .tracer(self.provider.tracer("temporalio-sdk"))
            .propagator(TextMapCompositePropagator::new(propagators))
            .build();
        let marks = SimplePlugin::builder("temporal-fleet")
            .activity_inbound_interceptors(vec![
                Arc::new(Marking) as Arc<dyn ActivityInboundInterceptor>
            ])
            .workflow_interceptors(vec![WorkflowInterceptorConstructor::new(|_| Marking)])
            .build();
        [spans, marks]
    }

    /// The layer by which users' spans and events of `tracing` join.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(SdkTracerProvider::tracer(&self.provider, SCOPE))
            .with_tracked_inactivity(false)
            .with_threads(false)
            .with_location(false);
        // The SDK makes spans of `tracing` for what its plugin makes spans for.
        spans.and_then(Events).with_filter(filter_fn(is_users))
    }

    /// Runs the start of a workflow in a span of its own: the root of its trace, or below the caller.
    /// It ends with the start, so that it is sent soon, whatever becomes of the workflow.
    pub(crate) async fn starting<T, E>(
        &self,
        workflow_id: &str,
        batch: &str,
        start: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let tracer = SdkTracerProvider::tracer(&self.provider, SCOPE);
        let builder =
            tracer.span_builder("fleet starter").with_kind(SpanKind::Internal).with_attributes([
                KeyValue::new("temporalWorkflowID", workflow_id.to_owned()),
                KeyValue::new("fleet.batch", batch.to_owned()),
            ]);
        let context = self.caller.with_span(tracer.build_with_context(builder, &self.caller));
        let started = start.with_context(context.clone()).await;
        if started.is_err() {
            context.span().set_status(Status::error("the workflow was not started"));
        }
        context.span().end();
        started
    }

    /// Sends what there is, for so long at most, and ends the export. It blocks.
    pub(crate) fn flush(&self, within: Duration) {
        // What was not sent has been told by the exporter.
        let _ = match &self.ending {
            Some(ending) => {
                ending.cancel();
                self.provider.shutdown_with_timeout(within)
            }
            None => self.provider.force_flush(),
        };
    }
}

/// The context that the caller of this process left in the environment, as OpenTelemetry has it.
fn caller(environment: &Environment) -> Context {
    let named = ["traceparent", "tracestate", "baggage"].map(|name| {
        let value = environment.get(&name.to_ascii_uppercase()).unwrap_or_default();
        (name.to_owned(), value.to_owned())
    });
    let carrier: HashMap<_, _> = named.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    BaggagePropagator::new().extract_with_context(&context, &carrier)
}

/// Whether a span or event of `tracing` is of the user's program, and not below it.
fn is_users(about: &Metadata<'_>) -> bool {
    const BELOW: [&str; 12] = [
        "temporalio",
        "temporal_fleet",
        "opentelemetry",
        "tracing_opentelemetry",
        "tonic",
        "h2",
        "hyper",
        "tower",
        "rustls",
        "tokio",
        "mio",
        "want",
    ];
    let root = about.target().split("::").next().unwrap_or_default();
    *about.level() <= Level::INFO
        && !BELOW.iter().any(|below| {
            root.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
}

/// Adds events that are told outside any span of `tracing` to the span of the activity or workflow.
struct Events;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        if context.event_span(event).is_some() {
            return; // The layer below has it.
        }
        let current = Context::current();
        if current.span().is_recording() {
            let about = event.metadata();
            let mut words = Words::default();
            event.record(&mut words);
            words.attributes.push(KeyValue::new("level", about.level().as_str()));
            words.attributes.push(KeyValue::new("target", about.target()));
            current.span().add_event(words.message, words.attributes);
        }
    }
}

/// An event's message and its fields.
#[derive(Default)]
struct Words {
    message: String,
    attributes: Vec<KeyValue>,
}

impl field::Visit for Words {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.attributes.push(KeyValue::new(field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.attributes.push(KeyValue::new(field.name(), value.to_owned()));
        }
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

/// Adds to the plugin's spans what it leaves out.
struct Marking;

impl ActivityInboundInterceptor for Marking {
    fn execute_activity<'a>(
        &'a self,
        mut input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        // The plugin's span is current while this future is polled, and not before.
        Box::pin(async move {
            let context = Context::current();
            let span = context.span();
            let attempt = i64::from(input.activity_info().attempt);
            span.set_attribute(KeyValue::new("temporalActivityAttempt", attempt));
            input.headers_mut().extend([header(span.span_context())]);
            let result = next.run(input).await;
            match &result {
                // The plugin takes it for a failure; what is Ok stays so.
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

impl WorkflowInterceptor for Marking {
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
        let ended = next.run(input);
        WorkflowInterceptorFuture::new(async move {
            let mut leaves = Leaves(Some(Context::current()));
            let result = ended.await;
            match &result {
                Err(WorkflowTermination::Evicted) => drop(leaves),
                // The plugin takes it for a failure; what is Ok stays so.
                Err(WorkflowTermination::ContinueAsNew(_)) => {
                    leaves.0.take().unwrap_or_default().span().set_status(Status::Ok);
                }
                _ => leaves.0 = None,
            }
            result
        })
    }
}

/// A workflow that leaves this worker before it has ended: the cache is full, or the worker drains.
/// Something in the SDK keeps the context of its span, and with it the span, which nobody would end.
struct Leaves(Option<Context>);

impl Drop for Leaves {
    fn drop(&mut self) {
        if let Some(context) = self.0.take() {
            context.span().set_attribute(KeyValue::new("fleet.evicted", true));
            context.span().end();
        }
    }
}

/// The header that tells an activity its own span: the SDK's tells the one above it.
const HEADER: &str = "temporal-fleet-span";

fn header(span: &SpanContext) -> (String, Payload) {
    let data = [
        span.trace_id().to_bytes().as_slice(),
        &span.span_id().to_bytes(),
        &[span.trace_flags().to_u8()],
    ]
    .concat();
    (HEADER.to_owned(), Payload { data, ..Payload::default() })
}

/// The trace that an activity is part of, for where it does not follow by itself.
///
/// In an async activity spans and logs join its trace without further ado. A synchronous activity runs
/// on a thread of its own, and so does what is handed to `spawn_blocking` or `tokio::spawn`; there it
/// has to be entered:
///
/// ```
/// # use temporal_fleet::TraceContext;
/// # use temporalio_sdk::activities::{ActivityContext, ActivityError};
/// # fn press(ctx: ActivityContext) -> Result<(), ActivityError> {
/// let _joined = TraceContext::of(&ctx).enter();
/// tracing::info_span!("press").in_scope(|| { /* … */ });
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TraceContext(Context);

impl TraceContext {
    /// The trace of this activity. Where there are no traces, entering it has no effect.
    #[must_use]
    pub fn of(ctx: &ActivityContext) -> Self {
        let read = |payload: &Payload| {
            let (trace, rest) = payload.data.split_first_chunk::<16>()?;
            let (span, flags) = rest.split_first_chunk::<8>()?;
            let flags = TraceFlags::new(*flags.first()?);
            let (trace, span) = (TraceId::from_bytes(*trace), SpanId::from_bytes(*span));
            Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
        };
        let span = ctx.headers().get(HEADER).and_then(read);
        Self(span.map(|it| Context::new().with_remote_span_context(it)).unwrap_or_default())
    }

    /// Joins: until the guard is dropped, spans and logs of this thread are part of the trace.
    #[must_use = "dropped at once, it has no effect"]
    pub fn enter(&self) -> impl Drop + use<> {
        Joined { _guard: self.0.clone().attach() }
    }
}

struct Joined {
    _guard: ContextGuard,
}

impl Drop for Joined {
    fn drop(&mut self) {}
}
