//! The settings of the connection to Temporal.

use std::time::Duration;

use crate::config::{Compression, Config, environment::Environment};

/// What the connection to Temporal is made from.
#[derive(Clone, Debug)]
pub(crate) struct ConnectSettings {
    /// Holds the `TEMPORAL_*` variables, which describe the server and the credentials.
    pub(crate) environment: Environment,
    /// How long to keep trying to reach the server and to find the namespace.
    pub(crate) connect_timeout: Duration,
    /// How messages are compressed.
    pub(crate) compression: Compression,
}

impl Config {
    /// The part of the settings that the connection to Temporal needs.
    pub(crate) fn connect_settings(&self) -> ConnectSettings {
        ConnectSettings {
            environment: self.environment.clone(),
            connect_timeout: self.connect_timeout,
            compression: self.grpc_compression,
        }
    }
}
