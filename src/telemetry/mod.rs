//! Logs and traces, and the way out for logs, traces and metrics: what a process says of itself.
//!
//! [`install()`] is for a process that is all the fleet's. A program that embeds a worker has a
//! subscriber of its own, or none: its workers' traces ([`Traces`]) touch nothing global.

mod export;
mod install;
mod logs;
pub(crate) mod metrics;
mod outage;
pub(crate) mod replay;
mod resource;
mod stderr;
mod traces;

pub use self::traces::TraceContext;
pub(crate) use self::{
    export::FLUSH_TIMEOUT, install::install, logs::Logs, resource::resource, traces::Traces,
};
