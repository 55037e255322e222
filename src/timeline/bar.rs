//! One row's time as a bar on the axis of all.

use std::time::SystemTime;

use super::model::{Kind, Phase, Row, since};

/// The axis: a time for each column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
    pub(super) columns: usize,
}

/// What a column of a bar shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Blank,
    Phase(Phase),
    /// The run.
    Life,
    /// Something that takes no time.
    Moment,
}

impl Cell {
    pub(super) fn as_char(self) -> char {
        match self {
            Self::Blank => ' ',
            Self::Phase(Phase::Retries) => '▒',
            Self::Phase(Phase::Queue) => '░',
            Self::Phase(Phase::Run) => '█',
            Self::Phase(Phase::Wait) => '─',
            Self::Life => '━',
            Self::Moment => '●',
        }
    }
}

impl Axis {
    /// Where a time is on the axis, in columns.
    #[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
    fn position(&self, at: SystemTime) -> f64 {
        let total = since(self.from, self.to).as_secs_f64();
        let at = since(self.from, at).as_secs_f64();
        let share = if total > 0.0 { (at / total).min(1.0) } else { 0.0 };
        share * self.columns as f64
    }

    /// The cells of a row. It has at least one; so has its last phase, since that a task ran is to be
    /// seen, however short that was.
    pub(super) fn bar(&self, row: &Row) -> Vec<Cell> {
        let mut phases: Vec<_> = row
            .phases(self.to)
            .into_iter()
            .map(|(phase, from, to)| (Cell::Phase(phase), from, to))
            .collect();
        if phases.is_empty() {
            let lasts = row.kind == Kind::Update;
            let to = if lasts { row.ended.unwrap_or(self.to) } else { row.at };
            phases.push((Cell::Moment, row.at, to));
        }
        self.cells(&phases)
    }

    /// The run's own bar.
    pub(super) fn life(&self) -> Vec<Cell> {
        self.cells(&[(Cell::Life, self.from, self.to)])
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "columns of a terminal"
    )]
    fn cells(&self, phases: &[(Cell, SystemTime, SystemTime)]) -> Vec<Cell> {
        let spans: Vec<(Cell, f64, f64)> = phases
            .iter()
            .map(|(cell, from, to)| (*cell, self.position(*from), self.position(*to)))
            .collect();
        let (Some(&(_, begin, _)), Some(&(last, _, end))) = (spans.first(), spans.last()) else {
            return Vec::new();
        };
        let first = (begin.floor() as usize).min(self.columns.saturating_sub(1));
        let past = (end.ceil() as usize).clamp(first + 1, self.columns.max(first + 1));
        let mut cells = vec![Cell::Blank; first];
        for column in first..past {
            // What takes most of the column's time; of two that take as much, the later.
            let overlap =
                |from: f64, to: f64| to.min(column as f64 + 1.0) - from.max(column as f64);
            let most = spans
                .iter()
                .max_by(|one, other| overlap(one.1, one.2).total_cmp(&overlap(other.1, other.2)));
            cells.push(most.map_or(Cell::Blank, |it| it.0));
        }
        if let Some(cell) = cells.last_mut() {
            *cell = last;
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::timeline::model::State;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + Duration::from_millis(millis)
    }

    fn task(queued: Option<u64>, started: Option<u64>, ended: Option<u64>) -> Row {
        let mut row = Row::new(Kind::Activity, 1, at(100));
        row.queued = queued.map(at);
        row.started = started.map(at);
        row.ended = ended.map(at);
        row.state = if ended.is_some() { State::Completed } else { State::Running };
        row
    }

    /// Ten columns for a second.
    fn drawn(row: &Row) -> String {
        let axis = Axis { from: at(0), to: at(1000), columns: 10 };
        axis.bar(row).into_iter().map(Cell::as_char).collect()
    }

    #[test]
    fn a_bar_tells_waiting_from_running_on_the_common_axis() {
        for (row, bar) in [
            (task(Some(100), Some(400), Some(800)), " ░░░████"),
            (task(Some(100), Some(140), Some(800)), " ███████"),
            (task(Some(100), Some(160), Some(800)), " ░██████"),
            (task(Some(100), Some(800), Some(801)), " ░░░░░░░█"),
            (task(Some(100), Some(101), Some(102)), " █"),
            (task(Some(100), Some(900), Some(1000)), " ░░░░░░░░█"),
            // Nobody has taken it yet.
            (task(Some(100), None, None), " ░░░░░░░░░"),
            // Nobody took it in time.
            (task(Some(100), None, Some(500)), " ░░░░"),
            // It runs still.
            (task(Some(100), Some(500), None), " ░░░░█████"),
            // Its first attempts failed: when the last was queued is not known.
            (task(None, Some(600), Some(700)), " ▒▒▒▒▒█"),
            // It is tried again, and waits in the queue.
            (task(Some(600), None, None), " ▒▒▒▒▒░░░░"),
        ] {
            assert_eq!(drawn(&row), bar, "{row:?}");
        }
    }

    #[test]
    fn what_takes_no_time_is_one_mark_inside_the_axis() {
        let mut signal = Row::new(Kind::Signal, 1, at(1000));
        signal.ended = Some(at(1000));
        assert_eq!(drawn(&signal), "         ●");
        let mut timer = Row::new(Kind::Timer, 1, at(300));
        assert_eq!(drawn(&timer), "   ───────");
        timer.ended = Some(at(500));
        assert_eq!(drawn(&timer), "   ──");
        // A run that took no time at all.
        let axis = Axis { from: at(0), to: at(0), columns: 10 };
        assert_eq!(axis.bar(&signal).len(), 1);
    }
}
