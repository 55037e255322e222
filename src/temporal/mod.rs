//! Talks to the Temporal server: its connection, task queues, histories, failures and payloads.

mod address;
pub(crate) mod audit;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod history;
mod http_proxy;
pub(crate) mod options;
pub(crate) mod outage;
pub(crate) mod payload;
mod profile;
pub(crate) mod rate_limits;
pub(crate) mod retry;
pub(crate) mod runs;
pub(crate) mod target;
pub(crate) mod task_queue;
mod texts;
mod tls;
mod tls_hint;
mod variables;
mod wire;
