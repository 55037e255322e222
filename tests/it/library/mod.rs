//! The library: fleets that users define, and workers that they embed in their programs.

mod embedded;
mod fleets;
