//! Flags of the commands that run workers: `worker` and `up`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::values::{port, workers};
use crate::{
    config::{layers::Overrides, parse_address, parse_duration, parse_name, role::Role, show},
    terminal::output::Output,
};

#[derive(Debug, Default, Args)]
pub(crate) struct WorkerArgs {
    /// The role of this process: workflow-worker, activity-worker or worker [env: FLEET_ROLE]
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// The group of this process: the table [workers.GROUP] of fleet.toml gives it its role, its task queue and its settings [env: FLEET_GROUP]
    #[arg(long, value_name = "GROUP", conflicts_with = "role", value_parser = parse_name)]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// The worker's name under a supervisor, which holds the other end of standard input
    #[arg(long, hide = true)]
    pub(crate) supervised: Option<String>,
    /// The file in which the worker notes whose workflow code runs, for its supervisor
    #[arg(long, hide = true)]
    pub(crate) flight_recorder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) counts: Counts,
    /// Run a Temporal dev server too, on ports 7233 and 8233 if they are free
    #[arg(long)]
    pub(crate) dev_server: bool,
    /// The dev server's port; 0 for any free one [default: 7233, or any if that is taken]
    #[arg(long, value_name = "PORT", requires = "dev_server", value_parser = port)]
    pub(crate) port: Option<u16>,
    /// The port of its UI; 0 for any free one [default: 8233, or any if that is taken]
    #[arg(long, value_name = "PORT", requires = "dev_server", value_parser = port)]
    pub(crate) ui_port: Option<u16>,
    /// The file that keeps the dev server's data, for one server at a time; created if it does not exist [default: data is kept in memory]
    #[arg(long, value_name = "FILE", requires = "dev_server")]
    pub(crate) db_filename: Option<PathBuf>,
    /// The Temporal CLI that runs the dev server [env: FLEET_TEMPORAL_CLI]
    #[arg(long, value_name = "PATH", requires = "dev_server")]
    pub(crate) temporal_cli: Option<PathBuf>,
    /// The format of the events: text, or a JSON object on each line
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// The number of workers of each kind.
#[derive(Debug, Args)]
pub(crate) struct Counts {
    /// Number of workflow workers [default: 2; 0 for a fleet without workflows or with --num-workers]
    #[arg(short = 'w', long, value_name = "N", allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_workflow_workers: Option<usize>,
    /// Number of activity workers [default: 1; 0 for a fleet without activities or with --num-workers]
    #[arg(short = 'a', long, value_name = "N", allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_activity_workers: Option<usize>,
    /// Number of workers that run workflows and activities on one task queue
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true,
        value_parser = workers)]
    pub(crate) num_workers: usize,
}

/// Settings that are most often given on the command line.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingArgs {
    /// The task queue of workflows [env: FLEET_WORKFLOW_TASK_QUEUE]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) workflow_task_queue: Option<String>,
    /// The task queue of activities [env: FLEET_ACTIVITY_TASK_QUEUE]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) activity_task_queue: Option<String>,
    /// How long a worker that was asked to stop may take to finish its tasks [env: FLEET_DRAIN_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// How long to retry until Temporal answers [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
    /// The address that serves /livez, /readyz, /status and /metrics [env: FLEET_HEALTH_ADDR]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub(crate) health_addr: Option<SocketAddr>,
}

impl SettingArgs {
    pub(crate) fn overrides(&self) -> Overrides {
        [
            ("workflow_task_queue", self.workflow_task_queue.clone()),
            ("activity_task_queue", self.activity_task_queue.clone()),
            ("drain_timeout", self.drain_timeout.map(show)),
            ("connect_timeout", self.connect_timeout.map(show)),
            ("health_addr", self.health_addr.map(|address| address.to_string())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}
