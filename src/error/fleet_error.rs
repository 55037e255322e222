//! [`Error`]: what a program that embeds a worker can meet.

use std::{borrow::Cow, io, time::Duration};

use temporalio_client::tonic::Code;
use temporalio_sdk::{RuntimeError, WorkerCreateError, WorkerRunError, WorkflowRegistrationError};

use super::exit::Exit;
use crate::config::{ConfigError, role::Role, show};

/// An error of the fleet. Each variant says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings are wrong. Each line of the message names one, where its value came from and the rule.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The settings of the connection (`TEMPORAL_*`, `temporal.toml`) are wrong. Correct them.
    #[error("the connection to Temporal is misconfigured: {0}")]
    ConnectionConfig(String),

    /// A signal cannot be exported as `OTEL_EXPORTER_OTLP_*` describes it. Correct these variables.
    #[error("the export of {signal} ({endpoint}) is misconfigured: {cause}")]
    Telemetry {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// The protocol and the URL of the endpoint.
        endpoint: String,
        /// What is wrong.
        cause: String,
    },

    /// Temporal did not answer within `FLEET_CONNECT_TIMEOUT`. Start the server, or correct `TEMPORAL_ADDRESS`.
    #[error("cannot reach Temporal at {address} (tried for {}): {cause}{hint}", show(*.tried))]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// How long it was tried.
        tried: Duration,
        /// Why the last attempt failed.
        cause: String,
        /// What to do, if that is known; begins with a semicolon.
        hint: Cow<'static, str>,
    },

    /// The server answered and refused. Correct the credentials.
    #[error("Temporal at {address} refused the connection: {cause}")]
    Refused {
        /// The server's address.
        address: String,
        /// The server's words.
        cause: String,
    },

    /// The namespace does not exist. Create it, or correct `TEMPORAL_NAMESPACE`.
    #[error(
        "namespace {namespace:?} does not exist at {address}: create it or set TEMPORAL_NAMESPACE"
    )]
    NamespaceMissing {
        /// The namespace.
        namespace: String,
        /// The server's address.
        address: String,
    },

    /// The role needs workflows or activities, and the fleet registers none. Register them.
    #[error("this fleet registers no {missing}, which role {role} needs")]
    NothingRegistered {
        /// The role.
        role: Role,
        /// `workflow` or `activities`.
        missing: &'static str,
    },

    /// A workflow cannot be registered: two have the same type name, for example. Correct the fleet's code.
    #[error("a workflow cannot be registered")]
    Registration(#[from] WorkflowRegistrationError),

    /// The SDK's runtime did not start.
    #[error("the SDK's runtime cannot be started")]
    Runtime(#[from] RuntimeError),

    /// The SDK refused to create the worker.
    #[error("the worker cannot be created")]
    WorkerCreate(#[from] WorkerCreateError),

    /// The worker ended without being asked to. The cause says why; for example, the server refused its polls for a
    /// minute.
    #[error("the worker failed")]
    WorkerRun(#[source] WorkerRunError),

    /// A worker that was asked to stop still had work in flight at its deadline. Temporal retries that work on another
    /// worker. Raise `FLEET_DRAIN_TIMEOUT`, or let activities heartbeat and react to cancellation.
    #[error(
        "the drain was not over after {} (FLEET_DRAIN_TIMEOUT); Temporal retries what was in flight \
         on another worker",
        show(*.after)
    )]
    DrainDeadline {
        /// The drain timeout.
        after: Duration,
    },

    /// The operating system refused something that the fleet needs.
    #[error("{what}")]
    Os {
        /// What failed.
        what: String,
        /// Why it failed.
        source: io::Error,
    },

    /// The server refused a call.
    #[error("Temporal refused to {what}: {cause}")]
    Rpc {
        /// What was asked for.
        what: &'static str,
        /// The server's words.
        cause: String,
        /// The gRPC code of its answer.
        code: Code,
    },

    /// This is a bug of temporal-fleet.
    #[error("a bug of temporal-fleet: {0}")]
    Bug(String),
}

impl Error {
    /// The exit code of a command that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit().code()
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::DrainDeadline { .. } => Exit::DrainDeadline,
            Self::Config(_)
            | Self::ConnectionConfig(_)
            | Self::Telemetry { .. }
            | Self::Refused { .. }
            | Self::NamespaceMissing { .. }
            | Self::NothingRegistered { .. }
            | Self::Registration(_) => Exit::Config,
            Self::WorkerRun(error) => Exit::from_cause(error),
            Self::Rpc { code, .. } => Exit::from_status(*code),
            Self::Runtime(_) | Self::WorkerCreate(_) | Self::Os { .. } | Self::Bug(_) => {
                Exit::Software
            }
        }
    }
}
