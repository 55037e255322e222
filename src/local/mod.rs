//! What runs on one machine: a supervisor with its workers, and a Temporal dev server.

#[cfg(feature = "cli-download")]
mod cli_download;
pub(crate) mod dev_server;
pub(crate) mod events;
pub(crate) mod fleet_health;
pub(crate) mod kept_server;
mod poison;
mod restarts;
mod roster;
pub(crate) mod supervisor;
pub(crate) mod temporal_cli;
mod worker_slot;

pub(crate) use self::restarts::LONGEST_PAUSE;
