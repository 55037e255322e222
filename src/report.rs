//! What became of a batch: result lines on stdout, failures and a summary on stderr.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{batch::Outcome, error::exit, parallelized, stdout::Stdout};

/// Collects outcomes, and prints each as it comes.
pub(crate) struct Report {
    begun: Instant,
    /// How many workflows were started so far.
    started: Arc<AtomicUsize>,
    latencies: Vec<Duration>,
    failed: usize,
    /// By what the sample's result says a worker did: its label, and how often.
    spread: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Report {
    pub(crate) fn begin(started: Arc<AtomicUsize>) -> Self {
        Self {
            begun: Instant::now(),
            started,
            latencies: Vec::new(),
            failed: 0,
            spread: BTreeMap::new(),
        }
    }

    /// Prints the outcome and counts it.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        match &outcome.result {
            Ok(line) => {
                self.latencies.push(outcome.latency);
                for (what, label) in parallelized::workers_in(line).into_iter().flatten() {
                    *self.spread.entry(what).or_default().entry(label.to_owned()).or_default() += 1;
                }
                Stdout::get().line(line);
            }
            Err(why) => {
                self.failed += 1;
                let line = format!("{}: {why}\n", outcome.workflow_id);
                let _ = io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }

    /// How many workflows are known to have ended.
    pub(crate) fn ended(&self) -> usize {
        self.latencies.len() + self.failed
    }

    /// The exit code of a command whose batch this was.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.failed == 0 { 0 } else { exit::FAILED }
    }

    /// The summary, some lines without a final line end.
    pub(crate) fn summary(&self) -> String {
        let wall = self.begun.elapsed();
        let completed = self.latencies.len();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of workflows, shown with one digit"
        )]
        let rate = completed as f64 / wall.as_secs_f64();
        let mut text = format!(
            "{completed} completed, {} failed in {:.2} s: {rate:.1} workflows/s",
            self.failed,
            wall.as_secs_f64()
        );
        let left = self.started.load(Ordering::Relaxed).saturating_sub(self.ended());
        if left > 0 {
            let _ = write!(text, "\n{left} more started, and left to the server");
        }
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        if let Some(longest) = latencies.last() {
            let _ = write!(
                text,
                "\nlatency p50 {}, p95 {}, p99 {}, max {}",
                ms(quantile(&latencies, 50)),
                ms(quantile(&latencies, 95)),
                ms(quantile(&latencies, 99)),
                ms(*longest)
            );
        }
        for (what, heading) in [("wf-ending-pid", "workflows"), ("activity-pid", "activities")] {
            if let Some(workers) = self.spread.get(what) {
                let shares: Vec<_> =
                    workers.iter().map(|(label, count)| format!("{label}: {count}")).collect();
                let _ = write!(text, "\n{heading} by worker: {}", shares.join(", "));
            }
        }
        text
    }
}

/// The nearest-rank quantile of sorted, non-empty values.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_rank() {
        let values: Vec<_> = (1..=10).map(Duration::from_secs).collect();
        assert_eq!(quantile(&values, 50), Duration::from_secs(5));
        assert_eq!(quantile(&values, 95), Duration::from_secs(10));
        assert_eq!(quantile(&values[..1], 50), Duration::from_secs(1));
    }

    #[test]
    fn a_failed_workflow_is_counted_and_decides_the_exit_code() {
        let mut report = Report::begin(Arc::new(AtomicUsize::new(3)));
        let outcome = Outcome {
            workflow_id: "w".into(),
            result: Err("terminated".into()),
            latency: Duration::ZERO,
        };
        report.add(&outcome);
        assert_eq!(report.exit_code(), 1);
        let summary = report.summary();
        assert!(summary.starts_with("0 completed, 1 failed"), "{summary}");
        assert!(summary.contains("\n2 more started, and left to the server"), "{summary}");
    }
}
