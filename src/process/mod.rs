//! This process and its children: signals, states, identities, and the messages between a worker and its supervisor.

pub(crate) mod child;
pub(crate) mod exit;
pub(crate) mod identity;
pub(crate) mod shutdown;
pub(crate) mod state;
pub(crate) mod worker_message;
