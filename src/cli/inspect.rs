//! Flags of the commands that look at a fleet: `status`, `trace`, `health` and `config`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::values::{interval, run_id, width, workflow_id};
use crate::{
    config::{parse_address, parse_duration, parse_name},
    terminal::output::Output,
};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A task queue to show; can be repeated [default: those of the fleet]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) task_queue: Vec<String>,
    /// Exit 1 if tasks wait in a task queue that no worker polls
    #[arg(long)]
    pub(crate) check: bool,
    /// Repeat after each interval, until Ctrl-C [default interval: 2s]
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s",
        conflicts_with = "check", value_parser = interval)]
    pub(crate) watch: Option<Duration>,
    /// The format of the output
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to retry until Temporal answers [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The workflow's id
    #[arg(value_name = "WORKFLOW_ID", value_parser = workflow_id)]
    pub(crate) workflow_id: String,
    /// The run to show [default: the latest]
    #[arg(long, value_name = "RUN_ID", value_parser = run_id)]
    pub(crate) run_id: Option<String>,
    /// Print the timeline again whenever it changes, until the run closes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print every row of the text, instead of at most 200, and failures whole with stack traces
    #[arg(long)]
    pub(crate) all: bool,
    /// The width of the text, in characters [default: that of the terminal, or 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = width)]
    pub(crate) width: Option<usize>,
    /// The format of the output
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to retry until Temporal answers [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Ask whether it is alive (/livez) instead of whether it is ready (/readyz)
    #[arg(long)]
    pub(crate) live: bool,
    /// The address of the health listener [env: FLEET_HEALTH_ADDR]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub(crate) health_addr: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The format of the output
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
}
