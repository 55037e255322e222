//! The summary of a bench as JSON. Scripts rely on the names and types; docs/bench.md describes them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{json, value::RawValue};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use super::{
    goals::Goal,
    measure::{Measure, Quantile},
    pace::Pace,
    results::Results,
    run::BenchEnd,
    summary::BenchSummary,
};
use crate::{terminal::duration::millis, text::json::on_one_line};

/// The summary as one object on one line.
pub(crate) fn json(summary: &BenchSummary<'_>) -> String {
    let json = serde_json::to_string(&BenchDocument::new(summary)).expect("plain data");
    on_one_line(&json).into_owned()
}

/// The output of `fleet bench --output json`.
#[derive(Serialize)]
struct BenchDocument<'a> {
    workflow_type: &'a str,
    task_queue: &'a str,
    input: Option<Box<RawValue>>,
    batch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<usize>,
    warmup_s: f64,
    /// From the end of the warm-up to the last result.
    measured_s: f64,
    interrupted: bool,
    completed: u64,
    /// `failed` plus `unfinished`.
    errors: u64,
    failed: u64,
    unfinished: u64,
    causes: &'a BTreeMap<String, u64>,
    under_way: usize,
    not_started: u64,
    rate_limited: u64,
    throughput_per_s: f64,
    latency_ms: LatenciesJson,
    histories_sampled: usize,
    chains_cut: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_schedule_ms: Option<f64>,
    max_errors: String,
    slo: Vec<GoalJson>,
}

/// The quantiles of each [`Measure`]; null if it was not measured.
#[derive(Serialize)]
struct LatenciesJson {
    end_to_end: Option<QuantilesJson>,
    workflow_task_schedule_to_start: Option<QuantilesJson>,
    workflow_task_execution: Option<QuantilesJson>,
    activity_schedule_to_start: Option<QuantilesJson>,
    activity_execution: Option<QuantilesJson>,
}

#[derive(Serialize)]
struct QuantilesJson {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    /// How many times were measured.
    count: u64,
}

#[derive(Serialize)]
struct GoalJson {
    goal: String,
    limit_ms: f64,
    /// Null if it was not measured.
    actual_ms: Option<f64>,
    met: bool,
}

impl<'a> BenchDocument<'a> {
    fn new(summary: &BenchSummary<'a>) -> Self {
        let BenchSummary { plan, batch, results, goals, .. } = summary;
        let (rate, concurrency) = match plan.pace {
            Pace::Open { rate, .. } => (Some(rate.per_second()), None),
            Pace::Closed { concurrency } => (None, Some(concurrency)),
        };
        Self {
            workflow_type: &batch.definition.workflow_type,
            task_queue: &batch.definition.task_queue,
            input: input_json(&batch.definition.input),
            batch: batch.name.as_str(),
            rate_per_s: rate,
            concurrency,
            warmup_s: plan.warmup.as_secs_f64(),
            measured_s: results.measured_for.as_secs_f64(),
            interrupted: summary.end == BenchEnd::Interrupted,
            completed: results.completed(),
            errors: results.errors(),
            failed: results.failed(),
            unfinished: results.unfinished(),
            causes: results.causes(),
            under_way: summary.in_flight,
            not_started: results.not_started,
            rate_limited: summary.rate_limited,
            throughput_per_s: results.throughput(),
            latency_ms: LatenciesJson::new(results),
            histories_sampled: results.histories,
            chains_cut: results.cut_chains,
            behind_schedule_ms: rate.map(|_| millis(results.behind_schedule)),
            max_errors: summary.budget.to_string(),
            slo: goals.iter().map(|goal| GoalJson::new(goal, results)).collect(),
        }
    }
}

/// The workflow's argument as it was given; a list if there are several, and nothing if there is none.
fn input_json(arguments: &[Payload]) -> Option<Box<RawValue>> {
    let list: Vec<_> = arguments.iter().map(argument_json).collect();
    match list.as_slice() {
        [] => None,
        [argument] => RawValue::from_string(argument.clone()).ok(),
        several => RawValue::from_string(format!("[{}]", several.join(","))).ok(),
    }
}

/// JSON stays as it is, without line ends. Of anything else, its size is shown.
fn argument_json(argument: &Payload) -> String {
    let encoding = argument.metadata.get("encoding").map(|name| String::from_utf8_lossy(name));
    let encoding = encoding.unwrap_or_default();
    match str::from_utf8(&argument.data) {
        Ok(json) if encoding.starts_with("json/") => on_one_line(json).into_owned(),
        _ => json!(format!("<{} bytes, {encoding}>", argument.data.len())).to_string(),
    }
}

