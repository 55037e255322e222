//! Traces: the SDK's OpenTelemetry plugin, a provider for its spans, and what the plugin leaves
//! out.
//!
//! The spans of a workflow form one tree across processes: the starter's span, `StartWorkflow`,
//! `RunWorkflow`, `StartActivity`, `RunActivity`. The plugin makes all but the first. It carries
//! the context in the Temporal header `_tracer-data`, as the other SDKs do.

mod context;
mod events;
mod marks;

use std::{collections::HashMap, sync::Arc, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanExporter},
};
use temporalio_common::protos::temporal::api::common::v1::{Header, Payload};
use temporalio_sdk::{
    SimplePlugin,
    interceptors::ActivityInboundInterceptor,
    opentelemetry::{
        OpenTelemetryPlugin, TRACE_HEADER_KEY, WorkflowIdGenerator, WorkflowSpanProcessor,
    },
    workflow_interceptors::WorkflowInterceptorConstructor,
};
use tokio_util::sync::CancellationToken;
use tracing::{Subscriber, warn};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

pub use self::context::TraceContext;
use self::{
    events::{EventLayer, is_from_user_code},
    marks::SpanMarker,
};
use super::{export, resource::Service};
use crate::{
    config::{
        environment::Environment,
        otel::{Propagators, Settings},
    },
    error::Error,
};

/// The instrumentation scope of the spans that the fleet itself makes.
const SCOPE: &str = "temporal-fleet";

/// The traces of one process. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    propagators: Propagators,
    caller: Caller,
    /// Notifies the exporter that the process ends. `None` for a provider that belongs to the program:
    /// it is flushed, but not shut down.
    ending: Option<CancellationToken>,
}

impl Traces {
    /// Starts the export of traces; `None` if the settings name no endpoint for them.
    ///
    /// # Errors
    /// [`Error::Telemetry`] if the exporter cannot be built, for instance from wrong certificates.
    pub(crate) fn start(
        settings: &Settings,
        service: &Service,
        environment: &Environment,
    ) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &settings.traces else { return Ok(None) };
        let ending = CancellationToken::new();
        let exporter = export::spans(endpoint, ending.clone())?;
        Ok(Some(Self {
            provider: provider(exporter, settings, service.resource(settings)),
            propagators: settings.propagators,
            caller: Caller::of(environment),
            ending: Some(ending),
        }))
    }

    /// Sends traces through a provider that the program has made.
    pub(crate) fn with_provider(
        provider: SdkTracerProvider,
        settings: &Settings,
        environment: &Environment,
    ) -> Self {
        let caller = Caller::of(environment);
        Self { provider, propagators: settings.propagators, caller, ending: None }
    }

    pub(super) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    /// Warns of a `TRACEPARENT` that is not valid. Call it once the log is set up.
    pub(super) fn check_caller(&self) {
        if let Some(given) = &self.caller.invalid {
            // The specification asks for a new trace in this case, not for a failure.
            warn!("TRACEPARENT={given:?} is not a valid trace context; starting a new trace");
        }
    }

    /// The plugins for a client: the SDK's, then the fleet's. The order matters: the fleet's
    /// interceptors change the spans of the SDK's plugin, which have to be current by then.
    pub(crate) fn plugins(&self) -> [SimplePlugin; 2] {
        let spans = OpenTelemetryPlugin::builder()
            .tracer(self.provider.tracer("temporalio-sdk"))
            .propagator(self.propagator())
            .build();
        let marks = SimplePlugin::builder("temporal-fleet")
            .activity_inbound_interceptors(vec![
                Arc::new(SpanMarker) as Arc<dyn ActivityInboundInterceptor>
            ])
            .workflow_interceptors(vec![WorkflowInterceptorConstructor::new(|_| SpanMarker)])
            .build();
        [spans, marks]
    }

    fn propagator(&self) -> TextMapCompositePropagator {
        let mut propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
        if self.propagators.trace_context {
            propagators.push(Box::new(TraceContextPropagator::new()));
        }
        if self.propagators.baggage {
            propagators.push(Box::new(BaggagePropagator::new()));
        }
        TextMapCompositePropagator::new(propagators)
    }

    /// The current context as the header of a request that the SDK's plugin does not see.
    pub(crate) fn current_header(&self) -> Option<Header> {
        let mut carrier = HashMap::<String, String>::new();
        self.propagator().inject_context(&Context::current(), &mut carrier);
        let payload = Payload {
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            data: serde_json::to_vec(&carrier).expect("a map of texts"),
            ..Default::default()
        };
        let fields = [(TRACE_HEADER_KEY.to_owned(), payload)].into();
        (!carrier.is_empty()).then_some(Header { fields })
    }

    /// The layer that adds spans and events of `tracing` from the user's code to the traces. Spans
    /// of the SDK are left out: its plugin already makes spans for the same things.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(SdkTracerProvider::tracer(&self.provider, SCOPE))
            .with_tracked_inactivity(false)
            .with_threads(false)
            .with_location(false)
            .and_then(EventLayer)
            .with_filter(filter_fn(is_from_user_code))
    }

    /// Runs the start of a workflow in a span of its own: the root of a trace, or a child of the
    /// caller's span. The span ends when the workflow is started, so that it is exported soon,
    /// however long the workflow runs.
    pub(crate) async fn trace_start<T, E>(
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
        let parent = &self.caller.context;
        let context = parent.with_span(tracer.build_with_context(builder, parent));
        let started = start.with_context(context.clone()).await;
        if started.is_err() {
            context.span().set_status(Status::error("the workflow was not started"));
        }
        context.span().end();
        started
    }

    /// Sends the spans that are left, for at most `timeout`, and ends the export. It blocks.
    pub(super) fn flush(&self, timeout: Duration) {
        // The exporter has already logged what could not be sent.
        let _ = match &self.ending {
            Some(ending) => {
                ending.cancel();
                self.provider.shutdown_with_timeout(timeout)
            }
            None => self.provider.force_flush(),
        };
    }
}

