//! This process and its children: signals, states, signs of life, identities, and the messages from a
//! worker to its supervisor.

pub(crate) mod around_code;
pub(crate) mod checked;
pub(crate) mod child;
pub(crate) mod exit_status;
pub(crate) mod flight_recorder;
pub(crate) mod host;
pub(crate) mod identity;
mod in_flight;
pub(crate) mod named_run;
pub(crate) mod poll_log;
pub(crate) mod pulse;
pub(crate) mod shutdown;
pub(crate) mod stall;
pub(crate) mod state;
pub(crate) mod watchdog;
pub(crate) mod worker_message;
mod workflow_code;
