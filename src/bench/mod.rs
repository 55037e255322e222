//! `fleet bench`'s engine: starts workflows at a pace, and measures what they take.
//!
//! [`Run`] starts them and awaits them; [`results`] keep what came of it in histograms, whose size
//! does not depend on how many there were; [`stages`] reads a sample of histories afterwards; and
//! [`goals`] says whether that is good enough. [`text`], [`json`] and [`picture()`] show it.

pub(crate) mod goals;
mod measure;
mod pace;
mod picture;
mod print;
mod results;
mod run;
mod sample;
mod series;
pub(crate) mod stages;

pub(crate) use self::{
    goals::{Budget, Goal},
    measure::{Measure, Quantile},
    pace::{Length, Pace, Plan, Rate},
    picture::{Form, picture},
    print::{Account, json, text},
    run::{Ended, Run},
};
