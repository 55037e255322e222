//! What became of a batch: a line for each workflow, and a summary of all; for people or as JSON.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::value::RawValue;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use super::{Batch, BatchName, Failure, Outcome};
use crate::{
    error::exit,
    temporal::{history::Workers, payload},
    terminal::{output::Output, progress, stdout::Stdout},
};

/// How many workers of a kind, and workflows that still run, the summary names.
const MOST_NAMED: usize = 20;

/// Collects outcomes, and prints each as it comes. Its size does not depend on their number.
pub(crate) struct Report {
    begun: Instant,
    output: Output,
    completed: usize,
    failed: usize,
    /// How many of both an earlier starter had started.
    earlier: usize,
    /// How many of those that this starter started completed.
    completed_here: usize,
    /// In microseconds, to three digits.
    latencies: Histogram<u64>,
    spread: Spread,
}

/// How often each worker did something, by its identity.
#[derive(Default, Serialize)]
struct Spread {
    workflows: BTreeMap<String, usize>,
    activities: BTreeMap<String, usize>,
}

impl Spread {
    fn add(&mut self, workers: Workers) {
        let count = |of: &mut BTreeMap<_, usize>, identity| {
            *of.entry(identity).or_default() += 1;
        };
        workers.workflow.into_iter().for_each(|it| count(&mut self.workflows, it));
        workers.activities.into_iter().for_each(|it| count(&mut self.activities, it));
    }
}

/// What is left of a batch that was left.
pub(crate) struct Left {
    /// The ids of the workflows that were started, as far as that is known, and are not known to
    /// have ended.
    pub(crate) running: Vec<String>,
    /// The others: not started, unless an earlier starter did.
    pub(crate) not_reached: usize,
    /// The command that goes on with it, where one can.
    pub(crate) attach: Option<String>,
}

/// A line of `--output json`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Workflow {
        index: usize,
        workflow_id: &'a str,
        status: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'a str>,
        latency_ms: Option<f64>,
    },
    Summary {
        batch: &'a str,
        workflow_type: &'a str,
        task_queue: &'a str,
        count: usize,
        completed: usize,
        failed: usize,
        begun_earlier: usize,
        running: &'a [String],
        not_reached: usize,
        seconds: f64,
        workflows_per_second: f64,
        latency_ms: Option<Latency>,
        workers: &'a Spread,
    },
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub(crate) fn begin(output: Output) -> Self {
        Self {
            begun: Instant::now(),
            output,
            completed: 0,
            failed: 0,
            earlier: 0,
            completed_here: 0,
            latencies: Histogram::new(3).expect("three digits are allowed"),
            spread: Spread::default(),
        }
    }

    /// Prints the outcome and counts it.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        if let Err(Failure { status, cause }) = &outcome.end {
            let colon = if cause.is_empty() { "" } else { ": " };
            progress::to_stderr(&format!("{}: {status}{colon}{cause}\n", outcome.workflow_id));
        }
        if let Some(line) = self.line(&outcome) {
            Stdout::get().line(line);
        }
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome.end {
            Ok(_) => self.completed += 1,
            Err(_) => self.failed += 1,
        }
        match outcome.latency {
            Some(latency) if outcome.end.is_ok() => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.completed_here += 1;
                // It grows as needed; only 2^64 µs would not fit.
                let _ = self.latencies.record(micros);
            }
            Some(_) => {}
            None => self.earlier += 1,
        }
        self.spread.add(outcome.workers);
    }

    /// What standard output says of a workflow.
    fn line(&self, outcome: &Outcome) -> Option<String> {
        let Outcome { index, workflow_id, end, latency, .. } = outcome;
        match (self.output, end) {
            (Output::Text, Ok(result)) => Some(payload::line(result.as_ref())),
            (Output::Text, Err(_)) => None,
            (Output::Json, end) => Some(json(&Line::Workflow {
                index: *index,
                workflow_id,
                status: end.as_ref().map_or_else(|failure| failure.status, |_| "completed"),
                result: end.as_ref().ok().map(|result| payload::json(result.as_ref())),
                cause: end.as_ref().err().map(|it| it.cause.as_str()).filter(|it| !it.is_empty()),
                latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
            })),
        }
    }

    /// How many workflows are known to have ended.
    pub(crate) fn ended(&self) -> usize {
        self.completed + self.failed
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// The exit code of a command whose batch this was.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.failed == 0 { 0 } else { exit::FAILED }
    }

    /// Prints the summary: for people on stderr, and as the last line of JSON on stdout.
    pub(crate) fn print_summary(&self, batch: &Batch, left: &Left) {
        let wall = self.begun.elapsed();
        progress::to_stderr(&format!("{}\n", self.summary(wall, &batch.name, left)));
        if self.output == Output::Json {
            Stdout::get().line(json(&Line::Summary {
                batch: batch.name.as_str(),
                workflow_type: &batch.definition.workflow_type,
                task_queue: &batch.definition.task_queue,
                count: batch.count,
                completed: self.completed,
                failed: self.failed,
                begun_earlier: self.earlier,
                running: &left.running,
                not_reached: left.not_reached,
                seconds: wall.as_secs_f64(),
                workflows_per_second: self.rate(wall),
                latency_ms: self.latency(),
                workers: &self.spread,
            }));
        }
    }

    /// Some lines without a final line end.
    fn summary(&self, wall: Duration, batch: &BatchName, left: &Left) -> String {
        let mut text = format!("{} completed, {} failed", self.completed, self.failed);
        if self.earlier > 0 {
            let _ = write!(text, " ({} of them begun earlier)", self.earlier);
        }
        let _ = write!(text, " in {:.2} s", wall.as_secs_f64());
        if self.completed_here > 0 {
            let _ = write!(text, ": {:.1} workflows/s", self.rate(wall));
        }
        if let Some(Latency { p50, p95, p99, max }) = self.latency() {
            let _ = write!(
                text,
                "\nlatency p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms, max {max:.0} ms"
            );
        }
        for (what, workers) in
            [("workflows", &self.spread.workflows), ("activities", &self.spread.activities)]
        {
            let mut heading = what;
            for (identity, count) in workers.iter().take(MOST_NAMED) {
                let _ = write!(text, "\n{heading:10} {count:6}  {identity}");
                heading = "";
            }
            let more = workers.len().saturating_sub(MOST_NAMED);
            if more > 0 {
                let _ = write!(text, "\n{:19}and {more} more workers", "");
            }
        }
        if !left.running.is_empty() {
            let count = left.running.len();
            let _ = write!(text, "\n{count} still run{}:", if count == 1 { "s" } else { "" });
            for id in left.running.iter().take(MOST_NAMED) {
                let _ = write!(text, "\n  {id}");
            }
            if count > MOST_NAMED {
                let _ = write!(text, "\n  and {} more", count - MOST_NAMED);
            }
        }
        if left.not_reached > 0 {
            let _ = match batch {
                BatchName::Random(_) => write!(text, "\n{} not started", left.not_reached),
                BatchName::Given(_) => {
                    write!(
                        text,
                        "\n{} not looked at: begun earlier, or not at all",
                        left.not_reached
                    )
                }
            };
        }
        if let Some(attach) = &left.attach {
            let _ = write!(text, "\nto go on: {attach}");
        }
        text
    }

    /// Of those that this starter started.
    #[expect(clippy::cast_precision_loss, reason = "counts of workflows are far from 2^52")]
    fn rate(&self, wall: Duration) -> f64 {
        self.completed_here as f64 / wall.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "to three digits anyway")]
    fn latency(&self) -> Option<Latency> {
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        (!self.latencies.is_empty()).then(|| Latency {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: self.latencies.max() as f64 / 1000.0,
        })
    }
}

