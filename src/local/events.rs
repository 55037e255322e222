//! What happens in a fleet on one machine, as events.
//!
//! The supervisor reports each event to a [`Reporter`], and the command decides how to show it: as
//! lines of text or as lines of JSON.

use std::{fmt::Display, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    config::role::Role,
    process::{exit_status::ProcessExit, named_run::NamedRun, stall::Stall},
};

/// Receives the events of a fleet as they happen.
///
/// [`report`](Self::report) is called from async code and must not block.
pub(crate) trait Reporter: Send + Sync {
    fn report(&self, event: &FleetEvent);
}

/// Something that happened in a fleet.
///
/// The names and fields of the JSON form are a promise; docs/operations.md lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum FleetEvent {
    /// The dev server that runs with the fleet answers. This is reported again after it was started again.
    DevServerReady {
        /// `host:port`
        address: String,
        /// The URL of its UI.
        ui: Option<String>,
    },
    /// The dev server has ended although nobody asked it to, or could not be started again.
    DevServerExited {
        error: String,
        /// How long until it is started again; `None` if it is not.
        #[serde(rename = "restart_in_ms", serialize_with = "as_millis")]
        restart_in: Option<Duration>,
    },
    /// The fleet is about to start this many workers of each role.
    FleetStarting { workflow_workers: usize, activity_workers: usize, workers: usize },
    /// A worker process was started, for the first time or again.
    WorkerStarting(WorkerProcess),
    /// The server lists the worker as a poller of its task queue.
    WorkerReady(WorkerProcess),
    /// The worker was ready, and the server does not serve it any more: it is away, does not know the
    /// namespace, or answers no poll. [`Self::WorkerReady`] follows when it does again.
    WorkerDisconnected(WorkerProcess),
    /// Every worker is ready. This is reported again after a worker was replaced.
    FleetReady,
    /// A worker process has given no sign of life for `FLEET_STUCK_TIMEOUT`. It is killed and replaced.
    WorkerStuck {
        #[serde(flatten)]
        process: WorkerProcess,
        #[serde(rename = "silent_for_ms", serialize_with = "in_millis")]
        silent_for: Duration,
        #[serde(flatten)]
        stall: Stall,
    },
    /// A worker process has exited although it was not asked to.
    WorkerExited {
        #[serde(flatten)]
        process: WorkerProcess,
        #[serde(flatten)]
        exit: ProcessExit,
        /// How long until the worker is started again; `None` if it is not.
        #[serde(rename = "restart_in_ms", serialize_with = "as_millis")]
        restart_in: Option<Duration>,
    },
    /// The code of a workflow has ended or blocked this many workers, one after the other.
    WorkflowEndsWorkers {
        #[serde(flatten)]
        run: NamedRun,
        workers: u32,
    },
    /// No process could be started in place of one that has exited.
    WorkerStartFailed {
        worker: String,
        #[serde(serialize_with = "as_text")]
        role: Role,
        error: String,
        /// How long until it is tried again.
        #[serde(rename = "restart_in_ms", serialize_with = "in_millis")]
        restart_in: Duration,
    },
    /// Events are missing here, because nobody read those before.
    EventsLeftOut { count: usize },
    /// The fleet stops: on request, or because of an error.
    FleetShuttingDown { error: Option<String> },
    /// A worker process was asked to drain.
    WorkerShuttingDown(WorkerProcess),
    /// A worker process that was asked to drain has exited.
    WorkerStopped {
        #[serde(flatten)]
        process: WorkerProcess,
        #[serde(flatten)]
        exit: ProcessExit,
    },
    /// All workers, and the dev server, have stopped. The command exits with this code next.
    FleetStopped { exit_code: u8, error: Option<String> },
}

/// A process of a worker. Each restart of the worker has another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WorkerProcess {
    /// The worker's name in its fleet, such as `workflow-worker:0`.
    pub(crate) worker: String,
    #[serde(serialize_with = "as_text")]
    pub(crate) role: Role,
    pub(crate) pid: u32,
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn in_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    as_millis(&Some(*time), serializer)
}

#[expect(clippy::ref_option, reason = "the form that serde calls")]
fn as_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}