fn provider(
    exporter: impl SpanExporter + 'static,
    settings: &Settings,
    resource: Resource,
) -> SdkTracerProvider {
    let Settings { sampler, batches, limits, .. } = settings;
    let batch = BatchConfigBuilder::default()
        .with_max_queue_size(batches.queue)
        .with_max_export_batch_size(batches.most)
        .with_scheduled_delay(batches.delay)
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let of_parent = || Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
    let mut provider = SdkTracerProvider::builder()
        .with_id_generator(WorkflowIdGenerator::default())
        // It drops the spans that workflow code makes during replay: they were exported the first
        // time.
        .with_span_processor(WorkflowSpanProcessor::new(processor))
        .with_sampler(sampler.clone().unwrap_or_else(of_parent))
        .with_resource(resource);
    if let Some(limit) = limits.attributes {
        provider = provider.with_max_attributes_per_span(limit);
    }
    if let Some(limit) = limits.events {
        provider = provider.with_max_events_per_span(limit);
    }
    if let Some(limit) = limits.links {
        provider = provider.with_max_links_per_span(limit);
    }
    provider.build()
}

/// The trace context that the caller of this process passed in `TRACEPARENT`, `TRACESTATE` and
/// `BAGGAGE`.
#[derive(Clone, Debug)]
struct Caller {
    context: Context,
    /// The text of `TRACEPARENT`, if it is not valid.
    invalid: Option<String>,
}

impl Caller {
    fn of(environment: &Environment) -> Self {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let carrier: HashMap<_, _> = ["traceparent", "tracestate", "baggage"]
            .into_iter()
            .filter_map(|name| {
                let value = variable(&name.to_ascii_uppercase())?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let context = BaggagePropagator::new().extract_with_context(&context, &carrier);
        let given = variable("TRACEPARENT").filter(|_| !context.has_active_span());
        Self { invalid: given.map(str::to_owned), context }
    }
}
