//! A row's time as a bar on the common time axis.

use std::time::SystemTime;

use super::row::{Kind, Phase, Row, since};

/// The time axis, divided into columns.
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
    /// The run itself.
    Life,
    /// Something that takes no time, such as a signal.
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
            Self::Phase(Phase::HeldBack) => '┄',
            Self::Life => '━',
            Self::Moment => '●',
        }
    }
}

impl Axis {
    /// The place of a time on the axis, in columns from the left.
    #[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
    fn position(&self, at: SystemTime) -> f64 {
        let total = since(self.from, self.to).as_secs_f64();
        let at = since(self.from, at).as_secs_f64();
        let share = if total > 0.0 { (at / total).min(1.0) } else { 0.0 };
        share * self.columns as f64
    }

    /// The cells of a row. There is at least one, and the last one shows the last phase, so that a
    /// task that ran can be seen to have run, however short that was.
    pub(super) fn bar(&self, row: &Row) -> Vec<Cell> {
        let mut phases: Vec<_> = row
            .phases(self.to)
            .into_iter()
            .map(|(phase, from, to)| (Cell::Phase(phase), from, to))
            .collect();
        if phases.is_empty() {
            let takes_time = row.kind == Kind::Update;
            let to = if takes_time { row.ended.unwrap_or(self.to) } else { row.at };
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
            // The phase that takes most of the column's time; of two equal ones, the later.
            let overlap =
                |from: f64, to: f64| to.min(column as f64 + 1.0) - from.max(column as f64);
            let most = spans
                .iter()
                .max_by(|one, other| overlap(one.1, one.2).total_cmp(&overlap(other.1, other.2)));
            cells.push(most.map_or(Cell::Blank, |(cell, ..)| *cell));
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
    use crate::timeline::row::RowStatus;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + Duration::from_millis(millis)
    }

    fn task(queued: Option<u64>, started: Option<u64>, ended: Option<u64>) -> Row {
        let mut row = Row::new(Kind::Activity, 1, at(100));
        row.queued = queued.map(at);
        row.started = started.map(at);
        row.ended = ended.map(at);
        row.status = if ended.is_some() { RowStatus::Completed } else { RowStatus::Running };
        row
    }

    /// The bar on an axis of one second in ten columns.
    fn drawn(row: &Row) -> String {
        let axis = Axis { from: at(0), to: at(1000), columns: 10 };
        axis.bar(row).into_iter().map(Cell::as_char).collect()
    }

    #[test]
    fn a_bar_shows_each_phase_at_its_time() {
        for (row, bar) in [
            (task(Some(100), Some(400), Some(800)), " ░░░████"),
            (task(Some(100), Some(140), Some(800)), " ███████"),
            (task(Some(100), Some(160), Some(800)), " ░██████"),
            (task(Some(100), Some(800), Some(801)), " ░░░░░░░█"),
            (task(Some(100), Some(101), Some(102)), " █"),
            (task(Some(100), Some(900), Some(1000)), " ░░░░░░░░█"),
            // No worker has taken the task yet.
            (task(Some(100), None, None), " ░░░░░░░░░"),
            // No worker took the task in time.
            (task(Some(100), None, Some(500)), " ░░░░"),
            // The task is still running.
            (task(Some(100), Some(500), None), " ░░░░█████"),
            // Earlier attempts failed, and when the last one was queued is unknown.
            (task(None, Some(600), Some(700)), " ▒▒▒▒▒█"),
            // Earlier attempts failed, and the next one is queued.
            (task(Some(600), None, None), " ▒▒▒▒▒░░░░"),
        ] {
            assert_eq!(drawn(&row), bar, "{row:?}");
        }
    }

    #[test]
    fn an_event_is_one_mark_and_a_bar_stays_on_the_axis() {
        let mut signal = Row::new(Kind::Signal, 1, at(1000));
        signal.ended = Some(at(1000));
        assert_eq!(drawn(&signal), "         ●");
        let mut timer = Row::new(Kind::Timer, 1, at(300));
        assert_eq!(drawn(&timer), "   ───────");
        timer.ended = Some(at(500));
        assert_eq!(drawn(&timer), "   ──");
        // The run took no time at all.
        let axis = Axis { from: at(0), to: at(0), columns: 10 };
        assert_eq!(axis.bar(&signal).len(), 1);
    }
}
