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

#[cfg(test)]
mod tests;
