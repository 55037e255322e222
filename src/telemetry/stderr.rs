//! The log on stderr: filtered by `RUST_LOG`, as text or as JSON, each event with the ids of the
//! span in which it was logged.

use std::io::{self, IsTerminal, Write};

use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, dynamic_filter_fn},
    fmt::MakeWriter,
    layer::{self, Filter},
    registry::LookupSpan,
};

use super::{repeats::FewRepeats, replay};
use crate::{config::LogFormat, terminal::progress};

/// The modules that log outages.
const OUTAGES: &str = "temporal_fleet::telemetry=info,temporal_fleet::temporal::outage=info,\
                       temporal_fleet::worker::presence=info";

/// How a process writes its log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOptions<'a> {
    pub(crate) format: LogFormat,
    /// The filter in `RUST_LOG`, if that is set.
    pub(crate) filter: Option<&'a str>,
    /// The filter that applies without `RUST_LOG`.
    pub(crate) default_filter: &'a str,
    /// The name of this worker under a supervisor. Each line is marked with it, because the workers
    /// of one supervisor share a terminal.
    pub(crate) worker: Option<&'a str>,
    /// Whether colours are allowed, as they are without `NO_COLOR`. A log that does not go to a
    /// terminal has none in any case.
    pub(crate) colour: bool,
}

impl LogOptions<'_> {
    /// What is logged, to stderr or elsewhere. Events during replay are suppressed, because the
    /// code already logged them the first time.
    pub(super) fn filter<S>(&self) -> impl Filter<S> + use<S> {
        let filter = self.filter.map_or_else(
            // Outages of collectors and of the server are logged, begin and end, at every default level.
            // OpenTelemetry's own crates would log each failed batch.
            || {
                let default = self.default_filter;
                format!("{default},opentelemetry=off,{OUTAGES}")
            },
            str::to_owned,
        );
        // Whoever chooses a filter gets all that it lets pass.
        let few_repeats = FewRepeats::new(self.filter.is_none());
        let not_during_replay =
            dynamic_filter_fn(|metadata: &Metadata<'_>, _: &layer::Context<'_, S>| {
                metadata.is_span() || !replay::is_replaying()
            })
            .with_max_level_hint(LevelFilter::TRACE);
        EnvFilter::new(filter).and(not_during_replay).and(few_repeats)
    }
}

/// The layer that writes the log to stderr.
pub(super) fn layer<S>(options: &LogOptions<'_>) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(options.colour && io::stderr().is_terminal())
        .with_writer(EventWriter::new(options.worker, options.format))
        // It would report its own errors on stderr, and panic if stderr is closed.
        .log_internal_errors(false);
    let log = match options.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    log.with_filter(options.filter())
}

/// Writes events to stderr, each with the worker's name and the ids of its span.
struct EventWriter {
    /// The worker's name as it stands at the beginning of an event; empty without a supervisor.
    mark: String,
    format: LogFormat,
}

impl EventWriter {
    fn new(worker: Option<&str>, format: LogFormat) -> Self {
        let mark = match (worker, format) {
            (None, _) => String::new(),
            (Some(name), LogFormat::Text) => format!("{name} | "),
            (Some(name), LogFormat::Json) => {
                format!("\"worker\":{},", serde_json::Value::from(name))
            }
        };
        Self { mark, format }
    }

    /// Adds the mark and the ids of the current span to an event. The current span is the event's
    /// own, because an event is written on the thread, and within the call, that logs it.
    fn marked(&self, event: &[u8]) -> Vec<u8> {
        let context = Context::current();
        let span = context.span().span_context().clone();
        let ids = span.is_valid().then(|| (span.trace_id(), span.span_id()));
        let mark = self.mark.as_bytes();
        match (self.format, event) {
            (LogFormat::Json, [b'{', rest @ ..]) => {
                let ids = ids.map(|(trace, span)| {
                    format!("\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",")
                });
                [b"{", mark, ids.unwrap_or_default().as_bytes(), rest].concat()
            }
            (LogFormat::Text, [text @ .., b'\n']) => {
                let ids = ids.map(|(trace, span)| format!(" trace_id={trace} span_id={span}"));
                [mark, text, ids.unwrap_or_default().as_bytes(), b"\n"].concat()
            }
            _ => [mark, event].concat(),
        }
    }
}

impl<'a> MakeWriter<'a> for EventWriter {
    type Writer = StderrWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        StderrWriter(self)
    }
}

/// Each write is one event.
struct StderrWriter<'a>(&'a EventWriter);

impl Write for StderrWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = self.0.marked(event);
        progress::aside(|| io::stderr().lock().write_all(&line))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
