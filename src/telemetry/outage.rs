//! Whether collectors take what they are sent, and what the log says of that: one line when one goes,
//! one when it comes back, whatever the number of signals that go there.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::error::OTelSdkResult;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::otel::Endpoint;

/// A collector that comes and goes is told of no more often than this.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// One signal's way to its collector.
#[derive(Debug)]
pub(super) struct Outage {
    what: &'static str,
    endpoint: String,
    collector: Arc<Mutex<Collector>>,
}

impl Outage {
    pub(super) fn of(what: &'static str, endpoint: &Endpoint) -> Self {
        /// By scheme, host and port. The signals of a process know nothing else of each other.
        static COLLECTORS: LazyLock<Mutex<HashMap<String, Arc<Mutex<Collector>>>>> =
            LazyLock::new(Mutex::default);
        let collector = COLLECTORS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(endpoint.url.origin().ascii_serialization())
            .or_default()
            .clone();
        Self { what, endpoint: endpoint.to_string(), collector }
    }

    /// Takes note of a try that began then.
    pub(super) fn record(&self, begun: Instant, sent: &OTelSdkResult) {
        let (what, endpoint) = (self.what, &self.endpoint);
        let mut collector = self.collector.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Ok(()) if collector.took(what, begun, Instant::now()) => {
                info!("telemetry is exported again ({what}, {endpoint})");
            }
            Err(error) if collector.failed(what, Instant::now()) => {
                warn!(
                    "telemetry cannot be exported ({what}, {endpoint}): {error}; work goes on without"
                );
            }
            _ => {}
        }
    }
}

/// What is known of a collector.
#[derive(Debug, Default)]
struct Collector {
    /// The signals that it does not take.
    failing: HashMap<&'static str, Failing>,
    /// When the last try began that it took.
    took: Option<Instant>,
    last_line: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    /// By a line of this signal, or of one that began to fail in the same absence.
    told: bool,
}

impl Collector {
    /// A try of `what` failed; whether to tell.
    fn failed(&mut self, what: &'static str, now: Instant) -> bool {
        let failing = *self.failing.entry(what).or_insert(Failing { since: now, told: false });
        if failing.told {
            return false;
        }
        let took = self.took;
        let absent = |it: &Failing| took.is_none_or(|took| took < it.since);
        // What fails for itself, while the collector takes other signals, says nothing of those.
        let is_known = self.failing.values().any(|it| it.told && absent(it));
        let is_due = self.last_line.is_none_or(|at| now.duration_since(at) >= BETWEEN_LINES);
        if is_known || is_due {
            self.failing.insert(what, Failing { told: true, ..failing });
        }
        if is_known || !is_due {
            return false;
        }
        self.last_line = Some(now);
        true
    }

    /// A try of `what` that began at `begun` succeeded; whether to tell.
    fn took(&mut self, what: &'static str, begun: Instant, now: Instant) -> bool {
        let before = self.took;
        self.took = before.max(Some(begun));
        let Some(Failing { told: true, .. }) = self.failing.remove(what) else { return false };
        // This line is for all that began to fail in the same absence; what goes on failing begins anew.
        for other in self.failing.values_mut() {
            if before.is_none_or(|before| before < other.since) {
                *other = Failing { since: now, told: false };
            }
        }
        self.last_line = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a collector's signals say, at these seconds.
    fn told(events: &[(u64, &'static str, bool)]) -> Vec<(u64, &'static str, bool)> {
        let (mut collector, start) = (Collector::default(), Instant::now());
        let is_told = |(second, what, sent): &(u64, &'static str, bool)| {
            let now = start + Duration::from_secs(*second);
            if *sent { collector.took(what, now, now) } else { collector.failed(what, now) }
        };
        events.iter().copied().filter(is_told).collect()
    }

    const GONE: bool = false;
    const THERE: bool = true;

    #[test]
    fn one_line_tells_that_it_went_and_one_that_it_is_back() {
        let events = [
            (0, "traces", THERE),
            (0, "logs", THERE),
            (1, "logs", GONE),
            (1, "traces", GONE),
            (30, "metrics", GONE),
            (60, "logs", GONE),
            (61, "traces", THERE),
            (61, "metrics", GONE),
            (62, "logs", THERE),
            (63, "metrics", THERE),
            (64, "traces", THERE),
        ];
        assert_eq!(told(&events), [(1, "logs", GONE), (61, "traces", THERE)]);
    }

    #[test]
    fn a_signal_that_it_never_takes_hides_nothing() {
        let events = [
            (0, "logs", GONE),
            (1, "traces", THERE),
            (2, "logs", GONE),
            (20, "logs", GONE),
            (21, "traces", GONE),
            (22, "metrics", GONE),
            (60, "traces", THERE),
            (61, "metrics", THERE),
            (80, "logs", GONE),
        ];
        let expected = [(0, "logs", GONE), (21, "traces", GONE), (60, "traces", THERE)];
        assert_eq!(told(&events), expected);
    }

    #[test]
    fn one_that_comes_and_goes_is_told_now_and_then_and_one_that_stays_away_in_any_case() {
        let events = [
            (0, "traces", GONE),
            (1, "traces", THERE),
            (2, "traces", GONE),
            (3, "traces", THERE),
            (4, "traces", GONE),
            (10, "traces", GONE),
            (11, "traces", GONE),
            (12, "traces", GONE),
        ];
        let expected = [(0, "traces", GONE), (1, "traces", THERE), (11, "traces", GONE)];
        assert_eq!(told(&events), expected);
    }
}
