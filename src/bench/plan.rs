//! The plan of a bench: when each workflow is started, and when the bench ends.

use std::{fmt, time::Duration};

use super::pace::Pace;
use crate::config::show;

/// How long to start workflows. Those of the warm-up come in addition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Duration(Duration),
    Count(u64),
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(time) => write!(f, "{}", show(*time)),
            Self::Count(1) => write!(f, "1 workflow"),
            Self::Count(count) => write!(f, "{count} workflows"),
        }
    }
}

/// The plan of a bench.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) length: Length,
    /// Workflows that are due within this time from the beginning are started and not measured.
    pub(crate) warmup: Duration,
    /// How long to wait for workflows in flight after the last one was started.
    pub(crate) timeout: Duration,
    /// How many histories to read after the run.
    pub(crate) sample: usize,
}

/// When to start a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScheduledStart {
    /// The time from the beginning of the run.
    pub(super) at: Duration,
    /// Whether it is after the warm-up.
    pub(super) is_measured: bool,
}

impl Plan {
    /// The next start, after `started` starts of which `measured` are measured. In a closed loop it
    /// is `now`, the time from the beginning. `None` if no more are to be started.
    pub(super) fn next(
        &self,
        started: u64,
        measured: u64,
        now: Duration,
    ) -> Option<ScheduledStart> {
        let at = match self.pace {
            Pace::Closed { .. } => now,
            Pace::Open { rate, .. } => rate.due(started),
        };
        let is_over = match self.length {
            Length::Duration(duration) => at >= self.warmup + duration,
            Length::Count(count) => measured >= count,
        };
        (!is_over).then_some(ScheduledStart { at, is_measured: at >= self.warmup })
    }

    /// An upper bound for the time of the last start, from the beginning. `None` if there is none.
    pub(super) fn last_start(&self) -> Option<Duration> {
        match (self.length, self.pace) {
            (Length::Duration(duration), _) => Some(self.warmup + duration),
            (Length::Count(count), Pace::Open { rate, .. }) => {
                // The first measured start is the first one that is due after the warm-up.
                Some(self.warmup.saturating_add(rate.due(count)))
            }
            (Length::Count(_), Pace::Closed { .. }) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::pace::Rate;

    fn plan(pace: Pace, length: Length, warmup: u64) -> Plan {
        let (warmup, timeout) = (Duration::from_secs(warmup), Duration::ZERO);
        Plan { pace, length, warmup, timeout, sample: 0 }
    }

    fn open(rate: &str) -> Pace {
        Pace::Open { rate: Rate::parse(rate).unwrap(), max_in_flight: 1 }
    }

    #[test]
    fn open_loop_starts_by_the_clock_without_drift() {
        let plan = plan(open("30/s"), Length::Duration(Duration::from_secs(2)), 1);
        let starts: Vec<_> =
            (0..).map_while(|started| plan.next(started, 0, Duration::MAX)).collect();
        assert_eq!(starts.len(), 90);
        assert_eq!(starts.iter().filter(|start| start.is_measured).count(), 60);
        assert_eq!(starts[30], ScheduledStart { at: Duration::from_secs(1), is_measured: true });
        assert_eq!(starts[60].at, Duration::from_secs(2));
        assert_eq!(plan.last_start(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn the_count_includes_only_measured_workflows() {
        let plan = plan(open("10/s"), Length::Count(3), 2);
        assert!(!plan.next(19, 0, Duration::ZERO).unwrap().is_measured);
        assert!(plan.next(22, 2, Duration::ZERO).unwrap().is_measured);
        assert_eq!(plan.next(23, 3, Duration::ZERO), None);
    }

    #[test]
    fn closed_loop_starts_the_next_one_now() {
        let pace = Pace::Closed { concurrency: 5 };
        let plan = plan(pace, Length::Duration(Duration::from_secs(2)), 1);
        let next = |millis| plan.next(7, 0, Duration::from_millis(millis));
        let expected = ScheduledStart { at: Duration::from_millis(900), is_measured: false };
        assert_eq!(next(900), Some(expected));
        assert!(next(1000).unwrap().is_measured);
        assert_eq!(next(3000), None);
    }
}
