//! The log on stderr, filtered by `RUST_LOG`, as text or as JSON, with the ids of the span that each
//! line is said in.

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

use super::replay;
use crate::{
    config::{Config, LogFormat},
    terminal::progress,
};

/// The layer that writes the log. `default_filter` holds where `RUST_LOG` is unset; `name` marks each
/// line, to tell the workers of one terminal apart.
pub(super) fn layer<S>(
    config: &Config,
    default_filter: &str,
    name: Option<&str>,
) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let colour = io::stderr().is_terminal() && config.environment.get("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(colour)
        .with_writer(Marked::new(name, config.log_format))
        // Its own complaint would go to a stderr that may be gone, with a panic.
        .log_internal_errors(false);
    let log = match config.log_format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    log.with_filter(filter(config, default_filter))
}

/// What is logged, be it to stderr or elsewhere.
pub(super) fn filter<S>(config: &Config, default_filter: &str) -> impl Filter<S> + use<S> {
    let asked_for = EnvFilter::new(config.environment.get("RUST_LOG").unwrap_or(default_filter));
    let first_time = dynamic_filter_fn(|about: &Metadata<'_>, _: &layer::Context<'_, S>| {
        about.is_span() || !replay::is_replaying()
    })
    .with_max_level_hint(LevelFilter::TRACE);
    asked_for.and(first_time)
}

/// Standard error, with a mark before each event (an event is one write).
struct Marked {
    mark: String,
    format: LogFormat,
}

impl Marked {
    fn new(name: Option<&str>, format: LogFormat) -> Self {
        let mark = match (name, format) {
            (None, _) => String::new(),
            (Some(name), LogFormat::Text) => format!("{name} | "),
            (Some(name), LogFormat::Json) => {
                format!("\"worker\":{},", serde_json::Value::from(name))
            }
        };
        Self { mark, format }
    }

    /// An event as it is written: with the mark, and with the ids of the span in which it happens. It
    /// is written by the thread, and within the call, that tells it.
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

impl<'a> MakeWriter<'a> for Marked {
    type Writer = MarkedWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        MarkedWriter(self)
    }
}

struct MarkedWriter<'a>(&'a Marked);

impl Write for MarkedWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = self.0.marked(event);
        progress::aside(|| io::stderr().lock().write_all(&line))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
