//! What workflow and activity code may ask of its fleet.

pub(crate) mod drain;
pub mod label;
pub mod routing;
