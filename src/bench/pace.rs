//! The pace at which workflows are started.

use std::{fmt, time::Duration};

/// How often to start a workflow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    count: f64,
    /// `s`, `m` or `h`.
    unit: char,
}

/// The highest rate, which is several times what one process can start.
const MOST_PER_SECOND: f64 = 10_000.0;
/// The lowest rate: one start in 30 days.
const LEAST_PER_SECOND: f64 = 1.0 / (30.0 * 86_400.0);

impl Rate {
    /// Parses `50/s`, `0.5/s`, `90/m`, `10/h`.
    ///
    /// # Errors
    /// The rule that the text breaks, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "expected a rate with its unit, as 50/s, 0.5/s, 90/m or 10/h";
        let (count, unit) = text.split_once('/').ok_or(RULE)?;
        let is_plain = count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let count: f64 = count.trim().parse().ok().filter(|_| is_plain).ok_or(RULE)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            _ => return Err(RULE),
        };
        let rate = Self { count, unit };
        if rate.per_second() < LEAST_PER_SECOND || rate.per_second() > MOST_PER_SECOND {
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

    /// When start number `index` is due, counted from 0 and from the first start. It is calculated
    /// from the number each time, because a running sum would add up rounding errors.
    pub(super) fn due(self, index: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let seconds = index as f64 / self.per_second();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

/// What decides when the next workflow is started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The end of another one: `concurrency` workflows are in flight at any time. If the fleet
    /// stalls, so do the starts.
    Closed { concurrency: usize },
    /// The clock, regardless of the other workflows, as with real callers. While `max_in_flight`
    /// workflows are in flight, starts are delayed; the delay counts as latency.
    Open { rate: Rate, max_in_flight: usize },
}

impl Pace {
    pub(super) fn max_in_flight(self) -> usize {
        match self {
            Self::Closed { concurrency } => concurrency,
            Self::Open { max_in_flight, .. } => max_in_flight,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_has_a_unit_and_is_above_zero() {
        for (text, per_second) in [("50/s", 50.0), ("0.5/s", 0.5), ("90/m", 1.5), ("36/h", 0.01)] {
            let rate = Rate::parse(text).unwrap();
            assert!((rate.per_second() - per_second).abs() < 1e-12, "{text}");
            assert_eq!(rate.to_string(), text);
        }
        for wrong in ["", "50", "/s", "50/d", "-1/s", "x/s", "1e3/s", "inf/s", "0/s", "10001/s"] {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
