//! The rows of a timeline's text: a line with a bar for each.

use std::{cmp::Reverse, collections::BTreeSet, fmt::Write, time::Duration};

use super::{
    bar::{Axis, Cell},
    failures::ending,
    layout::{Layout, cut, one_line},
    model::Timeline,
    pending::earlier_failure,
    row::{Kind, Phase, Row, RowStatus, since},
};
use crate::{
    terminal::{
        duration::short,
        style::{DIM, RED, YELLOW},
    },
    text::{padded, width},
};

/// The narrowest column of labels: `workflow task` fits in.
const SHORTEST_LABEL: usize = 13;
/// The width of the columns between label and bar, spaces included.
const COLUMNS: usize = 2 + 7 + 2 + 7 + 2 + 7 + 2 + 3 + 2;

/// What the lines of all rows have in common.
pub(super) struct Drawing<'a> {
    timeline: &'a Timeline,
    layout: Layout,
    axis: Axis,
    /// The width of the column of labels.
    label: usize,
    /// The identities of the workers. A line shows the number of its worker in this list.
    workers: Vec<&'a str>,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(timeline: &'a Timeline, layout: Layout) -> Self {
        let labels = timeline.rows.iter().map(|row| width(&one_line(&row.label())));
        // The bars get at least half of what the other columns leave.
        let room = layout.width.saturating_sub(COLUMNS) / 2;
        let room = room.max(SHORTEST_LABEL);
        let label = labels.max().unwrap_or(0).clamp(SHORTEST_LABEL, room);
        let columns = layout.width.saturating_sub(label + COLUMNS).max(1);
        let axis = Axis { from: timeline.run.started, to: timeline.until, columns };
        let workers = timeline.workers().into_iter().map(|(identity, _)| identity).collect();
        Self { timeline, layout, axis, label, workers }
    }

    /// Adds heading, rows and legend. Returns the labels that were cut.
    pub(super) fn add_rows(&self, text: &mut String) -> Vec<String> {
        let mut cut_labels = Vec::new();
        self.add_heading(text);
        let shown = shown(&self.timeline.rows, self.layout.most_rows);
        let mut folded: Vec<&Row> = Vec::new();
        let mut cells = BTreeSet::new();
        for (index, row) in self.timeline.rows.iter().enumerate() {
            if shown.as_ref().is_some_and(|shown| !shown.contains(&index)) {
                folded.push(row);
                continue;
            }
            self.add_folded(&mut folded, text);
            cells.extend(self.add_row(row, text));
            cut_labels
                .extend(Some(row.label()).filter(|label| width(&one_line(label)) > self.label));
        }
        self.add_folded(&mut folded, text);
        for line in legend(cells, self.layout.width).lines() {
            let _ = write!(text, "\n{}", self.layout.colour.paint(DIM, line));
        }
        cut_labels
    }

    /// Adds the names of the columns, a ruler, and the run's own bar.
    fn add_heading(&self, text: &mut String) {
        let end = format!("{} ", short(self.timeline.total()));
        let middle = self.axis.columns.saturating_sub(end.chars().count() + 2);
        let ruler = format!("0 {:middle$}{end}", "");
        let heading = self.line("", "AT", "QUEUED", "RUNNING", "BY", ruler.trim_end());
        let life = self.line("the workflow", "", "", "", "", &self.layout.bar(&self.axis.life()));
        let _ = write!(text, "\n\n{}\n{life}", self.layout.colour.paint(DIM, &heading));
    }

    fn line(&self, label: &str, at: &str, wait: &str, run: &str, by: &str, bar: &str) -> String {
        let label = padded(&cut(label, self.label), self.label);
        let line = format!("{label}  {at:>7}  {wait:>7}  {run:>7}  {by:>3}  {bar}");
        line.trim_end_matches(' ').to_owned()
    }

    /// Adds a row's lines, and returns the cells of its bar.
    fn add_row(&self, row: &Row, text: &mut String) -> Vec<Cell> {
        let at = if row.is_undated {
            "-".to_owned()
        } else {
            short(since(self.timeline.run.started, row.at))
        };
        let (wait, run, by) =
            if row.kind.is_task() { self.task_columns(row) } else { Default::default() };
        let cells = self.axis.bar(row);
        let line = self.line(&row.label(), &at, &wait, &run, &by, &self.layout.bar(&cells));
        let _ = write!(text, "\n{line}");
        if let Some(note) = note(row, self.layout) {
            let style = match row.status {
                RowStatus::Failed | RowStatus::TimedOut | RowStatus::Terminated => RED,
                _ if row.attempt > 1 => YELLOW,
                _ => DIM,
            };
            let note = self.layout.colour.paint(style, &note);
            let _ = write!(text, "\n  {note}");
        }
        text.push_str(&self.layout.attachments(&row.failure_chain));
        if row.kind != Kind::WorkflowTask {
            // The attempt of a workflow task that failed has a row of its own.
            text.push_str(&self.layout.attachments(&row.last_failure_chain));
        }
        cells
    }

    /// A task's columns `QUEUED`, `RUNNING` and `BY`.
    fn task_columns(&self, row: &Row) -> (String, String, String) {
        let until = self.timeline.until;
        let shown = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), short);
        let wait = match row.kind {
            Kind::LocalActivity => String::new(), // It is in no queue.
            _ => shown(row.time_in(Phase::Queue, until)),
        };
        let worker = self.workers.iter().position(|identity| *identity == row.worker);
        let by = worker.map_or_else(|| "-".to_owned(), |index| (index + 1).to_string());
        (wait, shown(row.run_time(until)), by)
    }

    /// Adds one line for all rows that are left out here, and empties the list.
    fn add_folded(&self, rows: &mut Vec<&Row>, text: &mut String) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let count = |kinds: fn(Kind) -> bool| rows.iter().filter(|row| kinds(row.kind)).count();
        let workflow_tasks = count(|kind| kind == Kind::WorkflowTask);
        let activities = count(|kind| matches!(kind, Kind::Activity | Kind::LocalActivity));
        let rest = rows.len() - workflow_tasks - activities;
        let parts: Vec<_> =
            [(workflow_tasks, "workflow tasks"), (activities, "activities"), (rest, "others")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
        let at = |row: &Row| short(since(self.timeline.run.started, row.at));
        let line = format!("… {}, from {} to {} (--all)", parts.join(", "), at(first), at(last));
        let _ = write!(text, "\n{}", self.layout.colour.paint(DIM, &line));
        rows.clear();
    }
}

