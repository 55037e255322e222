//! Every setting, each written once: a row gives its key, its type, its environment variable, its default,
//! its rule and its meaning.
//!
//! [`Config`]'s field, the key in `fleet.toml`, the entry of [`VARS`], what `fleet config` prints and what a child
//! process is given follow from the row. `docs/configuration.md` and `.env.example` are compared with the rows by a
//! test.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{
    as_setting::AsSetting,
    choices::{Compression, Deployment, LogFormat, Pollers, Versioning},
    environment::Environment,
    layers::Layers,
    lists::{Names, Rate, TaskQueues},
    otel,
    role::Role,
    source::Source,
    values::{
        one_to, parse_address, parse_bool, parse_duration, parse_number, parse_own_name,
        parse_stuck_timeout,
    },
    vars::Var,
};
use crate::user_code::label::LabelStyle;

/// The upper limit of slots and of cached workflows: no machine has memory for more.
const MAX_SLOTS: usize = 1_000_000;
/// The upper limit of threads: no machine has more cores.
const MAX_THREADS: usize = 1_000;
/// The upper limit of activities for an SDK worker: by then, its leak is hundreds of gigabytes.
const MAX_ACTIVITIES: usize = 1_000_000_000;

/// Generates [`VARS`], [`Config`] and the intermediate [`Parsed`] from the rows.
///
/// A setting is `required` if it has a value in any case, `optional` if it may have none, and `derived` if its
/// default follows from other settings.
macro_rules! settings {
    ($($key:ident: $kind:ident $type:ty {
        env: $env:literal, default: $default:literal, rule: $rule:expr, meaning: $meaning:literal,
        $(derive: $derive:expr,)?
    })*) => {
        /// Every setting, with its environment variable.
        pub const VARS: &[Var] = &[$(Var {
            key: stringify!($key), env: $env, default: $default, meaning: $meaning,
        }),*];

        /// The settings of a fleet's process, resolved.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Config {
            /// The fleet's name. The default task queues start with it.
            pub fleet: String,
            /// The program's version, as `--version` and `/status` show it.
            pub version: String,
            $(#[doc = concat!($meaning, ".")] pub $key: settings!(@field $kind $type),)*
            /// The version of a worker deployment that this process runs, if its workers are versioned.
            pub deployment: Option<Deployment>,
            /// The environment that the settings come from. It also describes the connection to
            /// Temporal, and child processes get it.
            pub environment: Environment,
            /// The groups in the settings file, by name.
            pub(crate) groups: Vec<Group>,
            /// What is exported and how, by OpenTelemetry's own variables.
            pub(crate) telemetry: otel::Settings,
            /// The settings file that was read, if any.
            pub(crate) file: Option<PathBuf>,
            /// Where the value of each setting came from, in the order of [`VARS`].
            pub(super) sources: Vec<Source>,
        }

        /// The settings that could be parsed. A setting without a value has none here either, and so has one with
        /// a problem.
        pub(super) struct Parsed {
            $(pub(super) $key: Option<$type>,)*
        }

        impl Parsed {
            /// Parses each setting by its rule. The layers keep the problems.
            pub(super) fn of(layers: &mut Layers<'_>) -> Self {
                Self { $($key: layers.parse(stringify!($key), $rule),)* }
            }
        }

        impl Config {
            /// Completes the settings; `None` if a required one is missing, which then has a problem.
            pub(super) fn complete(parsed: &Parsed, base: ConfigBase) -> Option<Self> {
                let ConfigBase { fleet, version, environment, telemetry, file, sources } = base;
                Some(Self {
                    $($key: settings!(@take $kind parsed $key $($derive)?),)*
                    deployment: None,
                    groups: Vec::new(),
                    fleet, version, environment, telemetry, file, sources,
                })
            }

            /// The value of the setting with this key, as text; `None` if it has none.
            pub(super) fn value(&self, key: &str) -> Option<String> {
                $(if key == stringify!($key) {
                    return settings!(@text $kind self $key);
                })*
                None
            }
        }
    };
    (@field optional $type:ty) => { Option<$type> };
    (@field $kind:ident $type:ty) => { $type };
    (@take optional $parsed:ident $key:ident) => { $parsed.$key.clone() };
    (@take required $parsed:ident $key:ident) => { $parsed.$key.clone()? };
    (@take derived $parsed:ident $key:ident $derive:expr) => {
        match $parsed.$key.clone() { Some(value) => value, None => $derive($parsed)? }
    };
    (@text optional $self:ident $key:ident) => { $self.$key.as_ref().map(AsSetting::as_setting) };
    (@text $kind:ident $self:ident $key:ident) => { Some($self.$key.as_setting()) };
}

