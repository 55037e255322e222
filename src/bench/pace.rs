//! When a workflow is to be started, and when it is enough.

use std::{fmt, time::Duration};

use crate::config::show;

/// How often something comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    count: f64,
    unit: char,
}

/// As many starts as one process manages, several times over.
const MOST_PER_SECOND: f64 = 10_000.0;

impl Rate {
    /// Parses `50/s`, `0.5/s`, `90/m`, `10/h`.
    ///
    /// # Errors
    /// The rule, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "expected a rate with its unit, as 50/s, 0.5/s, 90/m or 10/h";
        let (count, unit) = text.split_once('/').ok_or(RULE)?;
        let plain = count.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        let count: f64 = count.trim().parse().ok().filter(|_| plain).ok_or(RULE)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            _ => return Err(RULE),
        };
        let rate = Self { count, unit };
        // One in a month is the least that a time can be worked out for.
        if rate.per_second() < 1.0 / (30.0 * 86_400.0) || rate.per_second() > MOST_PER_SECOND {
            return Err("expected a rate above 0, and of at most 10000/s");
        }
        Ok(rate)
    }

    pub(crate) fn per_second(self) -> f64 {
        self.count
            / match self.unit {
                's' => 1.0,
                'm' => 60.0,
                _ => 3600.0,
            }
    }

    /// When the one with this number is due, after the first. Not a sum, whose errors would add up.
    fn due(self, index: u64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to 2^53, and nobody starts so many"
        )]
        let seconds = index as f64 / self.per_second();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

/// What decides when the next one is started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The end of another: so many are under way at a time. A stall slows the starts down too.
    Closed { concurrency: usize },
    /// The clock, whatever becomes of the others, which is what real callers do. At `most_under_way`
    /// starts wait, and their latencies count from when they were due.
    Open { rate: Rate, most_under_way: usize },
}

impl Pace {
    pub(super) fn most_under_way(self) -> usize {
        match self {
            Self::Closed { concurrency } => concurrency,
            Self::Open { most_under_way, .. } => most_under_way,
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { concurrency } => write!(f, "closed loop of {concurrency}"),
            Self::Open { rate, .. } => write!(f, "open loop, {rate}"),
        }
    }
}

/// When it is enough. What belongs to the warm-up comes on top.
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

/// How a workload is put on a fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    pub(crate) length: Length,
    /// What is due within this time is started and not measured.
    pub(crate) warmup: Duration,
    /// How long to wait for what is still under way when no more is to be started.
    pub(crate) timeout: Duration,
    /// How many histories to read afterwards.
    pub(crate) sample: usize,
}

/// A workflow to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// After the beginning.
    pub(super) at: Duration,
    pub(super) measured: bool,
}

impl Plan {
    /// The next one to be started, after `started` others of which `measured` are measured. In a
    /// closed loop that is `now`, after the beginning. `None`: it is enough.
    pub(super) fn next(&self, started: u64, measured: u64, now: Duration) -> Option<Due> {
        let at = match self.pace {
            Pace::Closed { .. } => now,
            Pace::Open { rate, .. } => rate.due(started),
        };
        let enough = match self.length {
            Length::Duration(duration) => at >= self.warmup + duration,
            Length::Count(count) => measured >= count,
        };
        (!enough).then_some(Due { at, measured: at >= self.warmup })
    }

    /// When the last one is due after the beginning, at the latest; `None`: nobody knows.
    pub(super) fn last_due(&self) -> Option<Duration> {
        match (self.length, self.pace) {
            (Length::Duration(duration), _) => Some(self.warmup + duration),
            (Length::Count(count), Pace::Open { rate, .. }) => {
                // Those of the warm-up end with the first that is due after it.
                Some(self.warmup.saturating_add(rate.due(count)))
            }
            (Length::Count(_), Pace::Closed { .. }) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    fn plan(pace: Pace, length: Length, warmup: u64) -> Plan {
        let (warmup, timeout) = (Duration::from_secs(warmup), Duration::ZERO);
        Plan { pace, length, warmup, timeout, sample: 0 }
    }

    #[test]
    fn a_rate_has_a_unit_and_is_above_zero() {
        for (text, per_second) in [("50/s", 50.0), ("0.5/s", 0.5), ("90/m", 1.5), ("36/h", 0.01)] {
            assert!((rate(text).per_second() - per_second).abs() < 1e-12, "{text}");
            assert_eq!(rate(text).to_string(), text);
        }
        for wrong in ["", "50", "/s", "50/d", "-1/s", "x/s", "1e3/s", "inf/s", "0/s", "10001/s"] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_open_loop_is_due_by_the_clock_alone_and_does_not_drift() {
        let pace = Pace::Open { rate: rate("30/s"), most_under_way: 1 };
        let plan = plan(pace, Length::Duration(Duration::from_secs(2)), 1);
        let dues: Vec<_> = (0..).map_while(|it| plan.next(it, 0, Duration::MAX)).collect();
        assert_eq!(dues.len(), 90);
        assert_eq!(dues.iter().filter(|it| it.measured).count(), 60);
        assert_eq!(dues[30], Due { at: Duration::from_secs(1), measured: true });
        assert_eq!(dues[60].at, Duration::from_secs(2));
        assert_eq!(plan.last_due(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_count_is_of_those_that_are_measured() {
        let open = Pace::Open { rate: rate("10/s"), most_under_way: 1 };
        let plan = plan(open, Length::Count(3), 2);
        assert!(!plan.next(19, 0, Duration::ZERO).unwrap().measured);
        assert!(plan.next(22, 2, Duration::ZERO).unwrap().measured);
        assert_eq!(plan.next(23, 3, Duration::ZERO), None);
    }

    #[test]
    fn a_closed_loop_starts_the_next_one_now() {
        let pace = Pace::Closed { concurrency: 5 };
        let plan = plan(pace, Length::Duration(Duration::from_secs(2)), 1);
        let next = |millis| plan.next(7, 0, Duration::from_millis(millis));
        assert_eq!(next(900), Some(Due { at: Duration::from_millis(900), measured: false }));
        assert!(next(1000).unwrap().measured);
        assert_eq!(next(3000), None);
    }
}
