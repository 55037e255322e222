//! How many workers a group needs: the rule of an autoscaler, without a clock, without chance and without I/O.
//!
//! Whoever runs the group samples its [`Signals`] each second or so and asks a [`Scaler`], which answers with a
//! [`Decision`]. `docs/capacity.md` explains the rule with its formula.

mod decision;
mod recent;
mod scaler;
mod signals;
#[cfg(test)]
mod tests;

pub(crate) use decision::{Decision, Limit, Reason};
pub(crate) use scaler::Scaler;
pub(crate) use signals::{Bounds, Memory, Signals, Slots};
