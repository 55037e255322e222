//! Prints the results of a batch: a line for each workflow and a summary, as text or as JSON.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use super::{
    outcome::Outcome,
    spec::{Batch, BatchName},
    summary::{Remainder, summary},
    tally::{Latency, Tally, WorkerShares},
};
use crate::{
    error::Exit,
    temporal::{failure::FailureChain, history::Workers, payload},
    terminal::{output::Output, stderr, stdout::Stdout},
    text::{json::on_one_line, one_line},
};

/// Prints each outcome as it comes, and counts it for the summary.
pub(crate) struct Report {
    started: Instant,
    output: Output,
    tally: Tally,
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
        /// Only if the result is not the value itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'a str>,
        #[serde(skip_serializing_if = "FailureChain::is_empty")]
        failure_chain: &'a FailureChain,
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
        may_run: &'a [String],
        not_started: usize,
        not_reached: usize,
        rate_limited: u64,
        seconds: f64,
        workflows_per_second: f64,
        latency_ms: Option<Latency>,
        workers: &'a WorkerShares,
        /// How many workflows have more workers than these.
        workers_incomplete: usize,
    },
}

impl Report {
    pub(crate) fn begin(output: Output) -> Self {
        Self { started: Instant::now(), output, tally: Tally::new() }
    }

    /// Prints the outcome and counts it.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        if let Err(failure) = &outcome.end {
            let (id, status) = (one_line(&outcome.workflow_id), failure.status);
            let cause = failure.short_cause();
            let colon = if cause.is_empty() { "" } else { ": " };
            stderr::say(&format!("{id}: {status}{colon}{cause}\n"));
        }
        if let Some(line) = self.line(&outcome) {
            Stdout::get().line(line);
        }
        self.tally.add(outcome);
    }

    /// The line of an outcome on standard output. As text, only a completed workflow has one.
    fn line(&self, outcome: &Outcome) -> Option<String> {
        let Outcome { index, workflow_id, end, latency, .. } = outcome;
        match (self.output, end) {
            (Output::Text, Ok(result)) => Some(payload::line(result)),
            (Output::Text, Err(_)) => None,
            (Output::Json, end) => {
                let (result, encoding) = end
                    .as_ref()
                    .map(|payloads| payload::json(payloads))
                    .map_or((None, None), |json| (Some(json.result), json.encoding));
                let failure = end.as_ref().err();
                let cause = failure.map(|failure| failure.cause.as_str());
                Some(json(&Line::Workflow {
                    index: *index,
                    workflow_id,
                    status: outcome.status().as_str(),
                    result,
                    encoding,
                    cause: cause.filter(|cause| !cause.is_empty()),
                    failure_chain: failure
                        .map_or(&FailureChain::default(), |failure| &failure.chain),
                    latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
                }))
            }
        }
    }

    /// The number of workflows that are known to have ended.
    pub(crate) fn ended(&self) -> usize {
        self.tally.completed + self.tally.failed
    }

    pub(crate) fn failed(&self) -> usize {
        self.tally.failed
    }

    /// How a command exits that ran this batch.
    pub(crate) fn exit(&self) -> Exit {
        if self.tally.failed == 0 { Exit::Success } else { Exit::Failed }
    }

    /// Prints the summary: as text on standard error, and with JSON output also as the last line of JSON on
    /// standard output.
    pub(crate) fn print_summary(&self, batch: &Batch, remainder: &Remainder) {
        let elapsed = self.started.elapsed();
        let text = summary(&self.tally, elapsed, &batch.name, remainder);
        stderr::say(&format!("{text}\n"));
        if self.output == Output::Json {
            Stdout::get().line(self.json_summary(batch, elapsed, remainder));
        }
    }

    fn json_summary(&self, batch: &Batch, elapsed: Duration, remainder: &Remainder) -> String {
        json(&Line::Summary {
            batch: batch.name.as_str(),
            workflow_type: &batch.definition.workflow_type,
            task_queue: &batch.definition.task_queue,
            count: batch.count,
            completed: self.tally.completed,
            failed: self.tally.failed,
            begun_earlier: self.tally.begun_earlier,
            running: &remainder.unended.running,
            may_run: &remainder.unended.may_run,
            not_started: remainder.not_started(&batch.name),
            not_reached: remainder.not_reached,
            rate_limited: remainder.rate_limited,
            seconds: elapsed.as_secs_f64(),
            workflows_per_second: self.tally.rate(elapsed),
            latency_ms: self.tally.latency(),
            workers: &self.tally.workers,
            workers_incomplete: self.tally.read_in_part,
        })
    }
}

