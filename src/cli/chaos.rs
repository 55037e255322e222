//! The command line of `chaos`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{start::InputArgs, values::workers};
use crate::{
    config::{parse_duration, parse_name, parse_number, show},
    terminal::output::Output,
};

/// The shortest mean time between two attacks.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// The longest trial.
const LONGEST: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    /// How long to attack, and to start workflows
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Mean time between two SIGKILLs to a worker; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub(crate) kill: Duration,
    /// Mean time between two SIGTERMs to a worker, which drains then; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = interval)]
    pub(crate) stop: Duration,
    /// Mean time between two SIGSTOPs to a worker, with SIGCONT 3 to 8 seconds later; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = interval)]
    pub(crate) freeze: Duration,
    /// Mean time between two SIGKILLs to the dev server, which is then started again; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = interval)]
    pub(crate) server_restart: Duration,
    /// Number of workflows, which are started at equal distances
    #[arg(long, value_name = "N", default_value_t = 1000, allow_negative_numbers = true,
        value_parser = workflows)]
    pub(crate) workflows: usize,
    /// What the plan of the attacks follows from [default: a random number, which is printed]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: Option<u32>,
    /// How long to wait after the duration without the end of a workflow, and for workers to be ready
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = patience)]
    pub(crate) patience: Duration,
    /// The format of the account: text, or one JSON object
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// Attack a running `fleet up` of this machine, named by its health address [default: start a fleet and a dev server for the trial]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) fleet: Option<String>,
    /// Number of workflow workers of the trial's own fleet [default: 3]
    #[arg(short = 'w', long, value_name = "N", conflicts_with = "fleet",
        allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_workflow_workers: Option<usize>,
    /// Number of activity workers of the trial's own fleet [default: 2]
    #[arg(short = 'a', long, value_name = "N", conflicts_with = "fleet",
        allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_activity_workers: Option<usize>,
    /// The Temporal CLI that runs the dev server of the trial's own fleet [env: FLEET_TEMPORAL_CLI]
    #[arg(long, value_name = "PATH", conflicts_with = "fleet")]
    pub(crate) temporal_cli: Option<PathBuf>,
    /// The task queue to start the workflows on [default: the fleet's workflow task queue]
    #[arg(long, value_name = "QUEUE", requires = "fleet", value_parser = parse_name)]
    pub(crate) task_queue: Option<String>,
    /// The type of the workflows [default: LoadWorkflow, with activities that take a moment and are soon retried]
    #[arg(long, value_name = "TYPE", value_parser = parse_name)]
    pub(crate) workflow_type: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if (Duration::from_secs(1)..=LONGEST).contains(&time) => Ok(time),
        _ => Err(format!("expected a duration from 1s to {}", show(LONGEST))),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time <= LONGEST => Ok(time),
        _ => Err(format!("expected a duration of at most {}", show(LONGEST))),
    }
}

/// A mean time between attacks, or zero. Shorter ones would only attack workers that are being replaced.
fn interval(text: &str) -> Result<Duration, String> {
    let time = if text == "0" { Duration::ZERO } else { parse_duration(text)? };
    match time {
        Duration::ZERO => Ok(Duration::ZERO),
        time if (SHORTEST_INTERVAL..=LONGEST).contains(&time) => Ok(time),
        _ => {
            let (least, most) = (show(SHORTEST_INTERVAL), show(LONGEST));
            Err(format!("expected a duration from {least} to {most}, or 0"))
        }
    }
}

/// The history of each workflow is read in the end.
fn workflows(text: &str) -> Result<usize, String> {
    parse_number(text, 1, 100_000)
}

fn seed(text: &str) -> Result<u32, String> {
    let number = parse_number(text, 0, u32::MAX as usize)?;
    Ok(u32::try_from(number).expect("checked"))
}
