//! The goals of a bench: limits for latencies (`--slo`), and whether they were reached.

use std::{fmt, time::Duration};

use super::{
    budget::Budget,
    measure::{Measure, Quantile},
    results::Results,
};
use crate::{
    config::{parse_duration, show},
    terminal::duration::millis,
};

/// An upper limit for a latency.
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
    /// The rule that the text breaks, for a message.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (what, limit) =
            text.split_once('=').ok_or("expected a quantile and a duration, as p99=500ms")?;
        let limit = parse_duration(limit)?;
        if let Some(quantile) = Quantile::named(what) {
            return Ok(Self { measure: Measure::EndToEnd, quantile, limit });
        }
        // A dot may also be part of a quantile's name: p99.9.
        let (measure, quantile) = match what.split_once('.') {
            Some((stage, quantile)) if !looks_like_quantile(stage) => {
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

    /// Whether it was reached. A latency that was not measured does not reach its goal.
    pub(crate) fn is_met(&self, results: &Results) -> bool {
        results.quantile(self.measure, self.quantile).is_some_and(|time| time <= self.limit)
    }

    /// Why it was missed. `None` if it was reached.
    fn miss(&self, results: &Results) -> Option<String> {
        let (measure, quantile) = (self.measure.as_str(), self.quantile.as_str());
        match results.quantile(self.measure, self.quantile) {
            None => Some(format!("{measure} {quantile} was not measured (--slo {self})")),
            Some(time) if time > self.limit => {
                let (time, limit) = (millis(time), show(self.limit));
                Some(format!("{measure} {quantile} is {time:.1} ms, above {limit} (--slo)"))
            }
            Some(_) => None,
        }
    }
}

fn looks_like_quantile(text: &str) -> bool {
    text.strip_prefix('p').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.measure != Measure::EndToEnd {
            write!(f, "{}.", self.measure.as_str())?;
        }
        write!(f, "{}={}", self.quantile.as_str(), show(self.limit))
    }
}

/// A line for each goal that was missed, and for the budget if it was exceeded.
pub(crate) fn misses(results: &Results, goals: &[Goal], budget: Budget) -> Vec<String> {
    let (errors, all) = (results.errors(), results.errors() + results.completed());
    let mut misses = Vec::new();
    if all == 0 {
        misses.push("nothing was measured: no workflow was due after the warm-up".to_owned());
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
    fn goal_names_a_quantile_and_optionally_a_stage() {
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
    fn the_error_of_a_wrong_goal_names_the_allowed_values() {
        for (wrong, words) in [
            ("p99", "expected a quantile and a duration, as p99=500ms"),
            ("p98=1s", "no quantile \"p98\"; expected one of p50, p90, p99, p99.9, max"),
            ("p98.5=1s", "no quantile \"p98.5\""),
            ("p99=500", "expected a duration with its unit"),
            ("queue.p99=1s", "no stage \"queue\"; expected one of end_to_end, workflow_task_sch"),
            ("end_to_end.mean=1s", "no quantile \"mean\""),
        ] {
            let error = Goal::parse(wrong).unwrap_err();
            assert!(error.starts_with(words), "{wrong}: {error}");
        }
    }
}
