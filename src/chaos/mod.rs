//! A trial of a fleet: a steady load, attacks on its workers and its server, and the account of what the server
//! says became of the workflows.

mod account;
mod attacks;
mod fleet;
mod json;
mod load;
mod plan;
mod random;
mod report;
mod text;
mod trial;

pub(crate) use self::{
    fleet::AttackedFleet,
    json::json,
    plan::AttackPlan,
    report::{Bounds, TrialReport},
    text::text,
    trial::Trial,
};
