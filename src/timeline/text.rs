//! A timeline for people: a line and a bar for each row, then where the time went.

use std::fmt::Write;

use super::{
    account::{Share, Spread},
    model::{Kind, Timeline, short},
    rows::Drawing,
    style::{BOLD, CYAN, GREEN, LONGEST_NOTE, RED, Style, YELLOW, cut, one_line},
};

/// How many pending tasks are told of.
const MOST_WAITS: usize = 20;

/// All of it, without a final line end.
pub(crate) fn text(timeline: &Timeline, address: &str, namespace: &str, style: Style) -> String {
    let mut text = head(timeline, address, namespace, style);
    let drawing = Drawing::new(timeline, style);
    drawing.rows(&mut text);
    if timeline.run.closed.is_none() {
        waits(timeline, style, &mut text);
    }
    time(timeline, style, &mut text);
    stats(timeline, style, &mut text);
    drawing.workers(&mut text);
    if !timeline.other.is_empty() {
        let other: Vec<_> =
            timeline.other.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = write!(text, "\n\n{}", one_line(&format!("not shown: {}", other.join(", "))));
    }
    text
}

fn head(timeline: &Timeline, address: &str, namespace: &str, style: Style) -> String {
    let run = &timeline.run;
    let mut text = format!(
        "{} {}  ",
        style.paint(BOLD, &one_line(&run.workflow_type)),
        style.paint(BOLD, &one_line(&run.workflow_id))
    );
    let colour = match run.status {
        "completed" | "continued as new" => GREEN,
        "running" => CYAN,
        "paused" => YELLOW,
        _ => RED,
    };
    text.push_str(&style.paint(colour, run.status));
    let total = short(timeline.total());
    let _ = match run.closed {
        Some(_) => write!(text, " after {total}"),
        None => write!(text, " for {total}"),
    };
    if let Some(failure) = &run.failure {
        let failure = cut(failure, LONGEST_NOTE);
        let _ = write!(text, "\n{}", style.paint(RED, &failure));
    }
    if let Some(summary) = &run.summary {
        let _ = write!(text, "\n{}", cut(summary, LONGEST_NOTE));
    }
    let started = humantime::format_rfc3339_millis(run.started);
    let _ = write!(text, "\nstarted {started}");
    if !run.started_by.is_empty() {
        let _ = write!(text, " by {}", one_line(&run.started_by));
    }
    if let Some(parent) = &run.parent {
        let _ = write!(text, ", child of {}", one_line(parent));
    }
    let (queue, run_id) = (one_line(&run.task_queue), &run.run_id);
    let _ = write!(text, "\nrun {run_id}, {} events, on {queue}", run.events);
    let _ = write!(text, "\nin namespace {namespace} at {address}");
    if run.attempt > 1 {
        let _ = write!(text, "\nattempt {} of the workflow", run.attempt);
    }
    if let Some(previous) = &run.previous_run {
        let _ = write!(text, "\nbefore it: --run-id {previous}");
    }
    if let Some(next) = &run.next_run {
        let _ = write!(text, "\nit goes on: --run-id {next}");
    }
    text
}

fn waits(timeline: &Timeline, style: Style, text: &mut String) {
    let _ = write!(text, "\n\n{}", style.paint(BOLD, "waits for"));
    for wait in timeline.waits.iter().take(MOST_WAITS) {
        let line = cut(&wait.text, LONGEST_NOTE);
        let line = if wait.unserved { style.paint(RED, &line) } else { line };
        let _ = write!(text, "\n  {line}");
    }
    let more = timeline.waits.len().saturating_sub(MOST_WAITS);
    if more > 0 {
        let _ = write!(text, "\n  and {more} more");
    }
}

fn time(timeline: &Timeline, style: Style, text: &mut String) {
    let total = timeline.total();
    let heading = format!("where {} went", short(total));
    let _ = write!(text, "\n\n{}", style.paint(BOLD, &heading));
    for (share, time) in timeline.shares().into_iter().filter(|(_, time)| !time.is_zero()) {
        let what = match share {
            Share::Activities => "an activity runs",
            Share::WorkflowTasks => "a workflow task runs",
            Share::Queues => "waiting in task queues",
            Share::Retries => "failed attempts, and pauses after them",
            Share::Timers => "timers",
            Share::Children => "child workflows",
            Share::Nothing => "none of these: for a signal, say, or between tasks",
        };
        let percent = time.as_secs_f64() / total.as_secs_f64() * 100.0;
        let _ = write!(text, "\n  {:>7}  {percent:>3.0} %  {what}", short(time));
    }
}

fn stats(timeline: &Timeline, style: Style, text: &mut String) {
    let stats = timeline.stats();
    if stats.is_empty() {
        return;
    }
    let heading = format!(
        "{:16}  {:>6}  {:>15}  {:>8}  {:>16}  {:>8}",
        "tasks", "COUNT", "QUEUED, median", "longest", "RUNNING, median", "longest"
    );
    let _ = write!(text, "\n\n{}", style.paint(BOLD, &heading));
    for (kind, stats) in stats {
        let what = match kind {
            Kind::WorkflowTask => "workflow tasks",
            Kind::Activity => "activities",
            _ => "local activities",
        };
        let shown = |it: Option<&Spread>| {
            it.map_or(("-".to_owned(), "-".to_owned()), |it| (short(it.median), short(it.max)))
        };
        let (waited, longest) = shown(stats.queue_wait.as_ref());
        let (ran, most) = shown(stats.execution.as_ref());
        let _ = write!(
            text,
            "\n{what:16}  {:>6}  {waited:>15}  {longest:>8}  {ran:>16}  {most:>8}",
            stats.count
        );
    }
}
