//! One run of a workflow as rows on a common time axis, by the server's own account.
//!
//! [`events`] makes rows of the history; [`pending`] adds what the history does not hold yet, of a
//! run that still goes on; [`account`] sums up. [`text()`] and [`json()`] print all of it.

mod account;
mod bar;
mod events;
mod json;
mod model;
mod others;
mod pending;
mod read;
mod rows;
mod style;
mod tasks;
mod text;

pub(crate) use self::{
    json::json,
    model::{Kind, Phase, Timeline},
    read::Reader,
    style::Style,
    text::text,
};

#[cfg(test)]
mod tests;
