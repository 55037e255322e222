//! The part of the server that belongs to one test.

use std::{ffi::OsStr, process::Command};

use uuid::Uuid;

use super::{FLEET, example, program};
use crate::server;

/// The part of the server that belongs to one test: task queues that no other test uses.
pub(crate) struct World {
    name: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { name: format!("test-{}", Uuid::new_v4()) }
    }

    /// Returns a name that no other test uses.
    pub(crate) fn id(&self) -> String {
        self.name.clone()
    }

    pub(crate) fn workflow_queue(&self) -> String {
        format!("{}-w", self.name)
    }

    pub(crate) fn activity_queue(&self) -> String {
        format!("{}-a", self.name)
    }

    /// Returns a command for the `fleet` binary in this world.
    pub(crate) fn fleet<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.at_home(FLEET, arguments)
    }

    /// Returns a command for the `orders` example in this world.
    pub(crate) fn orders<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        self.at_home(example("orders"), arguments)
    }

    /// Returns a command for any program of a fleet in this world.
    pub(crate) fn at_home<'a>(
        &self,
        path: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Command {
        let mut command = program(path);
        command
            .args(arguments)
            .env("TEMPORAL_ADDRESS", server::address())
            .env("FLEET_WORKFLOW_TASK_QUEUE", self.workflow_queue())
            .env("FLEET_ACTIVITY_TASK_QUEUE", self.activity_queue());
        command
    }
}
