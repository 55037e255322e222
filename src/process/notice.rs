//! What a supervised worker tells its supervisor.
//!
//! A supervisor gives each worker one end of a socket pair as standard input. The worker reads the
//! end of it as the end of its supervisor ([`crate::process::shutdown`]) and writes to it, a JSON object a
//! line, where it is in its life and where its health listener is.

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
pub(crate) enum Notice {
    State(State),
    HealthAddr(SocketAddr),
}

/// The supervisor, as a worker has it.
pub(crate) struct Parent(UnixStream);

impl Parent {
    /// The supervisor at the other end of standard input.
    pub(crate) fn on_stdin() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?.into()))
    }

    /// Tells the supervisor; one that is gone is noticed elsewhere.
    pub(crate) fn tell(&mut self, notice: Notice) {
        if let Ok(mut line) = serde_json::to_vec(&notice) {
            line.push(b'\n');
            let _ = self.0.write_all(&line);
        }
    }
}
