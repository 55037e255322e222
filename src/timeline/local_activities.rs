//! Rows of local activities, and of the other markers.
//!
//! A marker is written when its workflow task ends. Where its times come from two clocks (see
//! `LocalTimes`), the times of a row follow from all markers of the task together, in the order in
//! which the activities ended, which is the order of the markers.

use std::time::{Duration, SystemTime};

use temporalio_common::protos::temporal::api::{
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{MarkerRecordedEventAttributes, history_event::Attributes},
};

use super::{
    events::Builder,
    local_times::{BackingOff, Placed, Recorded, Task, place},
    markers::{LocalActivityMarker, Marker, OtherMarker, marker},
    proto::failure_message,
    row::{Kind, Row, RowStatus, since},
};

/// A workflow task that is scheduled so soon after the one before, and without a reason from outside,
/// prolongs it.
const PROLONGED: Duration = Duration::from_millis(20);

impl Builder {
    pub(super) fn add_marker_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        let Attributes::MarkerRecordedEventAttributes(event) = attributes else { return false };
        match marker(event) {
            Marker::LocalActivity(marker) => self.add_local_activity(id, at, marker, event),
            Marker::Other(OtherMarker { name, id: of, value }) => {
                let row = self.push_moment(Kind::Marker, id, at);
                row.name = name;
                row.id = of;
                row.value = value;
                row.failure = failure_message(event.failure.as_ref());
            }
        }
        true
    }

    /// Adds a local activity, or the next attempt of one.
    fn add_local_activity(
        &mut self,
        id: i64,
        at: SystemTime,
        marker: LocalActivityMarker,
        event: &MarkerRecordedEventAttributes,
    ) {
        let earlier = self.earlier_attempt(&marker);
        let index = if let Some(index) = earlier {
            self.by_event.insert(id, index);
            index
        } else {
            let mut row = Row::new(Kind::LocalActivity, id, at);
            row.is_undated = true;
            row.name.clone_from(&marker.activity_type);
            row.id.clone_from(&marker.activity_id);
            self.push(row);
            self.rows.len() - 1
        };
        let (status, failure) = outcome(event.failure.as_ref());
        let row = &mut self.rows[index];
        row.attempt = marker.attempt.max(1);
        if marker.backoff.is_some() {
            row.status = RowStatus::BackingOff;
            row.attempt += 1;
            row.last_failure = failure;
            let marker = marker.clone();
            self.local.backing_off.push(BackingOff { row: index, marker });
        } else {
            row.status = status;
            row.failure = failure;
        }
        let follows = earlier.is_some();
        self.local.recorded.push(Recorded { row: index, marker, follows, task: None });
    }

    /// The row of the attempt before, if the workflow itself retries: it waits for a timer, and then
    /// schedules what looks like another local activity of the same type.
    fn earlier_attempt(&mut self, marker: &LocalActivityMarker) -> Option<usize> {
        let place = self.local.backing_off.iter().position(|before| {
            before.marker.activity_type == marker.activity_type
                && before.marker.attempt < marker.attempt
                && before.marker.times.is_same_start(&marker.times)
        })?;
        Some(self.local.backing_off.remove(place).row)
    }

    /// Takes note that a workflow task is scheduled.
    pub(super) fn local_activities_until(&mut self, at: SystemTime) {
        self.place_local_activities();
        let Some(index) = self.workflow_task else { return };
        let last = &self.rows[index];
        let ended = last.ended.filter(|_| last.status == RowStatus::Completed);
        let prolongs = ended.is_some_and(|ended| since(ended, at) < PROLONGED);
        if !(prolongs && self.local.is_quiet) {
            self.local.tasks.clear();
            self.local.recorded.clear();
        } else if !self.local.tasks.contains(&index) {
            self.local.tasks.push(index);
        }
    }

    /// Dates the rows of the local activities that the last workflow task recorded.
    pub(super) fn place_local_activities(&mut self) {
        let mut recorded = std::mem::take(&mut self.local.recorded);
        self.place(&mut recorded);
        self.local.recorded = recorded;
    }

    fn place(&mut self, recorded: &mut [Recorded]) {
        let old = recorded.iter().take_while(|one| one.task.is_some()).count();
        let Some(last) = self.workflow_task.filter(|_| old < recorded.len()) else { return };
        let mut tasks = self.local.tasks.clone();
        if !tasks.contains(&last) {
            tasks.push(last);
        }
        let tasks: Option<Vec<_>> =
            tasks.iter().map(|index| Task::of(&self.rows[*index])).collect();
        let Some(tasks) = tasks else { return };
        for one in &mut recorded[old..] {
            one.task = tasks.last().copied();
        }
        let (worker, version) = (self.rows[last].worker.clone(), self.rows[last].version.clone());
        let known = self.local.clocks.get(&worker).copied();
        let (placed, clock) = place(recorded, &tasks, known);
        if let Some(clock) = clock {
            self.local.clocks.insert(worker.clone(), clock);
        }
        for (recorded, placed) in recorded.iter().zip(placed).skip(old) {
            let row = &mut self.rows[recorded.row];
            row.worker.clone_from(&worker);
            row.version.clone_from(&version);
            row.date(recorded, placed);
        }
    }
}

impl Row {
    /// Sets its times to those of its last attempt.
    fn date(&mut self, recorded: &Recorded, placed: Placed) {
        if !recorded.follows {
            let task = recorded.task.map(|task| task.started);
            self.at = placed.scheduled.or(placed.ended).or(task).unwrap_or(self.at);
            self.is_undated = placed.scheduled.is_none();
        }
        if let Some(backoff) = recorded.marker.backoff {
            (self.started, self.ended) = (None, None);
            self.due = placed.ended.map(|ended| ended + backoff);
        } else {
            (self.started, self.ended) = (placed.started, placed.ended);
            self.due = None;
        }
    }
}

/// How a local activity ended, and why if it failed. Some SDKs wrap the failure in one that only names
/// the activity.
fn outcome(failure: Option<&Failure>) -> (RowStatus, Option<String>) {
    let Some(failure) = failure else { return (RowStatus::Completed, None) };
    let failure = match (&failure.failure_info, &failure.cause) {
        (Some(FailureInfo::ActivityFailureInfo(_)), Some(cause)) => cause,
        _ => failure,
    };
    let status = match failure.failure_info {
        Some(FailureInfo::CanceledFailureInfo(_)) => RowStatus::Cancelled,
        Some(FailureInfo::TimeoutFailureInfo(_)) => RowStatus::TimedOut,
        _ => RowStatus::Failed,
    };
    (status, failure_message(Some(failure)))
}
