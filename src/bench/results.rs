//! The results of a bench: counters and histograms, whose size does not grow with the run.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::{
    measure::{Measure, Quantile},
    reservoir::Reservoir,
    series::Series,
};
use crate::batch::WorkflowFailure;

/// How many different causes of failure are counted separately.
const MOST_CAUSES: usize = 10;
/// The name under which all other causes are counted.
const OTHER_CAUSES: &str = "other causes";

/// A completed workflow whose history is to be read.
#[derive(Debug)]
pub(crate) struct SampledRun {
    /// Its number in the batch.
    pub(crate) index: usize,
    pub(crate) run_id: String,
}

/// The results of the measured workflows.
#[derive(Debug)]
pub(crate) struct Results {
    completed: u64,
    failed: u64,
    unfinished: u64,
    /// How many workflows failed, by cause.
    causes: BTreeMap<String, u64>,
    /// By [`Measure`], in microseconds with three significant digits.
    latencies: [Histogram<u64>; Measure::ALL.len()],
    /// The longest delay of a start.
    pub(crate) behind_schedule: Duration,
    /// How many workflows were due and not started when the run ended, or refused by the server.
    pub(crate) not_started: u64,
    /// From the end of the warm-up to the last result.
    pub(crate) measured_for: Duration,
    /// How many histories were read: one for each run of a sampled workflow.
    pub(crate) histories: usize,
    /// How many sampled workflows have further runs whose histories were not read.
    pub(crate) cut_chains: usize,
    pub(super) sample: Reservoir<SampledRun>,
    pub(super) series: Series,
}

impl Results {
    /// Empty results that sample up to `sample` completed workflows.
    pub(crate) fn new(sample: usize) -> Self {
        Self {
            completed: 0,
            failed: 0,
            unfinished: 0,
            causes: BTreeMap::new(),
            latencies: std::array::from_fn(|_| {
                Histogram::new(3).expect("three digits are allowed")
            }),
            behind_schedule: Duration::ZERO,
            not_started: 0,
            measured_for: Duration::ZERO,
            histories: 0,
            cut_chains: 0,
            sample: Reservoir::of_at_most(sample),
            series: Series::default(),
        }
    }

    /// Records the end of a workflow, `at` after the end of the warm-up.
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
            Some(failure) => {
                self.failed += 1;
                let status = failure.status;
                self.count_cause(match failure.kind().as_str() {
                    "" => status.to_string(),
                    cause => format!("{status}: {cause}"),
                });
                self.series.failed(at);
            }
        }
    }

    fn count_cause(&mut self, cause: String) {
        let has_room = self.causes.len() < MOST_CAUSES || self.causes.contains_key(&cause);
        let cause = if has_room { cause } else { OTHER_CAUSES.to_owned() };
        *self.causes.entry(cause).or_default() += 1;
    }

    /// Records a workflow that did not end in time. The time so far counts as its latency: it takes
    /// at least that long.
    pub(super) fn given_up(&mut self, at: Duration, latency: Duration) {
        self.measured_for = self.measured_for.max(at);
        self.unfinished += 1;
        self.record(Measure::EndToEnd, latency);
        self.series.given_up(at.saturating_sub(latency), at, latency);
    }

    /// Records one time of a stage.
    pub(crate) fn record(&mut self, measure: Measure, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        // The histogram grows as needed; only 2^64 µs would not fit.
        let _ = self.latencies[measure as usize].record(micros);
    }

    /// Takes the sample of completed workflows whose histories are to be read.
    pub(crate) fn take_sample(&mut self) -> Vec<SampledRun> {
        self.sample.take()
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// How many workflows did not end in time, or were due and not even started.
    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// How many workflows failed or did not end in time.
    pub(crate) fn errors(&self) -> u64 {
        self.failed + self.unfinished
    }

    pub(crate) fn causes(&self) -> &BTreeMap<String, u64> {
        &self.causes
    }

    /// Completed workflows per second.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub(crate) fn throughput(&self) -> f64 {
        let seconds = self.measured_for.as_secs_f64();
        if seconds > 0.0 { self.completed as f64 / seconds } else { 0.0 }
    }

    /// How many times were measured.
    pub(crate) fn count(&self, measure: Measure) -> u64 {
        self.latencies[measure as usize].len()
    }

    /// A quantile of a measure. `None` if nothing was measured.
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
        bench::{
            budget::Budget,
            goals::{Goal, misses},
        },
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
    fn quantiles_and_throughput_are_of_measured_workflows() {
        let results = results();
        let quantile =
            |quantile| results.quantile(Measure::EndToEnd, quantile).unwrap().as_millis();
        assert_eq!(Quantile::ALL.map(quantile), [50, 90, 99, 100, 100]);
        assert_eq!(results.quantile(Measure::ActivityExecution, Quantile::P50), None);
        assert!((results.throughput() - 50.0).abs() < 1e-9, "100 in 2 s");
    }

    #[test]
    fn unfinished_workflow_is_an_error_with_its_time_so_far() {
        let mut results = results();
        results.given_up(ms(7000), ms(6000));
        assert_eq!((results.completed(), results.errors(), results.unfinished()), (100, 1, 1));
        assert_eq!(results.quantile(Measure::EndToEnd, Quantile::Max).unwrap().as_secs(), 6);
    }

    #[test]
    fn rare_causes_are_counted_together() {
        let mut results = Results::new(0);
        for number in 0..50 {
            let cause = format!("no\n{}", number % 25);
            results.ended(ms(1), ms(1), Some(WorkflowFailure::new(WorkflowStatus::Failed, &cause)));
        }
        assert_eq!(results.causes().len(), MOST_CAUSES + 1);
        assert_eq!(results.causes().values().sum::<u64>(), 50);
        assert_eq!(results.causes()["failed: no 0"], 2);
        assert_eq!(results.quantile(Measure::EndToEnd, Quantile::P50), None);
    }

    #[test]
    fn each_missed_goal_has_a_line() {
        let mut results = results();
        let of = |results: &Results, goals: &[&str], budget| {
            let goals: Vec<_> = goals.iter().map(|goal| Goal::parse(goal).unwrap()).collect();
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
        results.ended(ms(1), ms(1), Some(WorkflowFailure::new(WorkflowStatus::Failed, "")));
        assert!(of(&results, &[], "1%").is_empty());
        assert_eq!(
            of(&results, &[], "0.5%"),
            ["1 of 101 workflows did not complete, more than 0.5% (--max-errors)"]
        );
        assert!(of(&Results::new(0), &[], "0")[0].starts_with("nothing was measured"));
    }
}
