//! Rows of local activities.

use std::time::{Duration, SystemTime};

use temporalio_common::protos::{
    coresdk::{common::extract_local_activity_marker_data, external_data::LocalActivityMarkerData},
    temporal::api::history::v1::history_event::Attributes,
};

use super::{
    events::Builder,
    proto::{failure_message, time},
    row::{Kind, Row, RowStatus, since},
};

/// The name of the marker with which Core records a local activity (`temporalio_protos::constants`).
const LOCAL_ACTIVITY: &str = "core_local_activity";
/// How far the clocks of server and worker may differ for [`Builder::local_activity`].
const SKEW: Duration = Duration::from_secs(1);

impl Builder {
    pub(super) fn add_local_activity_event(
        &mut self,
        id: i64,
        at: SystemTime,
        attributes: &Attributes,
    ) -> bool {
        let Attributes::MarkerRecordedEventAttributes(event) = attributes else { return false };
        let data = (event.marker_name == LOCAL_ACTIVITY)
            .then(|| extract_local_activity_marker_data(&event.details))
            .flatten();
        let Some(data) = data else { return false };
        let index = self.local_activity(id, at, data);
        let row = &mut self.rows[index];
        row.failure = failure_message(event.failure.as_ref());
        row.status = if event.failure.is_some() { RowStatus::Failed } else { RowStatus::Completed };
        true
    }

    /// Adds a local activity and returns its index. The marker is written at the end of the workflow
    /// task. It has two times: the end in workflow time, which is the start of the workflow task
    /// plus the run time; and the scheduling by the worker's clock, whose distance from that of the
    /// first local activity in the same workflow task gives the start.
    fn local_activity(&mut self, id: i64, at: SystemTime, data: LocalActivityMarkerData) -> usize {
        let scheduled = time(data.original_schedule_time);
        let task = self.workflow_task_at(scheduled);
        let began = task.and_then(|index| self.rows[index].started);
        let start = match (task, began, scheduled) {
            (Some(task), Some(began), Some(scheduled)) => {
                let base = match self.local_base {
                    Some((same, base)) if same == task => base,
                    _ => scheduled,
                };
                self.local_base = Some((task, base));
                began + since(base, scheduled)
            }
            _ => at,
        };
        let worker = task.map(|index| &self.rows[index]);
        let (worker, version) =
            worker.map(|row| (row.worker.clone(), row.version.clone())).unwrap_or_default();
        let ended = time(data.complete_time).unwrap_or(at).max(start);
        let mut row = Row::new(Kind::LocalActivity, id, start);
        row.name = data.activity_type;
        row.id = data.activity_id;
        row.attempt = data.attempt.max(1);
        // The marker does not have the start of a later attempt.
        row.started = (row.attempt == 1).then_some(start);
        row.ended = Some(ended);
        row.worker = worker;
        row.version = version;
        self.push(row);
        self.rows.len() - 1
    }

    /// The index of the workflow task in which a local activity was scheduled, at `scheduled` by the
    /// worker's clock. It is the last one, or an earlier one if the worker prolonged that while the
    /// activity ran.
    fn workflow_task_at(&self, scheduled: Option<SystemTime>) -> Option<usize> {
        let last = self.workflow_task?;
        let Some(scheduled) = scheduled else { return Some(last) };
        let before = self.rows[..=last].iter().enumerate().rev().find(|(_, row)| {
            row.kind == Kind::WorkflowTask
                && row.started.is_some_and(|started| started <= scheduled + SKEW)
        });
        Some(before.map_or(last, |(index, _)| index))
    }
}
