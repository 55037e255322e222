//! Every setting: its key, its environment variable, its default and what it means.

/// One setting: its key, its environment variable, its default and what it means.
#[derive(Debug)]
#[non_exhaustive]
pub struct Var {
    /// The key: the variable's name without the prefix, in lower case.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The default as text; empty where there is none.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Var {
    /// Whether the default is a value, and not a description of one.
    pub(crate) fn has_literal_default(&self) -> bool {
        !self.default.is_empty() && !self.default.contains([' ', '<'])
    }

    /// Whether `fleet.toml` can set it: what Temporal's worker controller sets belongs to a
    /// process, not to a file that all share.
    pub(crate) fn in_file(&self) -> bool {
        self.env.starts_with("FLEET_")
    }
}

/// The variable that names the settings' file: not a setting itself, so it is not in that file.
pub(crate) const CONFIG_VAR: &str = "FLEET_CONFIG";

macro_rules! vars {
    ($($key:literal $env:literal $default:literal $meaning:literal;)*) => {
        /// Every setting, with its environment variable.
        pub const VARS: &[Var] = &[$(Var {
            key: $key, env: $env, default: $default, meaning: $meaning,
        }),*];
    };
}

vars! {
    "role" "FLEET_ROLE" ""
        "What this process is: workflow-worker, activity-worker or worker (both on one queue)";
    "workflow_task_queue" "FLEET_WORKFLOW_TASK_QUEUE" "<fleet>-workflows"
        "The task queue of workflows (and of everything in role worker)";
    "activity_task_queue" "FLEET_ACTIVITY_TASK_QUEUE" "<fleet>-activities"
        "The task queue of activities";
    "max_concurrent_workflow_tasks" "FLEET_MAX_CONCURRENT_WORKFLOW_TASKS" "8"
        "Workflow tasks in hand at a time, per worker; all run on one thread";
    "max_concurrent_activities" "FLEET_MAX_CONCURRENT_ACTIVITIES" "100"
        "Activities running at a time, per worker";
    "activity_threads" "FLEET_ACTIVITY_THREADS" "<cores>"
        "Threads that asynchronous activities share, per worker; with 1 it is the worker's own: for those that only wait";
    "workflow_task_pollers" "FLEET_WORKFLOW_TASK_POLLERS" "2"
        "Open polls for workflow tasks, per worker: 2 or more (normal and sticky queue), or auto";
    "activity_task_pollers" "FLEET_ACTIVITY_TASK_POLLERS" "5"
        "Open polls for activity tasks, per worker: a number, or auto";
    "max_cached_workflows" "FLEET_MAX_CACHED_WORKFLOWS" "1000"
        "Workflows kept in memory between tasks (sticky cache), per worker; 0 replays every task";
    "activities_per_sdk_worker" "FLEET_ACTIVITIES_PER_SDK_WORKER" "20000"
        "After how many activities a worker makes its inner SDK worker anew, which keeps some memory of each; 0 for never";
    "drain_timeout" "FLEET_DRAIN_TIMEOUT" "20s"
        "How long a stopped worker may finish what it has in hand";
    "activity_grace" "FLEET_ACTIVITY_GRACE" "drain timeout - 5s"
        "When a stopped worker cancels the activities that still run";
    "connect_timeout" "FLEET_CONNECT_TIMEOUT" "60s"
        "How long to keep trying to reach Temporal and to find the namespace";
    "grpc_compression" "FLEET_GRPC_COMPRESSION" "none"
        "How messages to and from Temporal are packed: none, or gzip where bandwidth counts more than CPU";
    "worker_label" "FLEET_WORKER_LABEL" "auto"
        "How results name a worker: pid, pid@host, or auto (pid, but 1@host for pid 1)";
    "temporal_cli" "FLEET_TEMPORAL_CLI" ""
        "The Temporal CLI to run the dev server with; default: on PATH, in the cache, or fetched";
    "health_addr" "FLEET_HEALTH_ADDR" ""
        "Where to answer /livez, /readyz and /status, as 0.0.0.0:8080; default: nowhere";
    "log_format" "FLEET_LOG_FORMAT" "text"
        "How to log, on stderr: text or json";
    "versioning_behavior" "FLEET_VERSIONING_BEHAVIOR" "auto-upgrade"
        "For versioned workers: auto-upgrade (workflows move to the current version) or pinned";
    "deployment_name" "TEMPORAL_DEPLOYMENT_NAME" ""
        "The worker deployment, as Temporal's worker controller sets it: makes workers versioned";
    "worker_build_id" "TEMPORAL_WORKER_BUILD_ID" ""
        "The build within that deployment; both or neither";
}
