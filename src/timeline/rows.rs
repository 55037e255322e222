//! A timeline's rows for people: a line and a bar for each.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use super::{
    bar::{Axis, Cell},
    model::{Kind, Phase, Row, State, Timeline, short, since},
    pending::earlier,
    style::{BOLD, DIM, LONGEST_NOTE, RED, Style, YELLOW, cut, one_line},
};

/// How wide the column of names may be: `workflow task` fits in.
const SHORTEST_LABEL: usize = 13;
const LONGEST_LABEL: usize = 40;

/// What the lines of all rows have in common.
pub(super) struct Drawing<'a> {
    timeline: &'a Timeline,
    style: Style,
    axis: Axis,
    label: usize,
    /// The identities of the workers, whose places here stand for them in the lines.
    workers: Vec<&'a str>,
}

/// The width of the columns between label and bar, spaces included.
const COLUMNS: usize = 2 + 7 + 2 + 7 + 2 + 7 + 2 + 3 + 2;

impl<'a> Drawing<'a> {
    pub(super) fn new(timeline: &'a Timeline, style: Style) -> Self {
        let labels = timeline.rows.iter().map(|row| row.label().chars().count());
        // Half of what the other columns leave is for the bars, at least.
        let room = style.width.saturating_sub(COLUMNS) / 2;
        let room = room.clamp(SHORTEST_LABEL, LONGEST_LABEL);
        let label = labels.max().unwrap_or(0).clamp(SHORTEST_LABEL, room);
        let columns = style.width.saturating_sub(label + COLUMNS).max(1);
        let axis = Axis { from: timeline.run.started, to: timeline.until, columns };
        let workers = timeline.workers().into_iter().map(|(identity, _)| identity).collect();
        Self { timeline, style, axis, label, workers }
    }

    fn line(&self, label: &str, at: &str, wait: &str, run: &str, by: &str, bar: &str) -> String {
        let label = cut(label, self.label);
        let width = self.label;
        let line = format!("{label:width$}  {at:>7}  {wait:>7}  {run:>7}  {by:>3}  {bar}");
        line.trim_end_matches(' ').to_owned()
    }

    pub(super) fn rows(&self, text: &mut String) {
        let end = format!("{} ", short(self.timeline.total()));
        let middle = self.axis.columns.saturating_sub(end.chars().count() + 2);
        let ruler = format!("0 {:middle$}{end}", "");
        let heading = self.line("", "AT", "QUEUED", "RUNNING", "BY", ruler.trim_end());
        let life = self.line("the workflow", "", "", "", "", &self.style.bar(&self.axis.life()));
        let _ = write!(text, "\n\n{}\n{life}", self.style.paint(DIM, &heading));
        let shown = shown(&self.timeline.rows, self.style.most_rows);
        let mut folded: Vec<&Row> = Vec::new();
        let mut cells = BTreeSet::new();
        for (index, row) in self.timeline.rows.iter().enumerate() {
            if !shown.as_ref().is_none_or(|shown| shown.contains(&index)) {
                folded.push(row);
                continue;
            }
            self.fold(&mut folded, text);
            cells.extend(self.row(row, text));
        }
        self.fold(&mut folded, text);
        let mut legend = String::new();
        for part in cells.into_iter().filter_map(legend_of) {
            let line = legend.lines().last().unwrap_or_default();
            let fits = line.chars().count() + 2 + part.chars().count() <= self.style.width;
            legend.push_str(match (legend.is_empty(), fits) {
                (true, _) => "",
                (_, true) => "  ",
                (_, false) => "\n",
            });
            legend.push_str(&part);
        }
        for line in legend.lines() {
            let _ = write!(text, "\n{}", self.style.paint(DIM, line));
        }
    }

