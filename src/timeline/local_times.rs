//! Dates local activities on the server's clock, from what their markers have.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use temporalio_common::protos::temporal::api::enums::v1::EventType;

use super::{
    markers::{LocalActivityMarker, LocalTimes},
    row::Row,
};

/// What the builder keeps of local activities.
#[derive(Debug, Default)]
pub(super) struct LocalActivities {
    /// The local activities that these workflow tasks recorded, in the order of their markers.
    pub(super) recorded: Vec<Recorded>,
    /// The workflow tasks, by the indexes of their rows, of which each prolonged the one before: the
    /// worker does that for local activities that still run.
    pub(super) tasks: Vec<usize>,
    /// Whether nothing has come from outside since the last workflow task ended.
    pub(super) is_quiet: bool,
    /// The rows of local activities that the workflow tries again after a timer.
    pub(super) backing_off: Vec<BackingOff>,
    /// By worker: how far the server's clock is ahead of the worker's at least, in nanoseconds.
    pub(super) clocks: HashMap<String, i128>,
}

/// A local activity that is to be tried again.
#[derive(Debug)]
pub(super) struct BackingOff {
    pub(super) row: usize,
    pub(super) marker: LocalActivityMarker,
}

impl LocalActivities {
    /// Takes note of an event of any type.
    pub(super) fn note(&mut self, event: EventType) {
        use EventType as Type;
        match event {
            Type::WorkflowTaskCompleted => self.is_quiet = true,
            // What a worker answers a workflow task with.
            Type::MarkerRecorded
            | Type::TimerStarted
            | Type::TimerCanceled
            | Type::ActivityTaskScheduled
            | Type::ActivityTaskCancelRequested
            | Type::StartChildWorkflowExecutionInitiated
            | Type::SignalExternalWorkflowExecutionInitiated
            | Type::RequestCancelExternalWorkflowExecutionInitiated
            | Type::UpsertWorkflowSearchAttributes
            | Type::WorkflowPropertiesModified
            | Type::NexusOperationScheduled
            | Type::NexusOperationCancelRequested
            | Type::WorkflowExecutionUpdateAccepted
            | Type::WorkflowExecutionUpdateCompleted => {}
            _ => self.is_quiet = false,
        }
    }
}

/// A local activity that a workflow task recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The index of its row.
    pub(super) row: usize,
    pub(super) marker: LocalActivityMarker,
    /// Whether it continues a local activity of an earlier workflow task, after a timer. Then the
    /// time of its scheduling is that of the first attempt.
    pub(super) follows: bool,
    /// The workflow task that recorded it; `None` until it is dated.
    pub(super) task: Option<Task>,
}

/// A workflow task, by the server's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) started: SystemTime,
    pub(super) ended: SystemTime,
}

impl Task {
    /// The times of a workflow task that has ended.
    pub(super) fn of(row: &Row) -> Option<Self> {
        row.started.zip(row.ended).map(|(started, ended)| Self { started, ended })
    }
}

/// The times of a local activity by the server's clock, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placed {
    pub(super) scheduled: Option<SystemTime>,
    /// When the last attempt began.
    pub(super) started: Option<SystemTime>,
    pub(super) ended: Option<SystemTime>,
}

/// A worker whose clock differs by less than this is taken to have the server's time, where that is
/// possible. This is better than to assume that its first local activity began with the task.
const SAME_CLOCK: i128 = 1_000_000_000;
/// Times of one clock may differ by this much, because of their units.
const ROUNDING: Duration = Duration::from_millis(2);

impl LocalTimes {
    /// Whether both were first scheduled at the same time, as far as that is known.
    pub(super) fn is_same_start(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Run { scheduled, .. }, Self::Run { scheduled: other, .. }) => scheduled == other,
            _ => true,
        }
    }

    /// When it was scheduled by the worker's clock, in nanoseconds.
    fn scheduled(&self) -> Option<i128> {
        match self {
            Self::Run { scheduled, .. } => Some(nanos(*scheduled)),
            Self::End(_) | Self::Unknown => None,
        }
    }
}

/// Dates the local activities that `tasks` recorded; each of these tasks prolonged the one before. `known` is how far the server's clock is ahead of the worker's at least, from earlier
/// tasks. Returns this for later ones, too.
pub(super) fn place(
    recorded: &[Recorded],
    tasks: &[Task],
    known: Option<i128>,
) -> (Vec<Placed>, Option<i128>) {
    let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else {
        return (vec![Placed::default(); recorded.len()], known);
    };
    // What was scheduled in these tasks was so after the first one's start.
    let scheduled = || recorded.iter().filter(|one| !one.follows);
    let earliest = scheduled().filter_map(|one| one.marker.times.scheduled()).min();
    let latest = scheduled().filter_map(|one| one.marker.times.scheduled()).max();
    let least = earliest.map(|earliest| nanos(first.started) - earliest);
    let most = latest.map(|latest| nanos(last.ended) - latest);
    let clock = match (least, known) {
        // If both cannot be, then the worker's clock was set meanwhile.
        (Some(least), Some(known)) if most.is_none_or(|most| known <= most) => {
            Some(least.max(known))
        }
        (Some(least), _) => Some(least),
        (None, known) => known,
    };
    let offset = clock.unwrap_or_default();
    if (-SAME_CLOCK..=0).contains(&offset) {
        let (placed, fits) = place_with(recorded, tasks, 0);
        if fits {
            return (placed, clock);
        }
    }
    (place_with(recorded, tasks, offset).0, clock)
}

