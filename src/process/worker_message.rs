//! What a supervised worker reports to its supervisor.
//!
//! A supervisor gives each worker one end of a socket pair as standard input. The socket carries
//! information both ways. The worker writes one JSON object per line: its state and the address of
//! its health listener. And it reads: the end of the stream means that the supervisor is gone
//! ([`super::shutdown`]).

use std::{
    io::{self, Write},
    net::SocketAddr,
    os::{fd::AsFd, unix::net::UnixStream},
};

use serde::{Deserialize, Serialize};

use super::state::State;

/// A line from a worker to its supervisor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerMessage {
    /// The worker's state has changed to this.
    State(State),
    /// The worker's health listener is bound to this address.
    HealthAddr(SocketAddr),
}

/// The connection of a worker to its supervisor.
pub(crate) struct SupervisorLink(UnixStream);

impl SupervisorLink {
    /// Uses standard input, which is a socket under a supervisor.
    pub(crate) fn on_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?.into()))
    }

    /// Sends a message. An error is ignored: it means that the supervisor is gone, which
    /// [`super::shutdown`] notices.
    pub(crate) fn send(&mut self, message: WorkerMessage) {
        if let Ok(mut line) = serde_json::to_vec(&message) {
            line.push(b'\n');
            let _ = self.0.write_all(&line);
        }
    }
}
