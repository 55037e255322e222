//! Where a run's time went, and who worked on it.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use super::model::{Kind, Phase, Row, Timeline, since};

/// What a moment of a run counts as: the first of these that holds then for any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    Activities,
    WorkflowTasks,
    Queues,
    Retries,
    Timers,
    Children,
    /// Nothing is known to go on: it waits for a signal, say.
    Nothing,
}

impl Share {
    pub(super) const ALL: [Self; 7] = [
        Self::Activities,
        Self::WorkflowTasks,
        Self::Queues,
        Self::Retries,
        Self::Timers,
        Self::Children,
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
        }
    }
}

/// The times that tasks of one kind took. What is not known of a task is left out.
pub(super) struct Stats {
    pub(super) count: usize,
    pub(super) queue_wait: Option<Spread>,
    pub(super) execution: Option<Spread>,
}

pub(super) struct Spread {
    pub(super) median: Duration,
    pub(super) max: Duration,
    pub(super) total: Duration,
}

/// What one worker did.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    pub(super) version: Option<String>,
    pub(super) workflow_tasks: usize,
    pub(super) activities: usize,
    pub(super) execution: Duration,
}

impl Timeline {
    pub(super) fn total(&self) -> Duration {
        since(self.run.started, self.until)
    }

    /// The run's time by what it counts as; together these are all of it.
    pub(super) fn shares(&self) -> BTreeMap<Share, Duration> {
        let (start, end) = (self.run.started, self.until);
        let mut steps: Vec<(SystemTime, Share, bool)> = Vec::new();
        let mut add = |share, from: SystemTime, to: SystemTime| {
            let (from, to) = (from.clamp(start, end), to.clamp(start, end));
            if from < to {
                steps.extend([(from, share, true), (to, share, false)]);
            }
        };
        for row in &self.rows {
            for (phase, from, to) in row.phases(end) {
                add(Share::of(row, phase), from, to);
            }
        }
        if let Some(begins) = self.run.begins {
            add(Share::Timers, start, begins.max(start));
        }
        steps.sort_by_key(|(at, ..)| *at);
        steps.push((end, Share::Nothing, false));

        let mut shares: BTreeMap<_, _> =
            Share::ALL.into_iter().map(|share| (share, Duration::ZERO)).collect();
        let mut under_way = [0_usize; Share::ALL.len()];
        let mut from = start;
        for (at, share, begins) in steps {
            let first = Share::ALL.into_iter().find(|it| under_way[*it as usize] > 0);
            *shares.entry(first.unwrap_or(Share::Nothing)).or_default() += since(from, at);
            from = at;
            let count = &mut under_way[share as usize];
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        }
        shares
    }

    /// The times of the tasks of each kind there is.
    pub(super) fn stats(&self) -> Vec<(Kind, Stats)> {
        let kinds = [Kind::WorkflowTask, Kind::Activity, Kind::LocalActivity];
        let stats = kinds.into_iter().map(|kind| {
            let rows = || self.rows.iter().filter(move |row| row.kind == kind);
            let waits = rows().filter_map(|row| row.time_in(Phase::Queue, self.until));
            let runs = rows().filter_map(|row| row.run_time(self.until));
            let stats = Stats {
                count: rows().count(),
                queue_wait: Spread::of(waits.collect()),
                execution: Spread::of(runs.collect()),
            };
            (kind, stats)
        });
        stats.filter(|(_, stats)| stats.count > 0).collect()
    }

    /// The workers by identity, in the order in which they came in.
    pub(super) fn workers(&self) -> Vec<(&str, Worker)> {
        let mut workers: Vec<(&str, Worker)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let tasks = self.rows.iter().filter(|row| row.kind.is_task() && !row.worker.is_empty());
        for row in tasks {
            let place = *places.entry(&row.worker).or_insert_with(|| {
                workers.push((&row.worker, Worker::default()));
                workers.len() - 1
            });
            let worker = &mut workers[place].1;
            worker.version = row.version.clone().or(worker.version.take());
            let time = row.run_time(self.until).unwrap_or_default();
            match row.kind {
                Kind::WorkflowTask => worker.workflow_tasks += 1,
                _ => worker.activities += 1,
            }
            // A local activity runs inside a workflow task, whose time this is already.
            if row.kind != Kind::LocalActivity {
                worker.execution += time;
            }
        }
        workers
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let max = *times.last()?;
        Some(Self { median: times[(times.len() - 1) / 2], max, total: times.iter().sum() })
    }
}
