//! A timeline for people: a line and a bar for each row, then where the time went.

use std::fmt::Write;

use super::{
    Kind, Phase, Timeline,
    account::{Share, Spread},
    bar::Cell,
    rows::Drawing,
    short,
};

/// How to print it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The width of the lines, in characters.
    pub(crate) width: usize,
    pub(crate) colour: bool,
    /// How many rows to print at most; the others are told of in a line.
    pub(crate) most_rows: usize,
}

/// A failure's words can be anything.
pub(super) const LONGEST_NOTE: usize = 300;
/// How many pending tasks are told of.
const MOST_WAITS: usize = 20;

pub(super) const RED: &str = "31";
pub(super) const YELLOW: &str = "33";
const GREEN: &str = "32";
const CYAN: &str = "36";
pub(super) const BOLD: &str = "1";
pub(super) const DIM: &str = "2";

impl Style {
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn bar(self, cells: &[Cell]) -> String {
        let mut bar = String::new();
        for part in cells.chunk_by(|one, other| one == other) {
            let text: String = part.iter().map(|cell| cell.as_char()).collect();
            let code = match part[0] {
                Cell::Blank | Cell::Life => "",
                Cell::Phase(Phase::Retries) => RED,
                Cell::Phase(Phase::Queue) => YELLOW,
                Cell::Phase(Phase::Run) => GREEN,
                Cell::Phase(Phase::Wait) | Cell::Moment => CYAN,
            };
            bar.push_str(&if code.is_empty() { text } else { self.paint(code, &text) });
        }
        bar
    }
}

/// On one line, without what a terminal would take for a command.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// At most so many characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= longest {
        return text;
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

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
