//! Outages of collectors: the log gets one line when a collector stops accepting telemetry and one
//! when it accepts it again, however many signals go there.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::error::OTelSdkResult;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::otel::Endpoint;

/// The shortest time between two lines about outages of a collector, so that one that comes and
/// goes does not fill the log.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The outages of one signal's endpoint.
#[derive(Debug)]
pub(super) struct Outage {
    signal: &'static str,
    endpoint: String,
    /// The URL as it is, which errors quote. It may hold a token.
    url: String,
    collector: Arc<Mutex<Collector>>,
}

impl Outage {
    pub(super) fn of(signal: &'static str, endpoint: &Endpoint) -> Self {
        /// The collectors, by scheme, host and port. The exporters of a process share nothing else.
        static COLLECTORS: LazyLock<Mutex<HashMap<String, Arc<Mutex<Collector>>>>> =
            LazyLock::new(Mutex::default);
        let collector = COLLECTORS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(endpoint.url.origin().ascii_serialization())
            .or_default()
            .clone();
        Self { signal, endpoint: endpoint.to_string(), url: endpoint.url.to_string(), collector }
    }

    /// Records the result of an attempt that began at `start`, and logs a change.
    pub(super) fn record(&self, start: Instant, sent: &OTelSdkResult) {
        let (signal, endpoint) = (self.signal, &self.endpoint);
        let mut collector = self.collector.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Ok(()) if collector.accepted(signal, start, Instant::now()) => {
                info!("telemetry is exported again ({signal}, {endpoint})");
            }
            Err(error) if collector.failed(signal, Instant::now()) => {
                let error = error.to_string().replace(&self.url, "the endpoint");
                warn!(
                    "telemetry cannot be exported ({signal}, {endpoint}): {error}; \
                     the process works on without it"
                );
            }
            _ => {}
        }
    }
}

/// The state of one collector, as far as the attempts to export show it.
#[derive(Debug, Default)]
struct Collector {
    /// The signals whose last attempt failed.
    failing: HashMap<&'static str, SignalFailure>,
    /// When the last successful attempt began.
    last_accepted: Option<Instant>,
    last_line: Option<Instant>,
}

/// The failed attempts of one signal since its last successful one.
#[derive(Clone, Copy, Debug)]
struct SignalFailure {
    since: Instant,
    /// Whether the log has a line about this outage: about this signal, or about another one that
    /// began to fail in the same outage.
    is_logged: bool,
}

impl Collector {
    /// Records a failed attempt to export `signal`. Returns whether to log it.
    fn failed(&mut self, signal: &'static str, now: Instant) -> bool {
        let new = SignalFailure { since: now, is_logged: false };
        let failure = *self.failing.entry(signal).or_insert(new);
        if failure.is_logged {
            return false;
        }
        let last_accepted = self.last_accepted;
        // A signal that fails while the collector accepts others is no sign of an outage.
        let is_outage = |failure: &SignalFailure| {
            last_accepted.is_none_or(|last_accepted| last_accepted < failure.since)
        };
        let is_known = self.failing.values().any(|failure| failure.is_logged && is_outage(failure));
        let is_due = self.last_line.is_none_or(|at| now.duration_since(at) >= BETWEEN_LINES);
        if is_known || is_due {
            self.failing.insert(signal, SignalFailure { is_logged: true, ..failure });
        }
        if is_known || !is_due {
            return false;
        }
        self.last_line = Some(now);
        true
    }

    /// Records a successful attempt to export `signal`, which began at `start`. Returns whether to
    /// log it.
    fn accepted(&mut self, signal: &'static str, start: Instant, now: Instant) -> bool {
        let before = self.last_accepted;
        self.last_accepted = before.max(Some(start));
        let Some(SignalFailure { is_logged: true, .. }) = self.failing.remove(signal) else {
            return false;
        };
        // One line is enough for all signals that began to fail in the same outage. Those that
        // still fail begin a new outage.
        for other in self.failing.values_mut() {
            if before.is_none_or(|before| before < other.since) {
                *other = SignalFailure { since: now, is_logged: false };
            }
        }
        self.last_line = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events that are logged, of results of attempts at these seconds.
    fn logged(events: &[(u64, &'static str, bool)]) -> Vec<(u64, &'static str, bool)> {
        let (mut collector, start) = (Collector::default(), Instant::now());
        let is_logged = |(second, signal, sent): &(u64, &'static str, bool)| {
            let now = start + Duration::from_secs(*second);
            if *sent { collector.accepted(signal, now, now) } else { collector.failed(signal, now) }
        };
        events.iter().copied().filter(is_logged).collect()
    }

    const FAILED: bool = false;
    const ACCEPTED: bool = true;

    #[test]
    fn an_outage_of_all_signals_is_logged_once_when_it_begins_and_once_when_it_ends() {
        let events = [
            (0, "traces", ACCEPTED),
            (0, "logs", ACCEPTED),
            (1, "logs", FAILED),
            (1, "traces", FAILED),
            (30, "metrics", FAILED),
            (60, "logs", FAILED),
            (61, "traces", ACCEPTED),
            (61, "metrics", FAILED),
            (62, "logs", ACCEPTED),
            (63, "metrics", ACCEPTED),
            (64, "traces", ACCEPTED),
        ];
        assert_eq!(logged(&events), [(1, "logs", FAILED), (61, "traces", ACCEPTED)]);
    }

    #[test]
    fn a_signal_that_is_never_accepted_does_not_hide_an_outage() {
        let events = [
            (0, "logs", FAILED),
            (1, "traces", ACCEPTED),
            (2, "logs", FAILED),
            (20, "logs", FAILED),
            (21, "traces", FAILED),
            (22, "metrics", FAILED),
            (60, "traces", ACCEPTED),
            (61, "metrics", ACCEPTED),
            (80, "logs", FAILED),
        ];
        let expected = [(0, "logs", FAILED), (21, "traces", FAILED), (60, "traces", ACCEPTED)];
        assert_eq!(logged(&events), expected);
    }

    #[test]
    fn a_flapping_collector_is_logged_rarely_and_a_lasting_outage_always() {
        let events = [
            (0, "traces", FAILED),
            (1, "traces", ACCEPTED),
            (2, "traces", FAILED),
            (3, "traces", ACCEPTED),
            (4, "traces", FAILED),
            (10, "traces", FAILED),
            (11, "traces", FAILED),
            (12, "traces", FAILED),
        ];
        let expected = [(0, "traces", FAILED), (1, "traces", ACCEPTED), (11, "traces", FAILED)];
        assert_eq!(logged(&events), expected);
    }
}