fn json(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("strings and numbers")
}

/// The size of a report on `count` workflows, in bytes, as text or as JSON. For benches/offline.rs,
/// and no part of the API.
#[doc(hidden)]
#[must_use]
pub fn bench(count: usize, as_json: bool) -> usize {
    let mut report = Report::begin(if as_json { Output::Json } else { Output::Text });
    let mut size = 0;
    for index in 0..count {
        let workers = Workers {
            workflow: Some(format!("workflow-worker@host:{}", index % 4)),
            activities: vec![format!("activity-worker@host:{}", index % 2)],
        };
        let result = Payload {
            data: br#""wf-starting-pid:17 | activity-pid:18 | wf-ending-pid:17""#.to_vec(),
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            ..Payload::default()
        };
        let outcome = Outcome {
            index,
            workflow_id: format!("greeting-workflow-id-{index}"),
            end: Ok(Some(result)),
            latency: Some(Duration::from_micros(40_000 + (index as u64 * 7919) % 100_000)),
            workers,
        };
        size += report.line(&outcome).map_or(0, |line| line.len());
        report.count(outcome);
    }
    let left = Left { running: Vec::new(), not_reached: 0, attach: None };
    size + report.summary(Duration::from_secs(1), &BatchName::random(), &left).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(end: Result<(), &str>, latency: Option<u64>) -> Outcome {
        Outcome {
            index: 0,
            workflow_id: "w".into(),
            end: end
                .map(|()| None)
                .map_err(|cause| Failure { status: "failed", cause: cause.into() }),
            latency: latency.map(Duration::from_millis),
            workers: Workers {
                workflow: Some("workflow-worker@host:1".into()),
                activities: vec!["activity-worker@host:2".into(); 3],
            },
        }
    }

    const NOTHING_LEFT: Left = Left { running: Vec::new(), not_reached: 0, attach: None };

    #[test]
    fn the_summary_counts_outcomes_latencies_and_each_workers_share() {
        let mut report = Report::begin(Output::Text);
        for latency in 1..=100 {
            report.add(outcome(Ok(()), Some(latency)));
        }
        assert_eq!(
            report.summary(Duration::from_secs(2), &BatchName::random(), &NOTHING_LEFT),
            "100 completed, 0 failed in 2.00 s: 50.0 workflows/s\n\
             latency p50 50 ms, p95 95 ms, p99 99 ms, max 100 ms\n\
             workflows     100  workflow-worker@host:1\n\
             activities    300  activity-worker@host:2"
        );
        assert_eq!(report.exit_code(), 0);
    }

    #[test]
    fn a_failed_workflow_decides_the_exit_code_and_one_begun_earlier_has_no_latency() {
        let mut report = Report::begin(Output::Text);
        report.add(outcome(Err("gone"), Some(7)));
        report.add(outcome(Ok(()), None));
        assert_eq!(report.exit_code(), 1);
        let left = Left { running: vec!["a".into()], not_reached: 4, attach: Some("x".into()) };
        assert_eq!(
            report.summary(Duration::from_secs(1), &BatchName::Given("b".into()), &left),
            "1 completed, 1 failed (1 of them begun earlier) in 1.00 s\n\
             workflows       2  workflow-worker@host:1\n\
             activities      6  activity-worker@host:2\n\
             1 still runs:\n  a\n4 not looked at: begun earlier, or not at all\nto go on: x"
        );
    }
}
