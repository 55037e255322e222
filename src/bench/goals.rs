//! What has to be reached: latencies (`--slo`) and how much may fail (`--max-errors`).

use std::{fmt, time::Duration};

use super::{
    measure::{Measure, Quantile},
    results::Results,
};
use crate::config::{parse_duration, show};

/// A latency that is not to be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) measure: Measure,
    pub(crate) quantile: Quantile,
    pub(crate) limit: Duration,
}

impl Goal {
    /// Parses `p99=500ms` and `activity_schedule_to_start.p99=1s`.
    ///
    /// # Errors
    /// The rule, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (what, limit) =
            text.split_once('=').ok_or("expected a quantile and a duration, as p99=500ms")?;
        let limit = parse_duration(limit)?;
        if let Some(quantile) = Quantile::named(what) {
            return Ok(Self { measure: Measure::EndToEnd, quantile, limit });
        }
        // A quantile has a dot too: p99.9.
        let (measure, quantile) = match what.split_once('.') {
            Some((stage, quantile)) if !is_like_a_quantile(stage) => {
                let measure = Measure::named(stage).ok_or_else(|| {
                    let names = Measure::ALL.map(Measure::as_str).join(", ");
                    format!("no stage {stage:?}; expected one of {names}")
                })?;
                (measure, quantile)
            }
            _ => (Measure::EndToEnd, what),
        };
        let quantile = Quantile::named(quantile).ok_or_else(|| {
            let names = Quantile::ALL.map(Quantile::as_str).join(", ");
            format!("no quantile {quantile:?}; expected one of {names}")
        })?;
        Ok(Self { measure, quantile, limit })
    }

    /// Whether it is reached. What was not measured is not.
    pub(crate) fn is_met(&self, results: &Results) -> bool {
        results.quantile(self.measure, self.quantile).is_some_and(|it| it <= self.limit)
    }

    /// Why it is missed, if it is.
    fn miss(&self, results: &Results) -> Option<String> {
        let Self { measure, quantile, limit } = self;
        let (measure, quantile) = (measure.as_str(), quantile.as_str());
        let limit = show(*limit);
        match results.quantile(self.measure, self.quantile) {
            None => Some(format!("{measure} {quantile} was not measured (--slo {self})")),
            Some(is) if is > self.limit => {
                let is = is.as_secs_f64() * 1000.0;
                Some(format!("{measure} {quantile} is {is:.1} ms, above {limit} (--slo)"))
            }
            Some(_) => None,
        }
    }
}

fn is_like_a_quantile(text: &str) -> bool {
    text.strip_prefix('p').is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.measure != Measure::EndToEnd {
            write!(f, "{}.", self.measure.as_str())?;
        }
        write!(f, "{}={}", self.quantile.as_str(), show(self.limit))
    }
}

/// How many workflows may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Budget {
    Count(u64),
    Percent(f64),
}

impl Budget {
    /// Parses `1%` and `3`.
    ///
    /// # Errors
    /// The rule, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "expected a share or a number of workflows, as 1%, 0.1% or 3";
        let Some(percent) = text.strip_suffix('%') else {
            let plain = text.bytes().all(|it| it.is_ascii_digit());
            return text.parse().ok().filter(|_| plain).map(Self::Count).ok_or(RULE);
        };
        let plain = percent.bytes().all(|it| it.is_ascii_digit() || it == b'.');
        let percent = percent.parse().ok().filter(|_| plain).ok_or(RULE)?;
        if percent > 100.0 { Err(RULE) } else { Ok(Self::Percent(percent)) }
    }

    fn allows(self, errors: u64, of: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        match self {
            Self::Count(most) => errors <= most,
            Self::Percent(most) => errors as f64 * 100.0 <= most * of as f64,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A line for each goal that was missed.
pub(crate) fn misses(results: &Results, goals: &[Goal], budget: Budget) -> Vec<String> {
    let (errors, all) = (results.errors(), results.errors() + results.completed());
    let mut misses = Vec::new();
    if all == 0 {
        misses.push("nothing was measured: nothing was due after the warm-up".to_owned());
    }
    if !budget.allows(errors, all) {
        misses.push(format!(
            "{errors} of {all} workflows did not complete, more than {budget} (--max-errors)"
        ));
    }
    misses.extend(goals.iter().filter_map(|goal| goal.miss(results)));
    misses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_names_a_quantile_and_maybe_a_stage() {
        let goal = |text| Goal::parse(text).unwrap();
        let p99 = goal("p99=500ms");
        assert_eq!(p99.limit, Duration::from_millis(500));
        assert_eq!((p99.measure, p99.quantile), (Measure::EndToEnd, Quantile::P99));
        for text in ["p99.9=1s", "p999=1s", "end_to_end.p99.9=1s", "end_to_end.p999=1s"] {
            assert_eq!(goal(text).quantile, Quantile::P999, "{text}");
        }
        let stage = goal("activity_schedule_to_start.max=1s 500ms");
        assert_eq!(stage.measure, Measure::ActivityScheduleToStart);
        assert_eq!(stage.to_string(), "activity_schedule_to_start.max=1s 500ms");
    }

    #[test]
    fn a_wrong_goal_is_told_what_is_allowed() {
        for (wrong, words) in [
            ("p99", "expected a quantile and a duration, as p99=500ms"),
            ("p98=1s", "no quantile \"p98\"; expected one of p50, p90, p99, p99.9, max"),
            ("p98.5=1s", "no quantile \"p98.5\""),
            ("p99=500", "expected a duration with its unit"),
            ("queue.p99=1s", "no stage \"queue\"; expected one of end_to_end, workflow_task_sch"),
            ("end_to_end.mean=1s", "no quantile \"mean\""),
        ] {
            let said = Goal::parse(wrong).unwrap_err();
            assert!(said.starts_with(words), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_budget_is_a_share_or_a_number() {
        for (text, most) in [("1%", 10), ("0.1%", 1), ("0", 0), ("3", 3), ("100%", 1000)] {
            let budget = Budget::parse(text).unwrap();
            assert!(budget.allows(most, 1000), "{text}");
            assert!(!budget.allows(most + 1, 1000), "{text}");
            assert_eq!(budget.to_string(), text);
        }
        for wrong in ["", "%", "-1", "+1", "101%", "1.5", "nan%", "1e1%", "x"] {
            assert!(Budget::parse(wrong).is_err(), "{wrong}");
        }
    }
}
