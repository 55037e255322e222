//! What became of a batch: result lines on stdout, failures and a summary on stderr.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::{batch::Outcome, error::exit, parallelized};

/// Collects outcomes, and prints each as it comes.
pub(crate) struct Report {
    begun: Instant,
    latencies: Vec<Duration>,
    failed: usize,
    /// By what the sample's result says a worker did: its label, and how often.
    spread: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), latencies: Vec::new(), failed: 0, spread: BTreeMap::new() }
    }

    /// Prints the outcome and counts it. An error is that of writing to stdout.
    pub(crate) fn add(&mut self, outcome: &Outcome) -> io::Result<()> {
        match &outcome.result {
            Ok(line) => {
                self.latencies.push(outcome.latency);
                for (what, label) in parallelized::workers_in(line).into_iter().flatten() {
                    *self.spread.entry(what).or_default().entry(label.to_owned()).or_default() += 1;
                }
                writeln!(io::stdout().lock(), "{line}")
            }
            Err(why) => {
                self.failed += 1;
                let _ = writeln!(io::stderr().lock(), "{}: {why}", outcome.workflow_id);
                Ok(())
            }
        }
    }

    /// The exit code of a command whose batch this was.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.failed == 0 { 0 } else { exit::FAILED }
    }

    /// The summary, some lines without a final line end.
    pub(crate) fn summary(&mut self) -> String {
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
        self.latencies.sort_unstable();
        if let Some(longest) = self.latencies.last() {
            let _ = write!(
                text,
                "\nlatency p50 {}, p95 {}, p99 {}, max {}",
                ms(quantile(&self.latencies, 50)),
                ms(quantile(&self.latencies, 95)),
                ms(quantile(&self.latencies, 99)),
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
        let mut report = Report::begin();
        let outcome = Outcome {
            workflow_id: "w".into(),
            result: Err("terminated".into()),
            latency: Duration::ZERO,
        };
        report.add(&outcome).unwrap();
        assert_eq!(report.exit_code(), 1);
        assert!(report.summary().starts_with("0 completed, 1 failed"));
    }
}
