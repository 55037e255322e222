//! The workloads that the crate contains: Temporal's sample, and the workflow of `fleet bench`.

pub mod load;
pub mod parallelized;
