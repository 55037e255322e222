//! The results for people, and as JSON.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    goals::{Budget, Goal},
    measure::{Measure, Quantile},
    pace::{Pace, Plan},
    results::Results,
    run::Ended,
};
use crate::{batch::Batch, config::show};

/// A run and all that is to be told of it.
pub(crate) struct Account<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) batch: &'a Batch,
    pub(crate) results: &'a Results,
    pub(crate) goals: &'a [Goal],
    pub(crate) budget: Budget,
    pub(crate) ended: Ended,
    /// Started, and not known to have ended.
    pub(crate) under_way: usize,
}

/// The output of `--output json`. docs/bench.md describes it.
#[derive(Serialize)]
struct Output<'a> {
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
    /// Of which `failed` ended badly and `unfinished` did not end in time.
    errors: u64,
    failed: u64,
    unfinished: u64,
    causes: &'a BTreeMap<String, u64>,
    under_way: usize,
    /// Due and not started, in a run that was broken off.
    not_started: u64,
    throughput_per_s: f64,
    latency_ms: Latencies,
    histories_sampled: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_schedule_ms: Option<f64>,
    max_errors: String,
    slo: Vec<Reached>,
}

/// Of each [`Measure`]; null where it was not measured.
#[derive(Serialize)]
struct Latencies {
    end_to_end: Option<Spread>,
    workflow_task_schedule_to_start: Option<Spread>,
    workflow_task_execution: Option<Spread>,
    activity_schedule_to_start: Option<Spread>,
    activity_execution: Option<Spread>,
}

#[derive(Serialize)]
struct Spread {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    /// How many times these are of.
    count: u64,
}

/// A goal, and what became of it.
#[derive(Serialize)]
struct Reached {
    goal: String,
    limit_ms: f64,
    actual_ms: Option<f64>,
    met: bool,
}

/// To the microsecond, which is as much as is measured.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 µs")]
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// One object on one line.
pub(crate) fn json(account: &Account<'_>) -> String {
    let Account { plan, batch, results, goals, .. } = account;
    let (rate, concurrency) = match plan.pace {
        Pace::Open { rate, .. } => (Some(rate.per_second()), None),
        Pace::Closed { concurrency } => (None, Some(concurrency)),
    };
    let input = batch.definition.input.clone();
    let output = Output {
        workflow_type: &batch.definition.workflow_type,
        task_queue: &batch.definition.task_queue,
        input: input.and_then(|it| RawValue::from_string(it.replace(char::is_control, " ")).ok()),
        batch: batch.name.as_str(),
        rate_per_s: rate,
        concurrency,
        warmup_s: plan.warmup.as_secs_f64(),
        measured_s: results.measured_for.as_secs_f64(),
        interrupted: account.ended == Ended::Interrupted,
        completed: results.completed(),
        errors: results.errors(),
        failed: results.failed(),
        unfinished: results.unfinished(),
        causes: results.causes(),
        under_way: account.under_way,
        not_started: results.not_started,
        throughput_per_s: results.throughput(),
        latency_ms: Latencies {
            end_to_end: spread(results, Measure::EndToEnd),
            workflow_task_schedule_to_start: spread(results, Measure::WorkflowTaskScheduleToStart),
            workflow_task_execution: spread(results, Measure::WorkflowTaskExecution),
            activity_schedule_to_start: spread(results, Measure::ActivityScheduleToStart),
            activity_execution: spread(results, Measure::ActivityExecution),
        },
        histories_sampled: results.histories,
        behind_schedule_ms: rate.map(|_| ms(results.behind)),
        max_errors: account.budget.to_string(),
        slo: goals.iter().map(|it| reached(it, results)).collect(),
    };
    serde_json::to_string(&output).expect("plain data")
}

/// `None`: there are none.
fn spread(results: &Results, measure: Measure) -> Option<Spread> {
    let quantile = |it| results.quantile(measure, it).map(ms);
    Some(Spread {
        p50: quantile(Quantile::P50)?,
        p90: quantile(Quantile::P90)?,
        p99: quantile(Quantile::P99)?,
        p999: quantile(Quantile::P999)?,
        max: quantile(Quantile::Max)?,
        count: results.count(measure),
    })
}

fn reached(goal: &Goal, results: &Results) -> Reached {
    Reached {
        goal: goal.to_string(),
        limit_ms: ms(goal.limit),
        actual_ms: results.quantile(goal.measure, goal.quantile).map(ms),
        met: goal.is_met(results),
    }
}

/// Some lines without a final line end.
pub(crate) fn text(account: &Account<'_>) -> String {
    let Account { plan, batch, results, goals, .. } = account;
    let mut text = String::new();
    if account.ended == Ended::Interrupted {
        text.push_str("INTERRUPTED: these are partial results\n");
    }
    let _ = write!(
        text,
        "{} on {}: {}",
        batch.definition.workflow_type, batch.definition.task_queue, plan.pace
    );
    if !plan.warmup.is_zero() {
        let _ = write!(text, ", after a warm-up of {}", show(plan.warmup));
    }
    let _ = write!(
        text,
        "\n{} completed, {} failed, {} unfinished in {:.2} s: {:.1} workflows/s",
        results.completed(),
        results.failed(),
        results.unfinished(),
        results.measured_for.as_secs_f64(),
        results.throughput()
    );
    for (cause, count) in results.causes() {
        let _ = write!(text, "\n{count:>8}  {cause}");
    }
    if account.under_way > 0 {
        let runs = if account.under_way == 1 { "runs" } else { "run" };
        let _ = write!(
            text,
            "\n{} still {runs}, as far as is known (batch {})",
            account.under_way,
            batch.name.as_str()
        );
    }
    if results.not_started > 0 {
        let _ = write!(
            text,
            "\n{} were due and not started, and are in no latency",
            results.not_started
        );
    }
    let _ = write!(text, "\n\n{:32}", "latency in ms");
    for quantile in Quantile::ALL {
        let _ = write!(text, "{:>9}", quantile.as_str());
    }
    let _ = write!(text, "{:>9}", "count");
    for measure in Measure::ALL {
        let _ = write!(text, "\n{:32}", measure.as_str().replace('_', " "));
        for quantile in Quantile::ALL {
            let shown = results.quantile(measure, quantile).map(|it| format!("{:.1}", ms(it)));
            let _ = write!(text, "{:>9}", shown.as_deref().unwrap_or("-"));
        }
        let _ = write!(text, "{:>9}", results.count(measure));
    }
    let from = match plan.pace {
        Pace::Open { .. } => "when it was due",
        Pace::Closed { .. } => "its start",
    };
    let _ = write!(
        text,
        "\nend to end: from {from} to its result here; the stages: from the histories of {} workflow(s)",
        results.histories
    );
    // A timer is some milliseconds late, and that is no news.
    if matches!(plan.pace, Pace::Open { .. }) && results.behind > Duration::from_millis(100) {
        let all = if results.not_started == 0 { ", which the latencies include" } else { "" };
        let _ = write!(
            text,
            "\nstarts were behind schedule by up to {:.0} ms{all}",
            ms(results.behind)
        );
    }
    if account.ended == Ended::Complete {
        for goal in *goals {
            let is = results
                .quantile(goal.measure, goal.quantile)
                .map_or_else(|| "not measured".to_owned(), |it| format!("{:.1} ms", ms(it)));
            let met = if goal.is_met(results) { "met" } else { "missed" };
            let _ = write!(text, "\ngoal {goal}: {met}, {is}");
        }
    }
    text
}
