//! The workloads that come with the crate: Temporal's sample, and a load to measure with.

pub mod load;
pub mod parallelized;
