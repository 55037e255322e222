//! [`CommandError`]: what a command can meet.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use super::{exit::Exit, fleet_error::Error};
use crate::config::{ConfigError, show};

/// An error of a command. Its message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Fleet(#[from] Error),

    /// The flags of the command line do not fit together.
    #[error("{0}")]
    Usage(String),

    #[error("no role: set FLEET_ROLE or --role to workflow-worker, activity-worker or worker")]
    RoleMissing,

    #[error("this fleet registers no workflow: name one with --workflow-type")]
    NothingToStart,

    #[error(
        "this fleet does not register LoadWorkflow (Fleet::load_workload): name a workflow with \
         --workflow-type"
    )]
    NothingToBench,

    /// A goal of `fleet bench` was missed: a line for each.
    #[error("{0}")]
    GoalMissed(String),

    /// A workflow was lost in `fleet chaos`, or a worker did not come back: a line for each problem.
    #[error("{0}")]
    ChaosLoss(String),

    /// The fleet that `fleet chaos` attacks does not answer any more.
    #[error("the fleet at {address} does not answer any more: {why}")]
    AttackedFleet { address: SocketAddr, why: String },

    /// A batch with this name was started with other arguments.
    #[error(
        "batch {batch:?} was started with {what} {was}, not {asked} ({workflow_id}): use the same \
         arguments, or another batch name"
    )]
    BatchMismatch {
        batch: String,
        /// The workflow of the batch that shows the difference.
        workflow_id: String,
        /// What differs: `workflow type`, `task queue`, `input` or `input encoding`.
        what: &'static str,
        was: String,
        asked: String,
    },

    /// A workflow of the batch exists, and the user asked for a failure in this case.
    #[error("workflow {workflow_id} exists already (--id-conflict-policy Fail)")]
    WorkflowExists { workflow_id: String },

    /// Workflows were still running when the time was over. They keep running.
    #[error("not done after {} (--timeout)", show(*.after))]
    NotDone { after: Duration },

    #[error("no worker polls {queue:?} for {kind} tasks, and {backlog} wait there (--check)")]
    Unserved {
        queue: String,
        /// `workflow` or `activity`.
        kind: &'static str,
        /// About how many tasks wait.
        backlog: i64,
    },

    /// The server has no such workflow or run. Its retention may be over.
    #[error(
        "no workflow {workflow_id:?}{} in namespace {namespace:?} at {address}",
        of_run(.run_id)
    )]
    WorkflowMissing {
        namespace: String,
        address: String,
        workflow_id: String,
        /// Empty if no run was named.
        run_id: String,
    },

    /// A worker exits again and again before it can work. The lines above say why.
    #[error("{worker} exited {exits} times within {}: giving up", show(*.within))]
    CrashLoop { worker: String, exits: usize, within: Duration },

    /// A worker cannot start, for a reason that it has printed and that all other workers share.
    #[error("{worker} could not start: stopping the fleet")]
    WorkerConfig {
        worker: String,
        /// How the worker exited. The fleet exits in the same way.
        exit: Exit,
    },

    /// A worker ended before it had finished what was in flight. Temporal retries that on another worker.
    #[error("{worker} ended before it had drained ({how})")]
    WorkerLost {
        worker: String,
        /// Its exit code or signal.
        how: String,
    },

    /// No Temporal CLI was found, and none could be fetched. The message names the ways out.
    #[error("{0}")]
    TemporalCli(String),

    /// The dev server did not start, or ended by itself.
    #[error("the Temporal dev server {what}")]
    DevServer { what: String },

    #[error("not ready after {}: {missing} do not poll yet", show(*.after))]
    NotReady {
        after: Duration,
        /// The workers that are not ready.
        missing: String,
    },

    /// The address is in use, or it is not an address of this machine.
    #[error("cannot listen for health probes on {address} (FLEET_HEALTH_ADDR)")]
    HealthAddress { address: SocketAddr, source: io::Error },

    /// The machine or the container does not give this process what it needs.
    #[error("{0}")]
    Host(String),

    /// A bug of the fleet, of the SDK or of what its user has added. The panic has printed its message.
    #[error("this process panicked: see the lines above")]
    Panicked,

    #[error("no health address: set FLEET_HEALTH_ADDR or --health-addr")]
    NoHealthAddress,

    #[error("cannot start {}", .program.display())]
    Spawn { program: PathBuf, source: io::Error },
}

impl CommandError {
    /// How a command that ends with this error exits.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Fleet(error) => error.exit(),
            Self::TemporalCli(_) => Exit::Unavailable,
            Self::WorkerConfig { exit, .. } => *exit,
            Self::Usage(_) => Exit::Usage,
            Self::NotDone { .. }
            | Self::WorkflowExists { .. }
            | Self::Unserved { .. }
            | Self::WorkflowMissing { .. }
            | Self::ChaosLoss(_)
            | Self::GoalMissed(_) => Exit::Failed,
            Self::RoleMissing
            | Self::HealthAddress { .. }
            | Self::NoHealthAddress
            | Self::NothingToStart
            | Self::NothingToBench
            | Self::Host(_)
            | Self::BatchMismatch { .. } => Exit::Config,
            Self::CrashLoop { .. }
            | Self::AttackedFleet { .. }
            | Self::Panicked
            | Self::WorkerLost { .. }
            | Self::DevServer { .. }
            | Self::NotReady { .. }
            | Self::Spawn { .. } => Exit::Software,
        }
    }
}

impl CommandError {
    /// Whether the message is a list of problems, each on a line of its own.
    pub(crate) fn has_lines(&self) -> bool {
        matches!(
            self,
            Self::GoalMissed(_) | Self::Fleet(Error::Config(_) | Error::ConnectionConfig(_))
        )
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Fleet(error.into())
    }
}

fn of_run(run_id: &str) -> String {
    if run_id.is_empty() { String::new() } else { format!(" with run {run_id}") }
}
