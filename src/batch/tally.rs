//! The numbers that the outcomes of a batch add up to.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::outcome::Outcome;
use crate::temporal::history::Workers;

/// Counts outcomes. Its size does not depend on how many there are.
pub(super) struct Tally {
    pub(super) completed: usize,
    pub(super) failed: usize,
    /// How many of the completed and the failed workflows an earlier starter had started.
    pub(super) begun_earlier: usize,
    /// How many workflows that this starter started have completed.
    pub(super) completed_here: usize,
    /// The latencies of those, in microseconds, to three digits.
    latencies: Histogram<u64>,
    pub(super) workers: WorkerShares,
    /// Of how many workflows not all workers are counted, because their histories could not be read whole.
    pub(super) read_in_part: usize,
}

/// How many workflows and activities each worker ran, by the worker's identity.
#[derive(Default, Serialize)]
pub(super) struct WorkerShares {
    pub(super) workflows: BTreeMap<String, usize>,
    pub(super) activities: BTreeMap<String, usize>,
}

/// Quantiles of the latency, in milliseconds.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            completed: 0,
            failed: 0,
            begun_earlier: 0,
            completed_here: 0,
            latencies: Histogram::new(3).expect("three digits are allowed"),
            workers: WorkerShares::default(),
            read_in_part: 0,
        }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        match outcome.end {
            Ok(_) => self.completed += 1,
            Err(_) => self.failed += 1,
        }
        match outcome.latency {
            Some(latency) if outcome.end.is_ok() => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.completed_here += 1;
                // The histogram grows as needed; only 2^64 µs would not fit.
                let _ = self.latencies.record(micros);
            }
            Some(_) => {}
            None => self.begun_earlier += 1,
        }
        self.workers.add(outcome.workers);
        self.read_in_part += usize::from(!outcome.is_read_whole);
    }

    /// How many workflows that this starter started completed per second, if it took `elapsed`.
    #[expect(clippy::cast_precision_loss, reason = "counts of workflows are far from 2^52")]
    pub(super) fn rate(&self, elapsed: Duration) -> f64 {
        self.completed_here as f64 / elapsed.as_secs_f64()
    }

    /// The latency of the workflows that this starter started and that completed; `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "latencies are kept to three digits")]
    pub(super) fn latency(&self) -> Option<Latency> {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        (!self.latencies.is_empty()).then(|| Latency {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: self.latencies.max() as f64 / 1000.0,
        })
    }
}

impl WorkerShares {
    fn add(&mut self, workers: Workers) {
        if let Some(identity) = workers.workflow {
            *self.workflows.entry(identity).or_default() += 1;
        }
        for identity in workers.activities {
            *self.activities.entry(identity).or_default() += 1;
        }
    }
}