/// Dates local activities, where the server's clock is `offset` ahead of the worker's. Also returns
/// whether all of them fit into their tasks.
fn place_with(recorded: &[Recorded], tasks: &[Task], offset: i128) -> (Vec<Placed>, bool) {
    let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else {
        return (Vec::new(), true);
    };
    let mut dating = Dating { tasks, first, last, offset, ends: Vec::new(), fits: true };
    let mut placed: Vec<_> = recorded.iter().map(|one| dating.date(one)).collect();
    dating.end_retried(recorded, &mut placed);
    (placed, dating.fits)
}

/// The dating of the local activities of a workflow task, in the order in which they ended.
struct Dating<'a> {
    tasks: &'a [Task],
    first: &'a Task,
    last: &'a Task,
    /// How far the server's clock is ahead of the worker's, in nanoseconds.
    offset: i128,
    ends: Vec<End>,
    fits: bool,
}

/// The end of a local activity.
struct End {
    /// The workflow time after it. `None` if no marker so far has one.
    workflow_time: Option<SystemTime>,
    /// When it was by the server's clock, at the earliest.
    at: Option<SystemTime>,
    /// How long it ran.
    run: Option<Duration>,
}

impl Dating<'_> {
    fn date(&mut self, one: &Recorded) -> Placed {
        let mut end = End {
            workflow_time: self.ends.last().and_then(|end| end.workflow_time),
            at: None,
            run: None,
        };
        let mut placed = Placed::default();
        let last = one.task.as_ref().unwrap_or(self.last);
        match one.marker.times {
            LocalTimes::Unknown => {}
            LocalTimes::End(at) => {
                let is_inside = self.first.started <= at + ROUNDING && at <= last.ended + ROUNDING;
                placed.ended = is_inside.then(|| self.clamped(at, last));
            }
            LocalTimes::Run { scheduled, completed, unit, .. } => {
                placed.scheduled = self.scheduled(one, scheduled, last);
                end.run = placed.scheduled.and_then(|at| self.run_time(at, completed, unit, last));
                end.at = placed.scheduled.zip(end.run).map(|(at, run)| at + run);
                self.fits &= end.at.is_none_or(|at| at <= last.ended);
                let is_retried = one.marker.attempt > 1 && !one.follows;
                placed.started = placed.scheduled.filter(|_| end.run.is_some() && !is_retried);
                placed.ended = end.at.map(|at| self.clamped(at, last));
                end.workflow_time = end.workflow_time.max(Some(completed));
            }
        }
        self.ends.push(end);
        placed
    }

    /// When an attempt was scheduled. For one that follows a timer the marker does not have this, but
    /// the first one in a task was scheduled at its start.
    fn scheduled(
        &mut self,
        one: &Recorded,
        scheduled: SystemTime,
        last: &Task,
    ) -> Option<SystemTime> {
        if one.follows {
            return self.ends.is_empty().then_some(self.first.started);
        }
        let at = from_nanos(nanos(scheduled) + self.offset);
        let clamped = self.clamped(at, last);
        self.fits &= at == clamped;
        Some(clamped)
    }

    /// How long a local activity ran that was scheduled at `scheduled`, and at `completed` in workflow
    /// time ended. Workflow time is advanced by workflow tasks and by the ends of local activities.
    /// `None` if the times contradict each other, or if the SDK did not measure.
    fn run_time(
        &self,
        scheduled: SystemTime,
        completed: SystemTime,
        unit: Duration,
        last: &Task,
    ) -> Option<Duration> {
        let task = self.tasks.iter().rev().find(|task| task.started <= scheduled);
        let task = whole(task.unwrap_or(self.first).started, unit);
        let before = self.ends.iter().rev().find(|end| {
            end.at.is_some_and(|at| at <= scheduled)
                && end.workflow_time.is_some_and(|time| time <= completed)
        });
        let began = before.and_then(|end| end.workflow_time).map_or(task, |time| time.max(task));
        let run = completed.duration_since(began).ok()?;
        let is_possible = scheduled + run <= last.ended + ROUNDING;
        // The SDK has no other word for a time that it did not measure.
        let is_measured = !run.is_zero() || unit >= Duration::from_millis(1);
        (is_possible && is_measured).then_some(run)
    }

    /// Dates the last attempts of those that were retried within the task, where their markers have
    /// the run time of the last attempt only: it ended before the workflow went on, which is when the
    /// next local activity was scheduled, or when the task ended.
    fn end_retried(&self, recorded: &[Recorded], placed: &mut [Placed]) {
        for index in 0..placed.len() {
            let one = &recorded[index];
            let is_last_only =
                matches!(one.marker.times, LocalTimes::Run { of_all_attempts: false, .. });
            let end = &self.ends[index];
            let (Some(earliest), Some(run)) = (end.at, end.run) else { continue };
            if one.marker.attempt <= 1 || one.follows || !is_last_only {
                continue;
            }
            let next = placed[index + 1..].iter().filter_map(|placed| placed.scheduled);
            let last = one.task.as_ref().unwrap_or(self.last).ended;
            let next = next.filter(|at| *at >= earliest).min().unwrap_or(last).min(last);
            placed[index].ended = Some(next);
            placed[index].started = next.checked_sub(run);
        }
    }

    fn clamped(&self, at: SystemTime, last: &Task) -> SystemTime {
        at.clamp(self.first.started, last.ended.max(self.first.started))
    }
}

/// The time in whole units, rounded down.
fn whole(at: SystemTime, unit: Duration) -> SystemTime {
    let nanos = nanos(at);
    let unit = i128::try_from(unit.as_nanos()).unwrap_or(1).max(1);
    from_nanos(nanos - nanos.rem_euclid(unit))
}

/// A time as nanoseconds since the Unix epoch; the epoch for earlier ones.
fn nanos(at: SystemTime) -> i128 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or_default()
}

fn from_nanos(nanos: i128) -> SystemTime {
    let nanos = u64::try_from(nanos).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
