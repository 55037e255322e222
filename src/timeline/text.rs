//! A timeline as text: the run, its rows, what it waits for, and totals.

use std::fmt::Write;

use super::{
    layout::{Layout, cut, one_line},
    model::{RunStatus, Timeline, WorkflowRun},
    names::add_whole_names,
    row::{Kind, since},
    rows::Drawing,
    totals::{Share, TimeSummary},
    workers::add_workers,
};
use crate::{
    temporal::clock::Skew,
    terminal::{
        duration::short,
        style::{BOLD, CYAN, GREEN, RED, YELLOW},
    },
};

/// How many waits are printed at most.
const MOST_WAITS: usize = 20;

/// The whole text, without a final line end. `address` and `namespace` say where it was read.
pub(crate) fn text(timeline: &Timeline, address: &str, namespace: &str, layout: Layout) -> String {
    let mut text = title(timeline, layout);
    add_origin(&mut text, &timeline.run);
    let _ = write!(text, "\nin namespace {} at {address}", one_line(namespace));
    if let Some(line) = timeline.skew.and_then(Skew::line) {
        let _ = write!(text, "\n{}", layout.colour.paint(YELLOW, &line));
    }
    add_related_runs(&mut text, &timeline.run, layout);
    let cut_labels = Drawing::new(timeline, layout).add_rows(&mut text);
    add_whole_names(&mut text, cut_labels, layout);
    if timeline.run.closed.is_none() {
        add_waits(&mut text, timeline, layout);
    }
    add_shares(&mut text, timeline, layout);
    add_task_times(&mut text, timeline, layout);
    add_workers(&mut text, timeline, layout);
    add_other_events(&mut text, timeline);
    text
}

/// Type, id, status and time; then failure and summary.
fn title(timeline: &Timeline, layout: Layout) -> String {
    let (run, colour) = (&timeline.run, layout.colour);
    let workflow_type = colour.paint(BOLD, &one_line(&run.workflow_type));
    let workflow_id = colour.paint(BOLD, &one_line(&run.workflow_id));
    let style = match run.status {
        RunStatus::Completed | RunStatus::ContinuedAsNew => GREEN,
        RunStatus::Running => CYAN,
        RunStatus::Paused => YELLOW,
        RunStatus::Failed | RunStatus::Cancelled | RunStatus::Terminated | RunStatus::TimedOut => {
            RED
        }
    };
    let status = colour.paint(style, run.status.as_str());
    let how_long = if run.closed.is_some() { "after" } else { "for" };
    let total = short(timeline.total());
    let mut text = format!("{workflow_type} {workflow_id}  {status} {how_long} {total}");
    if let Some(at) = run.cancel_requested.filter(|_| run.closed.is_none()) {
        let ago = short(since(at, timeline.until));
        let _ = write!(text, ", {}", colour.paint(YELLOW, &format!("cancel requested {ago} ago")));
    }
    if let Some(failure) = &run.failure {
        let failure = layout.shortened(failure, &run.failure_chain);
        let _ = write!(text, "\n{}", colour.paint(RED, &failure));
        text.push_str(&layout.attachments(&run.failure_chain));
    }
    if let Some(summary) = &run.summary {
        let _ = write!(text, "\n{}", cut(summary, layout.longest_note()));
    }
    text
}

fn add_origin(text: &mut String, run: &WorkflowRun) {
    let _ = write!(text, "\nstarted {}", humantime::format_rfc3339_millis(run.started));
    if !run.started_by.is_empty() {
        let _ = write!(text, " by {}", one_line(&run.started_by));
    }
    if let Some(parent) = &run.parent {
        let _ = write!(text, ", child of {}", one_line(parent));
    }
    if let Some(client) = &run.terminated_by {
        let _ = write!(text, "\nterminated by {}", one_line(client));
    }
    let (queue, run_id) = (one_line(&run.task_queue), one_line(&run.run_id));
    let _ = write!(text, "\nrun {run_id}, {} events, on {queue}", run.events);
}

