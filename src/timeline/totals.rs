//! Totals of a timeline: where the run's time went, the times of its tasks, and its workers.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use super::{
    model::Timeline,
    row::{Kind, Phase, Row, since},
};

/// What a moment of a run counts as: the first variant that applies to any row at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    Activities,
    WorkflowTasks,
    Queues,
    Retries,
    Timers,
    Children,
    /// The server holds the run back before its first workflow task.
    HeldBack,
    /// No row is open: the run waits for a signal, for example.
    Nothing,
}

impl Share {
    pub(super) const ALL: [Self; 8] = [
        Self::Activities,
        Self::WorkflowTasks,
        Self::Queues,
        Self::Retries,
        Self::Timers,
        Self::Children,
        Self::HeldBack,
        Self::Nothing,
    ];

    fn of(row: &Row, phase: Phase) -> Self {
        match (phase, row.kind) {
            (Phase::Retries, _) => Self::Retries,
            (Phase::Queue, _) => Self::Queues,
            (Phase::Run, Kind::WorkflowTask) => Self::WorkflowTasks,
            (Phase::Run, _) => Self::Activities,
            (Phase::Wait, Kind::Timer) => Self::Timers,
            (Phase::Wait, _) => Self::Children,
            (Phase::HeldBack, _) => Self::HeldBack,
        }
    }
}

/// The times of the tasks of one kind. A time that is unknown for a task is left out.
pub(super) struct TaskTimes {
    pub(super) count: usize,
    /// `None` if it is known for no task.
    pub(super) queue_wait: Option<TimeSummary>,
    /// `None` if no worker has taken any of them.
    pub(super) execution: Option<TimeSummary>,
}

/// A summary of durations in three numbers.
pub(super) struct TimeSummary {
    /// The lower of the two middle ones if their number is even.
    pub(super) median: Duration,
    pub(super) max: Duration,
    pub(super) total: Duration,
}

impl TimeSummary {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let max = *times.last()?;
        Some(Self { median: times[(times.len() - 1) / 2], max, total: times.iter().sum() })
    }
}

/// What one worker did for the run.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerTotals {
    /// The version, as `deployment:build`, or the build id.
    pub(super) version: Option<String>,
    pub(super) workflow_tasks: usize,
    /// Local activities are included.
    pub(super) activities: usize,
    /// Local activities run inside workflow tasks and are not counted twice.
    pub(super) execution: Duration,
}

impl Timeline {
    /// The run's time by what it counts as. The shares add up to the whole time.
    pub(super) fn shares(&self) -> BTreeMap<Share, Duration> {
        let mut shares: BTreeMap<_, _> =
            Share::ALL.into_iter().map(|share| (share, Duration::ZERO)).collect();
        let mut open = [0_usize; Share::ALL.len()];
        let mut from = self.run.started;
        for (at, share, begins) in self.share_changes() {
            let first = Share::ALL.into_iter().find(|share| open[*share as usize] > 0);
            *shares.entry(first.unwrap_or(Share::Nothing)).or_default() += since(from, at);
            from = at;
            let count = &mut open[share as usize];
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        }
        shares
    }

    /// When a phase of any row begins (`true`) or ends, ordered by time. The last one is at the end
    /// of the axis.
    fn share_changes(&self) -> Vec<(SystemTime, Share, bool)> {
        let (start, end) = (self.run.started, self.until);
        let mut changes = Vec::new();
        let mut add = |share, from: SystemTime, to: SystemTime| {
            let (from, to) = (from.clamp(start, end), to.clamp(start, end));
            if from < to {
                changes.extend([(from, share, true), (to, share, false)]);
            }
        };
        for row in &self.rows {
            for (phase, from, to) in row.phases(end) {
                add(Share::of(row, phase), from, to);
            }
        }
        changes.sort_by_key(|(at, ..)| *at);
        changes.push((end, Share::Nothing, false));
        changes
    }

    /// The times of the tasks, for each kind of which there are any.
    pub(super) fn task_times(&self) -> Vec<(Kind, TaskTimes)> {
        let kinds = [Kind::WorkflowTask, Kind::Activity, Kind::LocalActivity];
        let times = kinds.into_iter().map(|kind| {
            let rows = || self.rows.iter().filter(move |row| row.kind == kind);
            let waits = rows().filter_map(|row| row.time_in(Phase::Queue, self.until));
            let runs = rows().filter_map(|row| row.run_time(self.until));
            let times = TaskTimes {
                count: rows().count(),
                queue_wait: TimeSummary::of(waits.collect()),
                execution: TimeSummary::of(runs.collect()),
            };
            (kind, times)
        });
        times.filter(|(_, times)| times.count > 0).collect()
    }

    /// The workers by identity, in the order of their first tasks.
    pub(super) fn workers(&self) -> Vec<(&str, WorkerTotals)> {
        let mut workers: Vec<(&str, WorkerTotals)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let tasks = self.rows.iter().filter(|row| row.kind.is_task() && !row.worker.is_empty());
        for row in tasks {
            let place = *places.entry(&row.worker).or_insert_with(|| {
                workers.push((&row.worker, WorkerTotals::default()));
                workers.len() - 1
            });
            workers[place].1.add(row, self.until);
        }
        workers
    }
}

impl WorkerTotals {
    fn add(&mut self, row: &Row, until: SystemTime) {
        self.version = row.version.clone().or(self.version.take());
        match row.kind {
            Kind::WorkflowTask => self.workflow_tasks += 1,
            _ => self.activities += 1,
        }
        if row.kind != Kind::LocalActivity {
            self.execution += row.run_time(until).unwrap_or_default();
        }
    }
}