impl LatenciesJson {
    fn new(results: &Results) -> Self {
        let quantiles = |measure| QuantilesJson::new(results, measure);
        Self {
            end_to_end: quantiles(Measure::EndToEnd),
            workflow_task_schedule_to_start: quantiles(Measure::WorkflowTaskScheduleToStart),
            workflow_task_execution: quantiles(Measure::WorkflowTaskExecution),
            activity_schedule_to_start: quantiles(Measure::ActivityScheduleToStart),
            activity_execution: quantiles(Measure::ActivityExecution),
        }
    }
}

impl QuantilesJson {
    fn new(results: &Results, measure: Measure) -> Option<Self> {
        let value = |quantile| results.quantile(measure, quantile).map(millis);
        Some(Self {
            p50: value(Quantile::P50)?,
            p90: value(Quantile::P90)?,
            p99: value(Quantile::P99)?,
            p999: value(Quantile::P999)?,
            max: value(Quantile::Max)?,
            count: results.count(measure),
        })
    }
}

impl GoalJson {
    fn new(goal: &Goal, results: &Results) -> Self {
        Self {
            goal: goal.to_string(),
            limit_ms: millis(goal.limit),
            actual_ms: results.quantile(goal.measure, goal.quantile).map(millis),
            met: goal.is_met(results),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        bench::summary::example::{example, open_loop},
        temporal::payload::from_json,
    };

    #[test]
    fn json_keeps_its_keys_and_values() {
        let printed = example(open_loop(), |summary| super::json(summary));
        let mut document: Value = serde_json::from_str(&printed).unwrap();
        // The histogram has three significant digits.
        let stage = json!({
            "p50": 50.015, "p90": 90.047, "p99": 99.007, "p999": 100.031, "max": 100.031, "count": 100
        });
        assert_eq!(document["latency_ms"]["activity_execution"].take(), stage);
        assert_eq!(document["latency_ms"]["end_to_end"].take(), stage);
        let expected = json!({
            "workflow_type": "LoadWorkflow",
            "task_queue": "q",
            "input": { "activities": 1 },
            "batch": "nightly",
            "rate_per_s": 50.0,
            "warmup_s": 5.0,
            "measured_s": 2.0,
            "interrupted": false,
            "completed": 100,
            "errors": 1,
            "failed": 1,
            "unfinished": 0,
            "causes": { "failed: no stock": 1 },
            "under_way": 2,
            "not_started": 0,
            "rate_limited": 0,
            "throughput_per_s": 50.0,
            "latency_ms": {
                "end_to_end": null,
                "workflow_task_schedule_to_start": null,
                "workflow_task_execution": null,
                "activity_schedule_to_start": null,
                "activity_execution": null,
            },
            "histories_sampled": 3,
            "chains_cut": 0,
            "behind_schedule_ms": 150.0,
            "max_errors": "1%",
            "slo": [
                { "goal": "p99=1s", "limit_ms": 1000.0, "actual_ms": 99.007, "met": true },
                {
                    "goal": "workflow_task_execution.p50=1ms",
                    "limit_ms": 1.0,
                    "actual_ms": null,
                    "met": false,
                },
            ],
        });
        assert_eq!(document, expected);
        assert!(!printed.contains('\n'));
    }

    #[test]
    fn several_arguments_are_a_list_and_bytes_are_described() {
        let shown = |arguments: &[Payload]| input_json(arguments).map(|json| json.get().to_owned());
        let mut bytes = from_json("hi");
        bytes.metadata.insert("encoding".into(), b"binary/plain".to_vec());
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[from_json("{\"a\":\n1}")]).unwrap(), "{\"a\": 1}");
        assert_eq!(shown(&[from_json("1"), bytes]).unwrap(), "[1,\"<2 bytes, binary/plain>\"]");
    }

    #[test]
    fn closed_loop_has_its_concurrency_instead_of_a_rate() {
        let pace = Pace::Closed { concurrency: 10 };
        let document: Value =
            serde_json::from_str(&example(pace, |summary| super::json(summary))).unwrap();
        assert_eq!(document["concurrency"], 10);
        assert_eq!(document.get("rate_per_s"), None);
        assert_eq!(document.get("behind_schedule_ms"), None);
    }
}
