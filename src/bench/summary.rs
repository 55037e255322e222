//! The outcome of a bench: what is printed at its end.

use super::{
    budget::Budget,
    goals::Goal,
    measure::{Measure, Quantile},
    plan::Plan,
    results::Results,
    run::BenchEnd,
};
use crate::{batch::Batch, terminal::duration::millis};

/// A run with its results and goals.
pub(crate) struct BenchSummary<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) results: &'a Results,
    pub(crate) goals: &'a [Goal],
    pub(crate) budget: Budget,
    pub(crate) end: BenchEnd,
    /// How many workflows were started, or may have been, and are not known to have ended.
    pub(crate) in_flight: usize,
    /// How many calls the server refused because of a limit, and a sentence about that.
    pub(crate) rate_limited: u64,
    pub(crate) limited: Option<String>,
}

impl BenchSummary<'_> {
    /// The main numbers in one line, as the heading of a picture.
    pub(crate) fn heading(&self) -> String {
        let results = self.results;
        let p99 = results.quantile(Measure::EndToEnd, Quantile::P99).unwrap_or_default();
        format!(
            "{}, {}: {:.1} workflows/s, p99 {:.0} ms, {} errors{}",
            self.batch.definition.workflow_type,
            self.plan.pace,
            results.throughput(),
            millis(p99),
            results.errors(),
            match self.end {
                BenchEnd::Complete => "",
                BenchEnd::Interrupted => " (interrupted: partial)",
            }
        )
    }
}

/// A summary for tests of its forms.
#[cfg(test)]
pub(super) mod example {
    use std::time::Duration;

    use super::*;
    use crate::{
        batch::{BatchName, StartOptions, WorkflowFailure, outcome::WorkflowStatus},
        bench::{
            pace::{Pace, Rate},
            plan::Length,
        },
        temporal::{history::Definition, payload::from_json},
    };

    pub(crate) fn open_loop() -> Pace {
        Pace::Open { rate: Rate::parse("50/s").unwrap(), max_in_flight: 1000 }
    }

    /// Calls `render` with 100 completed workflows of 1 to 100 ms in 2 s, and one that failed.
    pub(crate) fn example(
        pace: Pace,
        render: impl FnOnce(&mut BenchSummary<'_>) -> String,
    ) -> String {
        let mut results = Results::new(0);
        for number in 1..=100 {
            let latency = Duration::from_millis(number);
            results.ended(latency * 20, latency, None);
            results.record(Measure::ActivityExecution, latency);
        }
        let failure = WorkflowFailure::new(WorkflowStatus::Failed, "no\nstock");
        results.ended(Duration::ZERO, Duration::ZERO, Some(failure));
        results.histories = 3;
        results.behind_schedule = Duration::from_millis(150);
        let batch = Batch {
            name: BatchName::Random("nightly".into()),
            definition: Definition {
                workflow_type: "LoadWorkflow".into(),
                task_queue: "q".into(),
                input: vec![from_json("{\"activities\":\n1}")],
            },
            inputs: Vec::new(),
            options: StartOptions::default(),
            id_prefix: "bench".into(),
            count: usize::MAX,
            concurrency: usize::MAX,
        };
        let goals = ["p99=1s", "workflow_task_execution.p50=1ms"];
        render(&mut BenchSummary {
            plan: &Plan {
                pace,
                length: Length::Count(100),
                warmup: Duration::from_secs(5),
                timeout: Duration::ZERO,
                sample: 0,
            },
            batch: &batch,
            results: &results,
            goals: &goals.map(|goal| Goal::parse(goal).unwrap()),
            budget: Budget::parse("1%").unwrap(),
            end: BenchEnd::Complete,
            in_flight: 2,
            rate_limited: 0,
            limited: None,
        })
    }
}