/// What a [`Config`] has besides the values of its settings.
pub(super) struct ConfigBase {
    pub(super) fleet: String,
    pub(super) version: String,
    pub(super) environment: Environment,
    pub(super) telemetry: otel::Settings,
    pub(super) file: Option<PathBuf>,
    pub(super) sources: Vec<Source>,
}

/// A group of workers, with all its settings.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The number of workers. With 0 the group stands for workers that run elsewhere.
    pub(crate) count: usize,
    pub(crate) config: Config,
}

impl Group {
    /// The task queue that its workers poll.
    pub(crate) fn task_queue(&self) -> &str {
        self.config.task_queue(self.role)
    }
}

impl Config {
    /// The name of the group of a worker in `role`. A worker of no group has its role's.
    pub(crate) fn group_or(&self, role: Role) -> &str {
        self.group.as_deref().unwrap_or(role.as_str())
    }

    /// The task queue that a worker in `role` polls.
    pub(crate) fn task_queue(&self, role: Role) -> &str {
        match role {
            Role::WorkflowWorker | Role::Worker => &self.workflow_task_queue,
            Role::ActivityWorker => &self.activity_task_queue,
        }
    }
}

settings! {
    role: optional Role {
        env: "FLEET_ROLE", default: "", rule: str::parse::<Role>,
        meaning: "The role of this process: workflow-worker, activity-worker, or worker (both on one task queue)",
    }
    group: optional String {
        env: "FLEET_GROUP", default: "", rule: parse_own_name,
        meaning: "The group of this process: the table [workers.GROUP] of fleet.toml gives it its role, its task queue and its settings",
    }
    workflow_task_queue: required String {
        env: "FLEET_WORKFLOW_TASK_QUEUE", default: "<fleet>-workflows", rule: parse_own_name,
        meaning: "The task queue of workflows; in role worker, of activities too",
    }
    activity_task_queue: required String {
        env: "FLEET_ACTIVITY_TASK_QUEUE", default: "<fleet>-activities", rule: parse_own_name,
        meaning: "The task queue of activities",
    }
    task_queues: optional TaskQueues {
        env: "FLEET_TASK_QUEUES", default: "", rule: str::parse::<TaskQueues>,
        meaning: "The task queue of each group, as group=queue with commas between, which workflow code asks for by the group's name; by default those of the groups in fleet.toml",
    }
    workflows: optional Names {
        env: "FLEET_WORKFLOWS", default: "", rule: str::parse::<Names>,
        meaning: "The workflow types that a worker registers, with commas between; by default all of the program",
    }
    activities: optional Names {
        env: "FLEET_ACTIVITIES", default: "", rule: str::parse::<Names>,
        meaning: "The activity types that a worker runs, with commas between; by default all of the program",
    }
    max_concurrent_workflow_tasks: required NonZeroUsize {
        env: "FLEET_MAX_CONCURRENT_WORKFLOW_TASKS", default: "8", rule: one_to(MAX_SLOTS),
        meaning: "Upper limit of workflow tasks that a worker runs at a time; all of them run on one thread",
    }
    max_concurrent_activities: required NonZeroUsize {
        env: "FLEET_MAX_CONCURRENT_ACTIVITIES", default: "100", rule: one_to(MAX_SLOTS),
        meaning: "Upper limit of activities that a worker runs at a time",
    }
    max_activities_per_second: optional Rate {
        env: "FLEET_MAX_ACTIVITIES_PER_SECOND", default: "", rule: str::parse::<Rate>,
        meaning: "Upper limit of activities that a worker starts in a second; by default there is none",
    }
    task_queue_activities_per_second: optional Rate {
        env: "FLEET_TASK_QUEUE_ACTIVITIES_PER_SECOND", default: "", rule: str::parse::<Rate>,
        meaning: "Upper limit of activities that the server gives out in a second from the task queue, to all of its workers; the value of the worker that polled last holds",
    }
    activity_threads: required NonZeroUsize {
        env: "FLEET_ACTIVITY_THREADS", default: "<cores>", rule: one_to(MAX_THREADS),
        meaning: "Threads that a worker's asynchronous activities share; with 1 they run on the thread that polls, for activities that only wait",
    }
    workflow_task_pollers: required Pollers {
        env: "FLEET_WORKFLOW_TASK_POLLERS", default: "2", rule: |text: &str| Pollers::parse(text, 2),
        meaning: "Polls for workflow tasks that a worker keeps open: a number from 2 (for the normal and the sticky queue), or auto",
    }
    activity_task_pollers: required Pollers {
        env: "FLEET_ACTIVITY_TASK_POLLERS", default: "5", rule: |text: &str| Pollers::parse(text, 1),
        meaning: "Polls for activity tasks that a worker keeps open: a number, or auto",
    }
    max_cached_workflows: required usize {
        env: "FLEET_MAX_CACHED_WORKFLOWS", default: "1000", rule: |text: &str| parse_number(text, 0, MAX_SLOTS),
        meaning: "Upper limit of workflows in a worker's sticky cache; with 0 a worker replays the history for every task",
    }
    activities_per_sdk_worker: required Option<NonZeroUsize> {
        env: "FLEET_ACTIVITIES_PER_SDK_WORKER", default: "20000",
        rule: |text: &str| parse_number(text, 0, MAX_ACTIVITIES).map(NonZeroUsize::new),
        meaning: "Recreate the SDK worker after this many activities (it leaks about 0.4 kB per activity); 0 disables this",
    }
    drain_timeout: required Duration {
        env: "FLEET_DRAIN_TIMEOUT", default: "20s", rule: parse_duration,
        meaning: "How long a worker that was asked to stop may take to finish the tasks in flight",
    }
    activity_grace: derived Duration {
        env: "FLEET_ACTIVITY_GRACE", default: "drain timeout - 5s", rule: parse_duration,
        meaning: "How long after the request to stop a worker cancels the activities that still run",
        derive: default_grace,
    }
    stuck_timeout: required Duration {
        env: "FLEET_STUCK_TIMEOUT", default: "30s", rule: parse_stuck_timeout,
        meaning: "How long workflow code or activities may block a worker before it counts as stuck, and a supervisor replaces it; 0 disables this",
    }
    stuck_exit: required bool {
        env: "FLEET_STUCK_EXIT", default: "false", rule: parse_bool,
        meaning: "Whether a stuck worker without a supervisor exits with 70, for an orchestrator that starts it again: true or false",
    }
    connect_timeout: required Duration {
        env: "FLEET_CONNECT_TIMEOUT", default: "60s", rule: parse_duration,
        meaning: "How long to retry until Temporal answers and the namespace exists",
    }
    grpc_compression: required Compression {
        env: "FLEET_GRPC_COMPRESSION", default: "none", rule: str::parse::<Compression>,
        meaning: "Compression of messages to and from Temporal: none, or gzip where bandwidth matters more than CPU",
    }
    worker_label: required LabelStyle {
        env: "FLEET_WORKER_LABEL", default: "auto", rule: str::parse::<LabelStyle>,
        meaning: "How results name a worker: pid, pid@host, or auto (pid, but 1@host for pid 1)",
    }
    temporal_cli: optional PathBuf {
        env: "FLEET_TEMPORAL_CLI", default: "", rule: |text: &str| Ok::<_, &str>(text.into()),
        meaning: "The Temporal CLI that runs the dev server; by default the one on PATH or in the cache folder, or else it is fetched",
    }
    health_addr: optional SocketAddr {
        env: "FLEET_HEALTH_ADDR", default: "", rule: parse_address,
        meaning: "The address that serves /livez, /readyz, /status and /metrics, such as 0.0.0.0:8080; by default there is none",
    }
    log_format: required LogFormat {
        env: "FLEET_LOG_FORMAT", default: "text", rule: str::parse::<LogFormat>,
        meaning: "The format of the log on stderr: text or json",
    }
    versioning_behavior: required Versioning {
        env: "FLEET_VERSIONING_BEHAVIOR", default: "auto-upgrade", rule: str::parse::<Versioning>,
        meaning: "For versioned workers: auto-upgrade (workflows move to the current version) or pinned",
    }
    deployment_name: optional String {
        env: "TEMPORAL_DEPLOYMENT_NAME", default: "", rule: parse_own_name,
        meaning: "The worker deployment, as Temporal's worker controller sets it; it makes workers versioned",
    }
    worker_build_id: optional String {
        env: "TEMPORAL_WORKER_BUILD_ID", default: "", rule: parse_own_name,
        meaning: "The build id within that deployment; set both or neither",
    }
}

/// The default of `activity_grace`: five seconds before the drain deadline, so that a cancelled activity can still
/// report; half of the drain timeout if that leaves less.
fn default_grace(parsed: &Parsed) -> Option<Duration> {
    let drain_timeout = parsed.drain_timeout?;
    let margin = Duration::from_secs(5);
    Some(drain_timeout.saturating_sub(margin).max(drain_timeout / 2))
}
