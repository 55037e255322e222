//! Panics as lines of the log.
//!
//! Rust's own report of a panic is several lines of plain text, whatever the log's format, and shows the message
//! as it is, with all that it may do to a terminal.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber, error,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    filter::LevelFilter,
    layer::{Context, Filter},
};

use crate::{terminal::stderr, text};

/// What panics are logged as.
const TARGET: &str = "temporal_fleet::panic";
/// How long a panic waits until its line is written: the process may be about to abort.
const WRITTEN: Duration = Duration::from_millis(50);

/// Whether the log of this process is ours.
static HAS_LOG: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// Reports the panics of this process in its log: in the log's format, on one line, and to where the log is
/// exported. Before there is a log, a panic is one plain line.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(report));
}

/// Notes that the log is installed.
pub(super) fn has_log() {
    HAS_LOG.store(true, Relaxed);
}

fn report(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is no text");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    // Code that the log itself calls, such as `Display` of a value, may panic again.
    if IS_REPORTING.replace(true) {
        stderr::say(&plain(message, &location));
        return;
    }
    // It is captured only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    error!(target: TARGET, location, backtrace, "panicked: {message}");
    if !HAS_LOG.load(Relaxed) {
        stderr::say(&plain(message, &location));
    }
    stderr::flush(WRITTEN);
    IS_REPORTING.set(false);
}

fn plain(message: &str, location: &str) -> String {
    format!("error: panicked at {}\n", text::one_line(&format!("{location}: {message}")))
}

/// A filter that lets panics pass, whatever `RUST_LOG` says, and else what the other one does.
pub(super) struct AndPanics<F>(pub(super) F);

fn is_panic(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

impl<S: Subscriber, F: Filter<S>> Filter<S> for AndPanics<F> {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        is_panic(metadata) || self.0.enabled(metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_panic(metadata) { Interest::always() } else { self.0.callsite_enabled(metadata) }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        is_panic(event.metadata()) || self.0.event_enabled(event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint().map(|hint| hint.max(LevelFilter::ERROR))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_before_the_log_is_one_plain_line() {
        assert_eq!(
            plain("a\nb\u{1b}[2J", "src/x.rs:1:2"),
            "error: panicked at src/x.rs:1:2: a b [2J\n"
        );
    }
}
