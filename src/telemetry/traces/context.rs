//! The trace that an activity belongs to, for code that leaves the activity's thread.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::activities::ActivityContext;

/// The header that carries the activity's own span. The SDK's header carries the parent of that
/// span.
const HEADER: &str = "temporal-fleet-span";

/// The header for an activity whose span is `span`: 16 bytes of trace id, 8 of span id, 1 of flags.
pub(super) fn header(span: &SpanContext) -> (String, Payload) {
    let data = [
        span.trace_id().to_bytes().as_slice(),
        &span.span_id().to_bytes(),
        &[span.trace_flags().to_u8()],
    ]
    .concat();
    (HEADER.to_owned(), Payload { data, ..Payload::default() })
}

/// The trace that an activity belongs to, for code that does not join it by itself.
///
/// In an async activity, spans and logs join the activity's trace without further code. A
/// synchronous activity runs on a thread of its own, and so does everything that is passed to
/// `spawn_blocking` or `tokio::spawn`. That code has to enter the trace:
///
/// ```
/// # use temporal_fleet::TraceContext;
/// # use temporalio_sdk::activities::{ActivityContext, ActivityError};
/// # fn press(ctx: ActivityContext) -> Result<(), ActivityError> {
/// let _guard = TraceContext::of(&ctx).enter();
/// tracing::info_span!("press").in_scope(|| { /* … */ });
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TraceContext(Context);

impl TraceContext {
    /// Returns the trace of this activity. If the fleet exports no traces, entering it has no
    /// effect.
    #[must_use]
    pub fn of(ctx: &ActivityContext) -> Self {
        let span = ctx.headers().get(HEADER).and_then(parse);
        let context = span.map(|span| Context::new().with_remote_span_context(span));
        Self(context.unwrap_or_default())
    }

    /// Enters the trace: spans and logs of this thread belong to it until the returned guard is
    /// dropped.
    #[must_use = "dropped at once, it has no effect"]
    pub fn enter(&self) -> impl Drop + use<> {
        self.0.clone().attach()
    }
}

/// The inverse of [`header`].
fn parse(payload: &Payload) -> Option<SpanContext> {
    let (trace, rest) = payload.data.split_first_chunk::<16>()?;
    let (span, flags) = rest.split_first_chunk::<8>()?;
    let flags = TraceFlags::new(*flags.first()?);
    let (trace, span) = (TraceId::from_bytes(*trace), SpanId::from_bytes(*span));
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}