/// Explains the cells, in lines of at most `width` characters.
fn legend(cells: BTreeSet<Cell>, width: usize) -> String {
    let mut legend = String::new();
    for part in cells.into_iter().filter_map(meaning) {
        let line = legend.lines().last().unwrap_or_default();
        let fits = line.chars().count() + 2 + part.chars().count() <= width;
        legend.push_str(match (legend.is_empty(), fits) {
            (true, _) => "",
            (_, true) => "  ",
            (_, false) => "\n",
        });
        legend.push_str(&part);
    }
    legend
}

/// What a cell stands for. `None` if that needs no explanation.
fn meaning(cell: Cell) -> Option<String> {
    let what = match cell {
        Cell::Blank | Cell::Life => return None,
        Cell::Phase(Phase::Retries) => "failed attempts and pauses",
        Cell::Phase(Phase::Queue) => "in a task queue",
        Cell::Phase(Phase::Run) => "running",
        Cell::Phase(Phase::Wait) => "timer or child workflow",
        Cell::Phase(Phase::HeldBack) => "held back by the server",
        Cell::Moment => "event",
    };
    Some(format!("{} {what}", cell.as_char()))
}

/// What a row's line has no column for. The list of waits describes open rows in more detail.
fn note(row: &Row, layout: Layout) -> Option<String> {
    let mut parts = Vec::new();
    if row.attempt > 1 {
        parts.push(format!("attempt {}", row.attempt));
    }
    if row.kind == Kind::WorkflowTask && row.attempt > 2 {
        parts.push(match row.attempt - 1 {
            2 => "attempt 2 is not in the history".to_owned(),
            last => format!("attempts 2 to {last} are not in the history"),
        });
    }
    parts.extend(ending(row, layout));
    parts.extend(cancel_request(row));
    if let Some(failure) = &row.last_failure {
        let failure = layout.shortened(failure, &row.last_failure_chain);
        parts.push(format!("{}: {failure}", earlier_failure(row)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// When its cancellation was requested, if it was not cancelled then.
fn cancel_request(row: &Row) -> Option<String> {
    let request = row.cancel_request.as_ref().filter(|_| row.status != RowStatus::Cancelled)?;
    let after = short(since(row.at, request.at));
    Some(match &request.failure {
        Some(failure) => {
            format!("the cancel request after {after} failed: {}", one_line(failure))
        }
        None => format!("cancel requested after {after}"),
    })
}

/// The indexes of the rows to show if there are more than `most`: the first and the last ones, and
/// between them those that failed or took longest. `None` for all rows.
fn shown(rows: &[Row], most: usize) -> Option<BTreeSet<usize>> {
    if rows.len() <= most {
        return None;
    }
    let quarter = most / 4;
    let mut shown: BTreeSet<usize> = (0..quarter).chain(rows.len() - quarter..rows.len()).collect();
    let is_notable = |row: &Row| row.attempt > 1 || row.failure.is_some() || row.status.is_open();
    let mut between: Vec<_> = (quarter..rows.len() - quarter).collect();
    between.sort_by_key(|&index| {
        let row = &rows[index];
        let time = since(row.at, row.ended.unwrap_or(row.at));
        Reverse((is_notable(row), time))
    });
    shown.extend(between.into_iter().take(most - 2 * quarter));
    Some(shown)
}
