//! Logs and traces, and the way out for logs, traces and metrics: what a process says of itself.
//!
//! [`install`] is for a process that is all the fleet's. A program that embeds a worker has a
//! subscriber of its own, or none: its workers' traces ([`Traces`]) touch nothing global.

mod export;
mod install;
mod logs;
mod outage;
pub(crate) mod replay;
mod resource;
mod stderr;
mod traces;

pub(crate) use export::{FLUSH_TIMEOUT, metric_reader};
pub(crate) use install::install;
pub(crate) use logs::Logs;
pub(crate) use resource::resource;
pub use traces::TraceContext;
pub(crate) use traces::Traces;
