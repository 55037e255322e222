//! Which spans and events of `tracing` join the traces, and how an event becomes part of a span.

use std::fmt::{Debug, Write};

use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use tracing::{Event, Level, Metadata, Subscriber, field};
use tracing_subscriber::{Layer, layer, registry::LookupSpan};

/// Whether a span or event of `tracing` comes from the user's program, and not from a library below
/// it.
pub(super) fn is_from_user_code(metadata: &Metadata<'_>) -> bool {
    const LIBRARIES: [&str; 12] = [
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
    let root = metadata.target().split("::").next().unwrap_or_default();
    let is_or_extends = |library: &&str| {
        root.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    *metadata.level() <= Level::INFO && !LIBRARIES.iter().any(is_or_extends)
}

/// A layer that adds events outside any span of `tracing` to the span of the activity or workflow.
pub(super) struct EventLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EventLayer {
    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        if context.event_span(event).is_some() {
            return; // The layer of `tracing-opentelemetry` adds it to that span.
        }
        let current = Context::current();
        if current.span().is_recording() {
            let metadata = event.metadata();
            let mut fields = EventFields::default();
            event.record(&mut fields);
            fields.attributes.push(KeyValue::new("level", metadata.level().as_str()));
            fields.attributes.push(KeyValue::new("target", metadata.target()));
            current.span().add_event(fields.message, fields.attributes);
        }
    }
}

/// The message of an event, and its other fields as attributes.
#[derive(Default)]
struct EventFields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl field::Visit for EventFields {
    fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
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