    /// A row's lines; returns what its bar is made of.
    fn row(&self, row: &Row, text: &mut String) -> Vec<Cell> {
        let until = self.timeline.until;
        let shown = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), short);
        let (wait, run, by) = if row.kind.is_task() {
            let by = self.workers.iter().position(|it| *it == row.worker);
            let by = by.map_or_else(|| "-".to_owned(), |index| format!("{}", index + 1));
            let wait = if row.kind == Kind::LocalActivity {
                String::new() // there is no queue
            } else {
                shown(row.time_in(Phase::Queue, until))
            };
            (wait, shown(row.run_time(until)), by)
        } else {
            <(String, String, String)>::default()
        };
        let at = short(since(self.timeline.run.started, row.at));
        let cells = self.axis.bar(row);
        let line = self.line(&row.label(), &at, &wait, &run, &by, &self.style.bar(&cells));
        let _ = write!(text, "\n{line}");
        if let Some(note) = note(row) {
            let colour = match row.state {
                State::Failed | State::TimedOut | State::Terminated => RED,
                _ if row.attempt > 1 => YELLOW,
                _ => DIM,
            };
            let _ = write!(text, "\n  {}", self.style.paint(colour, &cut(&note, LONGEST_NOTE)));
        }
        cells
    }

    /// A line for rows that are not shown.
    fn fold(&self, rows: &mut Vec<&Row>, text: &mut String) {
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
        let _ = write!(text, "\n{}", self.style.paint(DIM, &line));
        rows.clear();
    }

    pub(super) fn workers(&self, text: &mut String) {
        if self.workers.is_empty() {
            return;
        }
        let _ = write!(text, "\n\n{}", self.style.paint(BOLD, "workers"));
        for (index, (identity, worker)) in self.timeline.workers().into_iter().enumerate() {
            let _ = write!(text, "\n{:>3}  {}", index + 1, one_line(identity));
            let mut parts = Vec::new();
            for (count, what) in
                [(worker.workflow_tasks, "workflow task"), (worker.activities, "activity")]
            {
                match (count, what) {
                    (0, _) => {}
                    (1, what) => parts.push(format!("1 {what}")),
                    (count, "activity") => parts.push(format!("{count} activities")),
                    (count, what) => parts.push(format!("{count} {what}s")),
                }
            }
            let _ = write!(text, "  {}, {}", parts.join(", "), short(worker.execution));
            if let Some(version) = &worker.version {
                // A version is that of a deployment; other workers tell their build id at most.
                let what = if version.contains(':') { "version" } else { "build" };
                let _ = write!(text, ", {what} {}", one_line(version));
            }
        }
    }
}

/// What a part of a bar stands for, where that needs saying.
fn legend_of(cell: Cell) -> Option<String> {
    let what = match cell {
        Cell::Blank | Cell::Life => return None,
        Cell::Phase(Phase::Retries) => "failed attempts and pauses",
        Cell::Phase(Phase::Queue) => "in a task queue",
        Cell::Phase(Phase::Run) => "running",
        Cell::Phase(Phase::Wait) => "timer or child workflow",
        Cell::Moment => "event",
    };
    Some(format!("{} {what}", cell.as_char()))
}

/// What a row's line has no column for. Of what is still open, `text` tells.
fn note(row: &Row) -> Option<String> {
    let mut parts = Vec::new();
    if row.attempt > 1 {
        parts.push(format!("attempt {}", row.attempt));
    }
    if row.kind == Kind::WorkflowTask && row.attempt > 2 {
        parts.push(match row.attempt - 1 {
            2 => "the history has nothing of attempt 2".to_owned(),
            last => format!("the history has nothing of attempts 2 to {last}"),
        });
    }
    match (row.state, &row.failure) {
        (State::Completed, Some(said)) => parts.push(said.clone()),
        (State::Failed | State::TimedOut | State::Cancelled | State::Terminated, Some(why)) => {
            parts.push(format!("{}: {why}", row.state.as_str()));
        }
        (State::Completed, None) => {}
        (State::Abandoned, _) => parts.push("still open when the run ended".to_owned()),
        (state, _) if state.is_open() => {}
        (state, _) => parts.push(state.as_str().to_owned()),
    }
    if let Some(failure) = &row.last_failure {
        parts.push(format!("{}: {failure}", earlier(row)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The rows to show where they are more than `most`: the first and the last, and between them those
/// that went wrong or took longest. `None`: all.
fn shown(rows: &[Row], most: usize) -> Option<BTreeSet<usize>> {
    if rows.len() <= most {
        return None;
    }
    let quarter = most / 4;
    let mut shown: BTreeSet<usize> = (0..quarter).chain(rows.len() - quarter..rows.len()).collect();
    let wrong = |row: &Row| row.attempt > 1 || row.failure.is_some() || row.state.is_open();
    let mut between: Vec<_> = (quarter..rows.len() - quarter).collect();
    between.sort_by_key(|&index| {
        let row = &rows[index];
        let took = since(row.at, row.ended.unwrap_or(row.at));
        std::cmp::Reverse((wrong(row), took))
    });
    shown.extend(between.into_iter().take(most - 2 * quarter));
    Some(shown)
}
