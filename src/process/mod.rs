//! This process and its children: signals, states, identities, and the messages from a worker to
//! its supervisor.

pub(crate) mod checked;
pub(crate) mod child;
pub(crate) mod exit_status;
pub(crate) mod host;
pub(crate) mod identity;
mod in_flight;
pub(crate) mod shutdown;
pub(crate) mod state;
pub(crate) mod worker_message;