fn add_related_runs(text: &mut String, run: &WorkflowRun, layout: Layout) {
    if run.attempt > 1 {
        let _ = write!(text, "\nattempt {} of the workflow", run.attempt);
    }
    if let Some(schedule) = &run.cron_schedule {
        let _ = write!(text, "\ncron schedule {}", one_line(schedule));
    }
    if let Some(failure) = &run.continued_failure {
        let _ = write!(text, "\nthe run before failed: {}", cut(failure, layout.longest_note()));
    }
    if let Some(result) = &run.last_result {
        let _ = write!(text, "\nthe last result: {}", cut(result, layout.longest_note()));
    }
    if let Some(previous) = &run.previous_run {
        let _ = write!(text, "\nprevious run: --run-id {}", one_line(previous));
    }
    if let Some(base) = &run.reset_from {
        let _ = write!(
            text,
            "\nprevious run: --run-id {}, which was reset: this run repeats it up to there",
            one_line(base)
        );
    }
    if let Some(next) = &run.next_run {
        let _ = write!(text, "\nnext run: --run-id {}", one_line(next));
    }
    if let Some(next) = &run.reset_to {
        let _ = write!(
            text,
            "\nnext run: --run-id {}, with which a reset continued this one",
            one_line(next)
        );
    }
}

fn add_waits(text: &mut String, timeline: &Timeline, layout: Layout) {
    let _ = write!(text, "\n\n{}", layout.colour.paint(BOLD, "waits for"));
    for wait in timeline.waits.iter().take(MOST_WAITS) {
        let line = layout.shortened(&wait.text, &wait.failure_chain);
        let line = if wait.unserved { layout.colour.paint(RED, &line) } else { line };
        let _ = write!(text, "\n  {line}");
    }
    let more = timeline.waits.len().saturating_sub(MOST_WAITS);
    if more > 0 {
        let _ = write!(text, "\n  and {more} more");
    }
}

fn add_shares(text: &mut String, timeline: &Timeline, layout: Layout) {
    let total = timeline.total();
    let heading = format!("where {} went", short(total));
    let _ = write!(text, "\n\n{}", layout.colour.paint(BOLD, &heading));
    for (share, time) in timeline.shares().into_iter().filter(|(_, time)| !time.is_zero()) {
        let what = match share {
            Share::Activities => "an activity runs",
            Share::WorkflowTasks => "a workflow task runs",
            Share::Queues => "waiting in task queues",
            Share::Retries => "failed attempts, and pauses after them",
            Share::Timers => "timers",
            Share::Children => "child workflows",
            Share::HeldBack => "held back by the server",
            Share::Nothing => "none of these: between tasks, or waiting for a signal, for example",
        };
        let percent = time.as_secs_f64() / total.as_secs_f64() * 100.0;
        let _ = write!(text, "\n  {:>7}  {percent:>3.0} %  {what}", short(time));
    }
}

fn add_task_times(text: &mut String, timeline: &Timeline, layout: Layout) {
    let all = timeline.task_times();
    if all.is_empty() {
        return;
    }
    let heading = format!(
        "{:16}  {:>6}  {:>15}  {:>8}  {:>16}  {:>8}",
        "tasks", "COUNT", "QUEUED, median", "longest", "RUNNING, median", "longest"
    );
    let _ = write!(text, "\n\n{}", layout.colour.paint(BOLD, &heading));
    for (kind, times) in all {
        let what = match kind {
            Kind::WorkflowTask => "workflow tasks",
            Kind::Activity => "activities",
            _ => "local activities",
        };
        let (queued, longest_queued) = median_and_longest(times.queue_wait.as_ref());
        let (running, longest_running) = median_and_longest(times.execution.as_ref());
        let _ = write!(
            text,
            "\n{what:16}  {:>6}  {queued:>15}  {longest_queued:>8}  {running:>16}  {longest_running:>8}",
            times.count
        );
    }
}

fn median_and_longest(times: Option<&TimeSummary>) -> (String, String) {
    match times {
        Some(times) => (short(times.median), short(times.max)),
        None => ("-".to_owned(), "-".to_owned()),
    }
}

fn add_other_events(text: &mut String, timeline: &Timeline) {
    if timeline.other.is_empty() {
        return;
    }
    let other: Vec<_> =
        timeline.other.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let _ = write!(text, "\n\n{}", one_line(&format!("not shown: {}", other.join(", "))));
}
