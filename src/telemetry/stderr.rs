//! The log on stderr: filtered by `RUST_LOG`, as text or as JSON, each event with the ids of the
//! span in which it was logged.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
};

use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, dynamic_filter_fn},
    fmt::MakeWriter,
    layer::{self, Filter},
    registry::LookupSpan,
};

use super::{panics::AndPanics, repeats::FewRepeats, replay};
use crate::{
    config::LogFormat,
    terminal::stderr,
    text::{self, json},
};

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
    pub(super) fn filter<S: Subscriber>(&self) -> impl Filter<S> + use<S> {
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
        AndPanics(EnvFilter::new(filter).and(not_during_replay).and(few_repeats))
    }
}

/// The layer that writes the log to stderr.
pub(super) fn layer<S>(options: &LogOptions<'_>) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let has_colour = options.colour && io::stderr().is_terminal();
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(has_colour)
        .with_writer(EventWriter::new(options.worker, options.format, has_colour))
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
    /// Whether events have escape sequences for colours. `tracing-subscriber` escapes those of others.
    has_colour: bool,
}

impl EventWriter {
    fn new(worker: Option<&str>, format: LogFormat, has_colour: bool) -> Self {
        let mark = match (worker, format) {
            (None, _) => String::new(),
            (Some(name), LogFormat::Text) => format!("{name} | "),
            (Some(name), LogFormat::Json) => {
                format!("\"worker\":{},", serde_json::Value::from(name))
            }
        };
        Self { mark, format, has_colour }
    }

    /// The text of an event on one line, with nothing in it that acts on a terminal but colours of our own.
    fn escaped<'a>(&self, event: &'a str) -> Cow<'a, str> {
        if !self.has_colour {
            return text::escaped(event);
        }
        let mut line = String::with_capacity(event.len());
        for (plain, style) in text::at_styles(event) {
            line.push_str(&text::escaped(plain));
            line.push_str(style);
        }
        line.into()
    }

    /// Adds the mark and the ids of the current span to an event, and escapes what would act on a terminal.
    /// The current span is the event's own, because an event is written on the thread, and within the call,
    /// that logs it.
    fn marked(&self, event: &[u8]) -> Vec<u8> {
        let context = Context::current();
        let span = context.span().span_context().clone();
        let ids = span.is_valid().then(|| (span.trace_id(), span.span_id()));
        let mark = self.mark.as_bytes();
        match (self.format, event) {
            (LogFormat::Json, [b'{', rest @ .., b'\n']) => {
                let rest = String::from_utf8_lossy(rest);
                let rest = json::on_one_line(&rest);
                let ids = ids.map(|(trace, span)| {
                    format!("\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",")
                });
                [b"{", mark, ids.unwrap_or_default().as_bytes(), rest.as_bytes(), b"\n"].concat()
            }
            (LogFormat::Text, [text @ .., b'\n']) => {
                let text = String::from_utf8_lossy(text);
                let text = self.escaped(&text);
                let ids = ids.map(|(trace, span)| format!(" trace_id={trace} span_id={span}"));
                [mark, text.as_bytes(), ids.unwrap_or_default().as_bytes(), b"\n"].concat()
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
        stderr::log(&line);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_power_over_a_terminal_whatever_is_in_it() {
        let hostile = "a\n2026-01-01 ERROR forged\u{1b}[2J\u{9b}31m\u{202e}";
        let escaped = "a\\n2026-01-01 ERROR forged\\u{1b}[2J\\u{9b}31m\\u{202e}";
        let event = |writer: &EventWriter, event: &str| {
            String::from_utf8(writer.marked(format!("{event}\n").as_bytes())).unwrap()
        };
        let plain = EventWriter::new(Some("w:0"), LogFormat::Text, false);
        assert_eq!(event(&plain, hostile), format!("w:0 | {escaped}\n"));
        let coloured = EventWriter::new(None, LogFormat::Text, true);
        assert_eq!(
            event(&coloured, &format!("\u{1b}[31mERROR\u{1b}[0m {hostile}")),
            format!("\u{1b}[31mERROR\u{1b}[0m {escaped}\n")
        );
        let json = EventWriter::new(Some("w:0"), LogFormat::Json, false);
        assert_eq!(
            event(&json, "{\"message\":\"\u{9b}31m\u{202e}\"}"),
            "{\"worker\":\"w:0\",\"message\":\"\\u009b31m\\u202e\"}\n"
        );
    }
}
