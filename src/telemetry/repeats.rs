//! What the SDK logs of calls that it repeats.
//!
//! It logs each of them, so that an outage with a hundred workflows awaited fills the log with a line for each
//! every few seconds. That the server is away is logged once (`temporal/outage.rs`); other failures of calls that
//! are repeated are logged now and then. All of it is logged if the user chooses the filter.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Metadata,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{filter::LevelFilter, layer::Context, layer::Filter};

/// The crates of the SDK that log what fails in an outage.
const SDK: [&str; 2] = ["temporalio_client", "temporalio_sdk_core"];

/// The modules of the SDK that log the failures of calls that are repeated.
const MODULES: [&str; 5] = [
    "temporalio_client::retry",
    "temporalio_client::dns",
    "temporalio_sdk_core::pollers",
    "temporalio_sdk_core::worker::heartbeat",
    "temporalio_sdk_core::worker::workflow::wft_poller",
];

/// The shortest time between two lines from one place of the code.
const BETWEEN_LINES: Duration = Duration::from_mins(1);

/// Lets few of the SDK's lines about repeated calls pass, and everything else.
#[derive(Debug)]
pub(super) struct FewRepeats {
    /// If not, everything passes.
    is_on: bool,
    last_lines: Mutex<HashMap<Identifier, Instant>>,
}

impl<S> Filter<S> for FewRepeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_of =
            |modules: &[&str]| modules.iter().any(|module| metadata.target().starts_with(module));
        if !self.is_on || !is_of(&SDK) {
            return true;
        }
        let mut failure = Failure::default();
        event.record(&mut failure);
        // In an outage each task in flight has a line of its own as well.
        !failure.is_outage && (!is_of(&MODULES) || self.is_due(metadata.callsite(), Instant::now()))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

impl FewRepeats {
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, last_lines: Mutex::default() }
    }

    fn is_due(&self, place: Identifier, now: Instant) -> bool {
        let mut last_lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last_lines.get(&place);
        let is_due = last.is_none_or(|last| now.duration_since(*last) >= BETWEEN_LINES);
        if is_due {
            last_lines.insert(place, now);
        }
        is_due
    }
}

/// What an event says of the failure.
#[derive(Default)]
struct Failure {
    is_outage: bool,
}

impl Visit for Failure {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "error" {
            let text = format!("{value:?}");
            let signs = [
                "Unavailable",
                "The service is currently unavailable",
                "transport error",
                "tcp connect error",
            ];
            self.is_outage |= signs.iter().any(|sign| text.contains(sign));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing::warn;
    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn repeated_calls_are_logged_now_and_then_and_outages_not_at_all() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(FewRepeats::new(true));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                let away = "Status { code: Unavailable }";
                warn!(target: "temporalio_client::retry", error = ?away, "away");
                let busy = "Status { code: ResourceExhausted }";
                warn!(target: "temporalio_client::retry", error = ?busy, "busy");
                warn!("ours");
                let task = "code: 'The service is currently unavailable'";
                warn!(target: "temporalio_sdk_core::worker::workflow", error = %task, "task");
                warn!(target: "temporalio_sdk_core::worker::workflow", error = %"bad", "other");
            }
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
        let words = ["away", "busy", "ours", "task", "other"];
        assert_eq!(words.map(count), [0, 1, 3, 0, 3], "{text}");
    }
}
