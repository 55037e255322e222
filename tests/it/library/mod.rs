//! The library as its users have it: fleets of their own, workers they embed, the README's crate.

mod embedded;
mod fleets;
mod readme;
