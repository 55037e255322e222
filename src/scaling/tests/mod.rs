#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a simulation counts little"
)]

mod rules;
mod scenarios;
mod simulation;