fn json(line: &Line<'_>) -> String {
    let json = serde_json::to_string(line).expect("strings and numbers can be serialized");
    on_one_line(&json).into_owned()
}

/// Makes a report on `count` workflows, as text or as JSON, and returns its size in bytes. It exists for
/// `benches/offline.rs` and is not part of the API.
#[doc(hidden)]
#[must_use]
pub fn bench(count: usize, as_json: bool) -> usize {
    let mut report = Report::begin(if as_json { Output::Json } else { Output::Text });
    let mut size = 0;
    for index in 0..count {
        let outcome = bench_outcome(index);
        size += report.line(&outcome).map_or(0, |line| line.len());
        report.tally.add(outcome);
    }
    let (elapsed, name) = (Duration::from_secs(1), BatchName::random());
    size + summary(&report.tally, elapsed, &name, &Remainder::default()).len()
}

fn bench_outcome(index: usize) -> Outcome {
    let result = Payload {
        data: br#""wf-starting-pid:17 | activity-pid:18 | wf-ending-pid:17""#.to_vec(),
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        ..Payload::default()
    };
    Outcome {
        index,
        workflow_id: format!("greeting-workflow-id-{index}"),
        end: Ok(vec![result]),
        latency: Some(Duration::from_micros(40_000 + (index as u64 * 7919) % 100_000)),
        workers: Workers {
            workflow: Some(format!("workflow-worker@host:{}", index % 4)),
            activities: vec![format!("activity-worker@host:{}", index % 2)],
        },
        is_read_whole: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::outcome::{WorkflowFailure, WorkflowStatus};

    fn outcome(end: Result<Vec<Payload>, WorkflowFailure>) -> Outcome {
        Outcome { end, latency: Some(Duration::from_micros(1500)), ..bench_outcome(3) }
    }

    fn timed_out() -> WorkflowFailure {
        WorkflowFailure::new(WorkflowStatus::TimedOut, "")
    }

    #[test]
    fn a_failed_workflow_decides_the_exit_code() {
        let mut report = Report::begin(Output::Text);
        report.add(outcome(Ok(vec![])));
        assert_eq!(report.exit(), Exit::Success);
        report.add(outcome(Err(timed_out())));
        assert_eq!((report.exit(), report.ended(), report.failed()), (Exit::Failed, 2, 1));
    }

    #[test]
    fn a_json_line_has_a_result_or_a_cause_if_there_is_one() {
        let report = Report::begin(Output::Json);
        let line = |end| report.line(&outcome(end)).unwrap();
        let start =
            r#"{"type":"workflow","index":3,"workflow_id":"greeting-workflow-id-3","status":"#;
        assert_eq!(
            line(Ok(vec![payload::from_json("[1]")])),
            format!(r#"{start}"completed","result":[1],"latency_ms":1.5}}"#)
        );
        assert_eq!(line(Err(timed_out())), format!(r#"{start}"timed out","latency_ms":1.5}}"#));
        let failed = WorkflowFailure::new(WorkflowStatus::Failed, "why");
        assert_eq!(
            line(Err(failed)),
            format!(r#"{start}"failed","cause":"why","latency_ms":1.5}}"#)
        );
    }
}
