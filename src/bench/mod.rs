//! The engine of `fleet bench`: starts workflows at a given pace and measures how long they take.
//!
//! [`BenchRun`] starts the workflows and waits for them. [`results`] counts and keeps latencies in
//! histograms, whose size does not depend on the number of workflows. [`stages`] reads a sample of
//! the histories after the run. [`goals`] decides whether the results are good enough. [`text()`],
//! [`json()`] and [`picture()`] show a [`BenchSummary`].

mod budget;
pub(crate) mod goals;
mod json;
mod measure;
mod pace;
mod picture;
mod plan;
mod reservoir;
mod results;
mod run;
mod series;
pub(crate) mod stages;
mod summary;
mod text;

pub(crate) use self::{
    budget::Budget,
    goals::Goal,
    json::json,
    pace::{Pace, Rate},
    picture::{PictureFormat, picture},
    plan::{Length, Plan},
    results::Results,
    run::{BenchEnd, BenchRun},
    summary::BenchSummary,
    text::text,
};
