//! The command line of `bench`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    start::{InputArgs, StartArgs},
    values::{concurrency, count, some_time},
};
use crate::{
    bench::{Budget, Goal, Rate},
    config::{parse_duration, parse_name, parse_number},
    terminal::output::Output,
};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Open loop: the rate at which workflows are started, such as 50/s, 0.5/s or 90/m
    #[arg(long, value_name = "RATE", conflicts_with = "concurrency", allow_negative_numbers = true,
        value_parser = Rate::parse)]
    pub(crate) rate: Option<Rate>,
    /// Closed loop: the number of workflows in flight [default: 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = concurrency)]
    pub(crate) concurrency: Option<usize>,
    /// Open loop: upper limit of workflows in flight; above it starts are delayed, and the delay counts as latency
    #[arg(long, value_name = "N", requires = "rate", default_value_t = 1000,
        allow_negative_numbers = true, value_parser = concurrency)]
    pub(crate) max_under_way: usize,
    /// How long to start workflows after the warm-up [default: 30s]
    #[arg(long, value_name = "DURATION", conflicts_with = "count", value_parser = some_time)]
    pub(crate) duration: Option<Duration>,
    /// Number of workflows to start after the warm-up
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count_64)]
    pub(crate) count: Option<u64>,
    /// Warm-up time before measuring starts; workflows started during it are not counted
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,
    /// How long to wait at the end; a workflow that is not done then counts as an error and keeps running
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Number of workflows whose history is read after the run
    #[arg(long, value_name = "N", default_value_t = 500, allow_negative_numbers = true,
        value_parser = sample)]
    pub(crate) sample: usize,
    /// Upper limit of a latency, such as p99=500ms or activity_schedule_to_start.p99=1s; can be repeated
    #[arg(long, value_name = "GOAL", value_parser = Goal::parse)]
    pub(crate) slo: Vec<Goal>,
    /// Upper limit of failed workflows, such as 1% or 3
    #[arg(long, value_name = "BUDGET", default_value = "0", allow_negative_numbers = true,
        value_parser = Budget::parse)]
    pub(crate) max_errors: Budget,
    /// Write charts of latency and throughput over time to this file (.html or .svg)
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The format of the summary
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// The type of the workflows [default: LoadWorkflow]
    #[arg(long, value_name = "TYPE", value_parser = parse_name)]
    pub(crate) workflow_type: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    /// The prefix of the workflow ids
    #[arg(long, value_name = "PREFIX", default_value = "bench", value_parser = parse_name)]
    pub(crate) workflow_id_prefix: String,
    /// The task queue to start them on [default: the fleet's workflow task queue]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) task_queue: Option<String>,
    /// How long to retry until Temporal answers [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) start: StartArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// What each LoadWorkflow does.
#[derive(Debug, Args)]
#[command(next_help_heading = "The load, without --workflow-type and --input")]
pub(crate) struct LoadArgs {
    /// Number of activities in sequence [default: 1]
    #[arg(long, value_name = "N", conflicts_with_all = ["workflow_type", "input"],
        allow_negative_numbers = true, value_parser = activities)]
    pub(crate) activities: Option<u32>,
    /// Number of activities that run in parallel, in each step of the sequence [default: 1]
    #[arg(long, value_name = "N", conflicts_with_all = ["workflow_type", "input"],
        allow_negative_numbers = true, value_parser = parallel)]
    pub(crate) parallel: Option<u32>,
    /// CPU time in the workflow code, at its start and after each step; at most 5s
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["workflow_type", "input"],
        value_parser = workflow_cpu)]
    pub(crate) workflow_cpu: Option<Duration>,
    /// CPU time in each activity; at most 30s
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["workflow_type", "input"],
        value_parser = activity_cpu)]
    pub(crate) activity_cpu: Option<Duration>,
    /// Size of the argument and of the result of each activity, in bytes [default: 0]
    #[arg(long, value_name = "N", conflicts_with_all = ["workflow_type", "input"],
        allow_negative_numbers = true, value_parser = payload_bytes)]
    pub(crate) payload_bytes: Option<u32>,
    /// Duration of a timer before the first activity [default: no timer]
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["workflow_type", "input"],
        value_parser = parse_duration)]
    pub(crate) timer: Option<Duration>,
}

fn count_64(text: &str) -> Result<u64, String> {
    count(text).map(|count| count as u64)
}

/// Each sampled workflow takes about a hundred bytes until its history is read.
fn sample(text: &str) -> Result<usize, String> {
    parse_number(text, 0, 100_000)
}

fn number_32(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = parse_number(text, least as usize, most as usize)?;
    Ok(u32::try_from(number).expect("checked"))
}

fn activities(text: &str) -> Result<u32, String> {
    number_32(text, 0, 8_000)
}

/// The server's limit of pending activities of one workflow (`limit.numPendingActivities.error`).
fn parallel(text: &str) -> Result<u32, String> {
    number_32(text, 1, 2_000)
}

/// The server refuses payloads above 2 MB (`limit.blobSize.error`).
fn payload_bytes(text: &str) -> Result<u32, String> {
    number_32(text, 0, 1_000_000)
}

/// A workflow task times out after ten seconds.
fn workflow_cpu(text: &str) -> Result<Duration, &'static str> {
    match parse_duration(text)? {
        time if time <= Duration::from_secs(5) => Ok(time),
        _ => Err("expected a duration of at most 5s: a workflow task times out after 10s"),
    }
}

/// The load's activities time out after a minute.
fn activity_cpu(text: &str) -> Result<Duration, &'static str> {
    match parse_duration(text)? {
        time if time <= Duration::from_secs(30) => Ok(time),
        _ => Err("expected a duration of at most 30s: the activity times out after a minute"),
    }
}
