//! Flags of the commands that start workflows: `starter` and `demo`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    start::{IdPolicyArgs, InputArgs, StartArgs},
    values::{concurrency, count},
    workers::Counts,
};
use crate::{
    config::{parse_duration, parse_name},
    terminal::output::Output,
};

#[derive(Debug, Args)]
pub(crate) struct StarterArgs {
    /// Number of workflows to start [default: 25, or one for each line of --inputs]
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) num_workflows: Option<usize>,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// A file with the argument of each workflow on a line of its own, as JSON; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub(crate) inputs: Option<String>,
    /// The task queue to start them on [default: the fleet's workflow task queue]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) task_queue: Option<String>,
    /// The name of the batch, to start it or to continue it [default: a new random name]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) batch: Option<String>,
    /// How long to wait for results; workflows that still run then keep running [default: until all end]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// The format of the results: text, or a JSON object on each line, the last one being the summary
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to retry until Temporal answers [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    #[command(flatten)]
    pub(crate) id_policies: IdPolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Number of workflows to run
    #[arg(short = 'n', long, value_name = "N", default_value_t = 25, allow_negative_numbers = true,
        value_parser = count)]
    pub(crate) num_workflows: usize,
    #[command(flatten)]
    pub(crate) counts: Counts,
    /// Keep the server, its UI and the fleet running until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// The Temporal CLI that runs the dev server [env: FLEET_TEMPORAL_CLI]
    #[arg(long, value_name = "PATH")]
    pub(crate) temporal_cli: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) workload: Workload,
}

/// Which workflows to start.
#[derive(Debug, Args)]
pub(crate) struct Workload {
    /// The type of the workflows [default: the first that the fleet registers]
    #[arg(long, value_name = "TYPE", value_parser = parse_name)]
    pub(crate) workflow_type: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The prefix of the workflow ids [default: that of the fleet]
    #[arg(long, value_name = "PREFIX", value_parser = parse_name)]
    pub(crate) workflow_id_prefix: Option<String>,
    /// Upper limit of workflows in flight
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true,
        value_parser = concurrency)]
    pub(crate) concurrency: usize,
}
