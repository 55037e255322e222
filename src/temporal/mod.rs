//! Talks to the Temporal server: its connection, task queues, histories and payloads.

pub(crate) mod connection;
pub(crate) mod history;
pub(crate) mod options;
pub(crate) mod payload;
pub(crate) mod rate_limits;
pub(crate) mod retry;
pub(crate) mod runs;
pub(crate) mod target;
pub(crate) mod task_queue;
mod tls_hint;
