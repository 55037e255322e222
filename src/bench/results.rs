//! What came of a run: counters and histograms, of the same size after an hour as after a second.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::{
    measure::{Measure, Quantile},
    sample::Sample,
    series::Series,
};
use crate::batch::WorkflowFailure;

/// Of so many different causes it is told how often each came.
const MOST_CAUSES: usize = 10;
/// The one that stands for all others.
const OTHER_CAUSES: &str = "other causes";

/// A finished workflow whose history may be read.
#[derive(Debug)]
pub(crate) struct Sampled {
    pub(crate) index: usize,
    pub(crate) run_id: String,
}

/// What came of those that are measured.
#[derive(Debug)]
pub(crate) struct Results {
    completed: u64,
    failed: u64,
    unfinished: u64,
    causes: BTreeMap<String, u64>,
    /// In microseconds, to three digits.
    latencies: [Histogram<u64>; Measure::ALL.len()],
    /// The longest that a start was behind its schedule.
    pub(crate) behind: Duration,
    /// How many were due and not started when the run was broken off.
    pub(crate) not_started: u64,
    /// From the end of the warm-up to the last result.
    pub(crate) measured_for: Duration,
    /// How many histories were read.
    pub(crate) histories: usize,
    pub(super) sample: Sample<Sampled>,
    pub(super) series: Series,
}

impl Results {
    pub(crate) fn new(sample: usize) -> Self {
        Self {
            completed: 0,
            failed: 0,
            unfinished: 0,
            causes: BTreeMap::new(),
            latencies: std::array::from_fn(|_| {
                Histogram::new(3).expect("three digits are allowed")
            }),
            behind: Duration::ZERO,
            not_started: 0,
            measured_for: Duration::ZERO,
            histories: 0,
            sample: Sample::of_at_most(sample),
            series: Series::default(),
        }
    }

    /// One has ended, `at` after the end of the warm-up.
    pub(super) fn ended(
        &mut self,
        at: Duration,
        latency: Duration,
        failure: Option<WorkflowFailure>,
    ) {
        self.measured_for = self.measured_for.max(at);
        let due = at.saturating_sub(latency);
        match failure {
            None => {
                self.completed += 1;
                self.record(Measure::EndToEnd, latency);
                self.series.completed(due, at, latency);
            }
            Some(WorkflowFailure { status, cause }) => {
                self.failed += 1;
                let cause = if cause.is_empty() {
                    status.to_string()
                } else {
                    format!("{status}: {cause}")
                };
                let cause = cause.replace(char::is_control, " ");
                let known = self.causes.len() < MOST_CAUSES || self.causes.contains_key(&cause);
                let cause = if known { cause } else { OTHER_CAUSES.to_owned() };
                *self.causes.entry(cause).or_default() += 1;
                self.series.failed(at);
            }
        }
    }

    /// One was waited for so long, and in vain: it takes longer than this, which counts.
    pub(super) fn given_up(&mut self, at: Duration, latency: Duration) {
        self.measured_for = self.measured_for.max(at);
        self.unfinished += 1;
        self.record(Measure::EndToEnd, latency);
        self.series.given_up(at.saturating_sub(latency), at, latency);
    }

    pub(crate) fn record(&mut self, measure: Measure, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // It grows as needed; only 2^64 µs would not fit.
        let _ = self.latencies[measure as usize].record(micros);
    }

    /// The finished workflows whose histories are to be read.
    pub(crate) fn sampled(&mut self) -> Vec<Sampled> {
        self.sample.take()
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// How many ended without a result, or not at all.
    pub(crate) fn errors(&self) -> u64 {
        self.failed + self.unfinished
    }

    pub(crate) fn causes(&self) -> &BTreeMap<String, u64> {
        &self.causes
    }

    /// Completed workflows in a second.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub(crate) fn throughput(&self) -> f64 {
        let seconds = self.measured_for.as_secs_f64();
        if seconds > 0.0 { self.completed as f64 / seconds } else { 0.0 }
    }

    /// How many times were measured.
    pub(crate) fn count(&self, measure: Measure) -> u64 {
        self.latencies[measure as usize].len()
    }

    /// `None`: it was not measured.
    pub(crate) fn quantile(&self, measure: Measure, quantile: Quantile) -> Option<Duration> {
        let histogram = &self.latencies[measure as usize];
        let micros = match quantile {
            Quantile::Max => histogram.max(),
            other => histogram.value_at_quantile(other.share()).min(histogram.max()),
        };
        (!histogram.is_empty()).then(|| Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::outcome::WorkflowStatus,
        bench::goals::{Budget, Goal, misses},
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn results() -> Results {
        let mut results = Results::new(0);
        for latency in 1..=100 {
            results.ended(ms(latency * 20), ms(latency), None);
        }
        results
    }

    #[test]
    fn quantiles_and_throughput_are_those_of_what_was_measured() {
        let results = results();
        let quantile = |it| results.quantile(Measure::EndToEnd, it).unwrap().as_millis();
        assert_eq!(Quantile::ALL.map(quantile), [50, 90, 99, 100, 100]);
        assert_eq!(results.quantile(Measure::ActivityExecution, Quantile::P50), None);
        assert!((results.throughput() - 50.0).abs() < 1e-9, "100 in 2 s");
    }

    #[test]
    fn what_was_given_up_is_an_error_and_as_long_as_it_was_waited_for() {
        let mut results = results();
        results.given_up(ms(7000), ms(6000));
        assert_eq!((results.completed(), results.errors(), results.unfinished()), (100, 1, 1));
        assert_eq!(results.quantile(Measure::EndToEnd, Quantile::Max).unwrap().as_secs(), 6);
    }

    #[test]
    fn of_many_causes_some_are_named_and_all_are_counted() {
        let mut results = Results::new(0);
        for number in 0..50 {
            let cause = format!("no\n{}", number % 25);
            results.ended(
                ms(1),
                ms(1),
                Some(WorkflowFailure { status: WorkflowStatus::Failed, cause }),
            );
        }
        assert_eq!(results.causes().len(), MOST_CAUSES + 1);
        assert_eq!(results.causes().values().sum::<u64>(), 50);
        assert_eq!(results.causes()["failed: no 0"], 2);
        assert_eq!(results.quantile(Measure::EndToEnd, Quantile::P50), None);
    }

    #[test]
    fn goals_are_held_against_the_results_each_with_a_line() {
        let mut results = results();
        let of = |results: &Results, goals: &[&str], budget| {
            let goals: Vec<_> = goals.iter().map(|it| Goal::parse(it).unwrap()).collect();
            misses(results, &goals, Budget::parse(budget).unwrap())
        };
        assert!(of(&results, &["p50=51ms", "p99=1s", "max=101ms"], "0").is_empty());
        assert_eq!(
            of(&results, &["p99=50ms", "p50=1s", "activity_execution.p50=1s"], "0"),
            [
                "end_to_end p99 is 99.0 ms, above 50ms (--slo)",
                "activity_execution p50 was not measured (--slo activity_execution.p50=1s)"
            ]
        );
        results.ended(
            ms(1),
            ms(1),
            Some(WorkflowFailure { status: WorkflowStatus::Failed, cause: String::new() }),
        );
        assert!(of(&results, &[], "1%").is_empty());
        assert_eq!(
            of(&results, &[], "0.5%"),
            ["1 of 101 workflows did not complete, more than 0.5% (--max-errors)"]
        );
        assert!(of(&Results::new(0), &[], "0")[0].starts_with("nothing was measured"));
    }
}
