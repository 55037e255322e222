//! The summary of a bench as text.

use std::{fmt::Write, time::Duration};

use super::{
    goals::Goal,
    measure::{Measure, Quantile},
    pace::Pace,
    results::Results,
    run::BenchEnd,
    summary::BenchSummary,
};
use crate::{
    config::show,
    terminal::duration::millis,
    text::{cut, one_line},
};

/// A start may be late by this much before the text mentions it: timers are late by some
/// milliseconds.
const USUAL_DELAY: Duration = Duration::from_millis(100);

/// The length to which a cause is cut, in columns. JSON has all of it.
const LONGEST_CAUSE: usize = 300;

/// Some lines, without a final line end.
pub(crate) fn text(summary: &BenchSummary<'_>) -> String {
    let results = summary.results;
    let mut text = title(summary);
    add_counts(&mut text, summary);
    add_latencies(&mut text, results);
    add_explanation(&mut text, summary);
    add_delay(&mut text, summary);
    if summary.end == BenchEnd::Complete {
        for goal in summary.goals {
            let _ = write!(text, "\n{}", goal_line(goal, results));
        }
    }
    text
}

fn title(summary: &BenchSummary<'_>) -> String {
    let BenchSummary { plan, batch, .. } = summary;
    let mut text = String::new();
    if summary.end == BenchEnd::Interrupted {
        text.push_str("INTERRUPTED: these are partial results\n");
    }
    let _ = write!(
        text,
        "{} on {}: {}",
        one_line(&batch.definition.workflow_type),
        one_line(&batch.definition.task_queue),
        plan.pace
    );
    if !plan.warmup.is_zero() {
        let _ = write!(text, ", after a warm-up of {}", show(plan.warmup));
    }
    text
}

/// How many workflows ended in which way.
fn add_counts(text: &mut String, summary: &BenchSummary<'_>) {
    let BenchSummary { results, in_flight, .. } = summary;
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
        let _ = write!(text, "\n{count:>8}  {}", cut(cause, LONGEST_CAUSE));
    }
    if *in_flight > 0 {
        let batch = summary.batch.name.as_str();
        let _ = write!(text, "\n{in_flight} still in flight, as far as is known (batch {batch})");
    }
    if results.not_started > 0 {
        let counted = match summary.end {
            BenchEnd::Complete => ", which count as unfinished",
            BenchEnd::Interrupted => "; the latencies do not include them",
        };
        let _ = write!(text, "\nnot started: {}{counted}", results.not_started);
    }
    if let Some(limited) = &summary.limited {
        let _ = write!(text, "\n{limited}");
    }
}

/// A table with a line for each measure and a column for each quantile.
fn add_latencies(text: &mut String, results: &Results) {
    let _ = write!(text, "\n\n{:32}", "latency in ms");
    for quantile in Quantile::ALL {
        let _ = write!(text, "{:>9}", quantile.as_str());
    }
    let _ = write!(text, "{:>9}", "count");
    for measure in Measure::ALL {
        let _ = write!(text, "\n{:32}", measure.as_str().replace('_', " "));
        for quantile in Quantile::ALL {
            let time = results.quantile(measure, quantile);
            let value = time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", millis(time)));
            let _ = write!(text, "{value:>9}");
        }
        let _ = write!(text, "{:>9}", results.count(measure));
    }
}

/// What the latencies measure, and on how many histories the stages are based.
fn add_explanation(text: &mut String, summary: &BenchSummary<'_>) {
    let from = match summary.plan.pace {
        Pace::Open { .. } => "the time when it was due",
        Pace::Closed { .. } => "its start",
    };
    let histories = match summary.results.histories {
        1 => "1 history".to_owned(),
        count => format!("{count} histories"),
    };
    let _ = write!(
        text,
        "\nend to end: from {from} until its result arrived here; stages: from {histories}"
    );
    let cut = summary.results.cut_chains;
    if cut > 0 {
        let workflows = if cut == 1 { "1 workflow" } else { &format!("{cut} workflows") };
        let _ = write!(text, ", without all runs of {workflows}");
    }
}

/// How late the starts of an open loop were.
fn add_delay(text: &mut String, summary: &BenchSummary<'_>) {
    let results = summary.results;
    let is_open = matches!(summary.plan.pace, Pace::Open { .. });
    if is_open && results.behind_schedule > USUAL_DELAY {
        let all = if results.not_started == 0 { ", which the latencies include" } else { "" };
        let delay = millis(results.behind_schedule);
        let _ = write!(text, "\nstarts were behind schedule by up to {delay:.0} ms{all}");
    }
}

fn goal_line(goal: &Goal, results: &Results) -> String {
    let actual = match results.quantile(goal.measure, goal.quantile) {
        Some(time) => format!("{:.1} ms", millis(time)),
        None => "not measured".to_owned(),
    };
    let verdict = if goal.is_met(results) { "met" } else { "missed" };
    format!("goal {goal}: {verdict}, {actual}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::summary::example::{example, open_loop};

    #[test]
    fn text_has_counts_latencies_and_goals() {
        let printed = example(open_loop(), |summary| text(summary));
        let expected = "\
LoadWorkflow on q: open loop, 50/s, after a warm-up of 5s
100 completed, 1 failed, 0 unfinished in 2.00 s: 50.0 workflows/s
       1  failed: no stock
2 still in flight, as far as is known (batch nightly)

latency in ms                         p50      p90      p99    p99.9      max    count
end to end                           50.0     90.0     99.0    100.0    100.0      100
workflow task schedule to start         -        -        -        -        -        0
workflow task execution                 -        -        -        -        -        0
activity schedule to start              -        -        -        -        -        0
activity execution                   50.0     90.0     99.0    100.0    100.0      100
end to end: from the time when it was due until its result arrived here; stages: from 3 histories
starts were behind schedule by up to 150 ms, which the latencies include
goal p99=1s: met, 99.0 ms
goal workflow_task_execution.p50=1ms: missed, not measured";
        assert_eq!(printed, expected);
    }

    #[test]
    fn what_was_not_started_and_what_the_server_refused_is_reported() {
        let printed = example(open_loop(), |summary| {
            summary.limited = Some("rate limit of the server: 3 calls".into());
            let mut results = Results::new(0);
            results.not_started = 7;
            results.cut_chains = 1;
            let limited = summary.limited.take();
            text(&BenchSummary { results: &results, goals: &[], limited, ..*summary })
        });
        let lines: Vec<_> = printed.lines().collect();
        assert!(lines.contains(&"not started: 7, which count as unfinished"), "{printed}");
        assert!(lines.contains(&"rate limit of the server: 3 calls"), "{printed}");
        assert!(printed.contains("0 histories, without all runs of 1 workflow"), "{printed}");
    }

    #[test]
    fn an_interrupted_run_is_marked_as_partial_and_has_no_verdict() {
        let printed = example(open_loop(), |summary| {
            summary.end = BenchEnd::Interrupted;
            text(summary)
        });
        assert!(printed.starts_with("INTERRUPTED: these are partial results\n"), "{printed}");
        assert!(!printed.contains("goal "), "{printed}");
    }
}
