//! What can go wrong, and with which exit code a command leaves then.

use std::{error::Error as StdError, io, net::SocketAddr, path::PathBuf, time::Duration};

use temporalio_sdk::{RuntimeError, WorkerCreateError, WorkerRunError, WorkflowRegistrationError};

use crate::config::{ConfigError, role::Role};

/// Exit codes, after BSD's `sysexits.h` where it has one.
pub(crate) mod exit {
    /// Some workflow failed, or what the command line asked for was not reached.
    pub(crate) const FAILED: u8 = 1;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// Temporal, or the CLI of its dev server, cannot be reached (`EX_UNAVAILABLE`).
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// The fleet could not go on (`EX_SOFTWARE`).
    pub(crate) const SOFTWARE: u8 = 70;
    /// The drain deadline passed (`EX_TEMPFAIL`).
    pub(crate) const DRAIN_DEADLINE: u8 = 75;
    /// The configuration is wrong (`EX_CONFIG`).
    pub(crate) const CONFIG: u8 = 78;
}

/// An error of the fleet. What to do about it stands at each variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings are wrong: each line of the message names one, where it came from and the rule.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The connection's settings (`TEMPORAL_*`, `temporal.toml`) are wrong: correct them.
    #[error("the connection to Temporal is misconfigured: {0}")]
    ConnectionConfig(String),

    /// A signal cannot be exported as `OTEL_EXPORTER_OTLP_*` describe it: correct them.
    #[error("the export of {signal} ({endpoint}) is misconfigured: {cause}")]
    Telemetry {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The protocol and the URL of the endpoint.
        endpoint: String,
        /// What is wrong.
        cause: String,
    },

    /// Nothing answered in `FLEET_CONNECT_TIMEOUT`: start the server, or correct `TEMPORAL_ADDRESS`.
    #[error("cannot reach Temporal at {address} (tried for {}): {cause}{hint}", crate::config::show(*.tried))]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// For how long.
        tried: Duration,
        /// Why the last try failed.
        cause: String,
        /// What to do, where that is plain.
        hint: &'static str,
    },

    /// The server answered and refused: correct the credentials.
    #[error("Temporal at {address} refused the connection: {cause}")]
    Refused {
        /// The server's address.
        address: String,
        /// The server's words.
        cause: String,
    },

    /// The namespace is not there: create it, or correct `TEMPORAL_NAMESPACE`.
    #[error(
        "namespace {namespace:?} does not exist at {address}: create it or set TEMPORAL_NAMESPACE"
    )]
    NamespaceMissing {
        /// The namespace.
        namespace: String,
        /// The server's address.
        address: String,
    },

    /// The role needs workflows or activities, and the fleet registers none: register them.
    #[error("this fleet registers no {missing}, which role {role} needs")]
    NothingRegistered {
        /// The role.
        role: Role,
        /// `workflow` or `activities`.
        missing: &'static str,
    },

    /// The process does not know what it is: name a role.
    #[error("no role: set FLEET_ROLE or --role to workflow-worker, activity-worker or worker")]
    RoleMissing,

    /// A starter of a fleet without workflows has to be told what to start.
    #[error("this fleet registers no workflow: name one with --workflow-type")]
    NothingToStart,

    /// A load has to be told what it is, in a fleet without the workload that is made for it.
    #[error(
        "this fleet does not register LoadWorkflow (Fleet::load_workload): name a workflow with \
         --workflow-type"
    )]
    NothingToBench,

    /// What the command line asked to be reached was not: a line for each.
    #[error("{0}")]
    GoalMissed(String),

    /// A batch of that name was begun in another way: ask for the same, or name another batch.
    #[error(
        "batch {batch:?} was begun with {what} {was}, not {asked} ({workflow_id}): ask for the same, \
         or name another batch"
    )]
    BatchMismatch {
        /// The batch.
        batch: String,
        /// The workflow of it that shows that.
        workflow_id: String,
        /// What differs: `workflow type`, `task queue` or `input`.
        what: &'static str,
        /// How it was.
        was: String,
        /// How it is now.
        asked: String,
    },

    /// Workflows were still running when `--timeout` was over. They go on.
    #[error("not done after {} (--timeout)", crate::config::show(*.after))]
    NotDone {
        /// How long was waited.
        after: Duration,
    },

    /// Tasks wait on a queue that no worker polls: start workers for it.
    #[error("no worker polls {queue:?} for {kind} tasks, and {backlog} wait there (--check)")]
    Unserved {
        /// The task queue.
        queue: String,
        /// `workflow` or `activity`.
        kind: &'static str,
        /// About how many tasks wait.
        backlog: i64,
    },

    /// The server has no such workflow, or no such run of it: correct the id or the namespace. Its
    /// retention may also be over.
    #[error(
        "no workflow {workflow_id:?}{} in namespace {namespace:?} at {address}",
        of_run(.run_id)
    )]
    WorkflowMissing {
        /// The namespace.
        namespace: String,
        /// The server's address.
        address: String,
        /// The workflow's id.
        workflow_id: String,
        /// The run's; empty where it was not named.
        run_id: String,
    },

    /// The command line asks for what makes no sense together.
    #[error("{0}")]
    Usage(String),

    /// Two workflows have one type name, or similar: correct the fleet's code.
    #[error("a workflow cannot be registered")]
    Registration(#[from] WorkflowRegistrationError),

    /// The SDK's runtime did not start.
    #[error("the SDK's runtime cannot be started")]
    Runtime(#[from] RuntimeError),

    /// The SDK refused to create the worker.
    #[error("the worker cannot be created")]
    WorkerCreate(#[from] WorkerCreateError),

    /// The worker ended by itself: what it polls with was refused for a minute, or a bug.
    #[error("the worker failed")]
    WorkerRun(#[source] WorkerRunError),

    /// A stopped worker still had work in hand at its deadline; Temporal retries that work
    /// elsewhere. Raise `FLEET_DRAIN_TIMEOUT`, or make activities heartbeat and heed cancellation.
    #[error("the drain was not over after {} (FLEET_DRAIN_TIMEOUT); what was in hand is retried elsewhere", crate::config::show(*.after))]
    DrainDeadline {
        /// The deadline.
        after: Duration,
    },

    /// Workers keep exiting before they can work: the lines above say why.
    #[error("{worker} exited {exits} times in a row: giving up")]
    CrashLoop {
        /// The worker's name, as `workflow-worker:1`.
        worker: String,
        /// How often it exited.
        exits: u32,
    },

    /// A worker could not start, for a reason that it has said and that holds for every other too.
    #[error("{worker} could not start: stopping the fleet")]
    WorkerConfig {
        /// The worker's name.
        worker: String,
        /// Its exit code, which becomes the fleet's.
        code: u8,
    },

    /// A worker ended before it had finished what it had in hand; Temporal retries that elsewhere.
    #[error("{worker} ended before it had drained ({how})")]
    WorkerLost {
        /// The worker's name.
        worker: String,
        /// Its exit code or signal.
        how: String,
    },

    /// A bug of this crate.
    #[error("a bug: {0}")]
    Bug(String),

    /// No Temporal CLI was found, and none could be fetched. The message names the ways out.
    #[error("{0}")]
    TemporalCli(String),

    /// The dev server did not start, or ended by itself.
    #[error("the Temporal dev server {what}")]
    DevServer {
        /// What happened to it.
        what: String,
    },

    /// The workers did not all begin to poll in time.
    #[error("not ready after {}: {missing} do not poll yet", crate::config::show(*.after))]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// The workers that are missing.
        missing: String,
    },

    /// The health address is in use or not this machine's: choose another.
    #[error("cannot listen for health probes on {address} (FLEET_HEALTH_ADDR)")]
    HealthAddress {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },

    /// There is no health listener to ask: name its address.
    #[error("no health address: set FLEET_HEALTH_ADDR or --health-addr")]
    NoHealthAddress,

    /// A program could not be started.
    #[error("cannot start {}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The operating system refused something the fleet needs.
    #[error("{what}")]
    Os {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },

    /// The server refused a call that a command needs.
    #[error("Temporal refused to {what}: {cause}")]
    Rpc {
        /// What was tried.
        what: &'static str,
        /// The server's words.
        cause: String,
    },
}

impl Error {
    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::TemporalCli(_) => exit::UNAVAILABLE,
            Self::DrainDeadline { .. } => exit::DRAIN_DEADLINE,
            Self::WorkerConfig { code, .. } => *code,
            Self::Usage(_) => exit::USAGE,
            Self::NotDone { .. }
            | Self::Unserved { .. }
            | Self::WorkflowMissing { .. }
            | Self::GoalMissed(_) => exit::FAILED,
            Self::Config(_)
            | Self::ConnectionConfig(_)
            | Self::Telemetry { .. }
            | Self::Refused { .. }
            | Self::NamespaceMissing { .. }
            | Self::NothingRegistered { .. }
            | Self::RoleMissing
            | Self::HealthAddress { .. }
            | Self::NoHealthAddress
            | Self::NothingToStart
            | Self::NothingToBench
            | Self::BatchMismatch { .. }
            | Self::Registration(_) => exit::CONFIG,
            Self::Runtime(_)
            | Self::WorkerCreate(_)
            | Self::WorkerRun(_)
            | Self::CrashLoop { .. }
            | Self::WorkerLost { .. }
            | Self::Bug(_)
            | Self::DevServer { .. }
            | Self::NotReady { .. }
            | Self::Spawn { .. }
            | Self::Os { .. }
            | Self::Rpc { .. } => exit::SOFTWARE,
        }
    }
}

fn of_run(run_id: &str) -> String {
    if run_id.is_empty() { String::new() } else { format!(" with run {run_id}") }
}

/// An error and its causes on one line, each said once: some libraries repeat the cause in the
/// message, some do not.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

/// The last cause of an error: what the operating system or the server really said.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn a_chain_says_each_cause_once() {
        let error = Layer(
            "outer: middle",
            Some(Box::new(Layer("middle", Some(Box::new(Layer("inner", None)))))),
        );
        assert_eq!(chain(&error), "outer: middle: inner");
        assert_eq!(root_cause(&error), "inner");
    }
}
