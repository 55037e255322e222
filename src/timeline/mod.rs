//! One run of a workflow as rows on a common time axis, read from the server.
//!
//! [`TimelineReader`] asks the server. [`events`] builds rows from the history, and [`pending`] adds
//! what the history of an open run does not contain yet. [`totals`] sums up. [`text()`] and [`json()`]
//! print the result.

mod bar;
mod events;
mod failures;
mod json;
mod layout;
mod local_activities;
mod local_times;
mod markers;
mod model;
mod names;
mod others;
mod pending;
mod proto;
mod read;
mod row;
mod rows;
mod start;
mod tasks;
mod text;
mod totals;
mod workers;

pub(crate) use self::{
    json::json,
    layout::Layout,
    model::{RunStatus, Timeline},
    read::TimelineReader,
    row::{Kind, Phase},
    text::text,
};

/// The timeline of a history that was not read from a server. `None` if the run's start is not in it.
#[cfg(fuzzing)]
pub(crate) fn of_history(
    history: temporalio_common::protos::temporal::api::history::v1::History,
    now: std::time::SystemTime,
) -> Option<Timeline> {
    let mut builder = events::Builder::default();
    history.events.into_iter().for_each(|event| builder.add(event));
    builder.build("a-run", now)
}

#[cfg(test)]
mod tests;
