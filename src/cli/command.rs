//! The commands and their help texts.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{
    bench::BenchArgs,
    chaos::ChaosArgs,
    inspect::{ConfigArgs, HealthArgs, StatusArgs, TraceArgs},
    values::log_filter,
    workers::{UpArgs, WorkerArgs},
    workflows::{DemoArgs, StarterArgs},
};
use crate::config::{LogFormat, parse_duration};

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Runs Temporal workers as a fleet of processes: each process runs one worker",
    after_help = "\
Without a command, the program runs `worker` if FLEET_ROLE is set.

Examples:
  {bin} demo                  everything at once: a dev server, three workers, 25 workflows
  {bin} up --dev-server       a server and a fleet to work with, until Ctrl-C
  {bin} starter -n 100        start 100 workflows and print their results
  FLEET_ROLE=activity-worker {bin}

Environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other TEMPORAL_* variables describe the
connection, as for every Temporal tool. FLEET_* variables and fleet.toml hold the other settings;
`{bin} config` prints them. RUST_LOG filters the log."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) globals: Globals,
}

/// The flags that every command accepts, before or after its name.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The settings file [env: FLEET_CONFIG] [default: fleet.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The format of the log on stderr: text or json [env: FLEET_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What to log, such as info or warn,temporal_fleet=debug [env: RUST_LOG]
    #[arg(long, global = true, value_name = "FILTER", value_parser = log_filter)]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one worker in this process
    #[command(after_help = "\
SIGTERM, SIGHUP and Ctrl-C drain the worker: it stops polling, finishes the tasks in flight and exits
0. A second signal ends it at once.

Examples:
  {bin} worker --role workflow-worker
  FLEET_ROLE=activity-worker TEMPORAL_ADDRESS=temporal:7233 {bin} worker")]
    Worker(WorkerArgs),

    /// Run a fleet of workers on this machine, each in its own process, until Ctrl-C
    #[command(after_help = "\
Examples:
  {bin} up                            two workflow workers and one activity worker
  {bin} up -w 4 -a 2                  four workflow workers and two activity workers
  {bin} up --dev-server               with a Temporal dev server and its UI
  {bin} up --output json | jq 'select(.event == \"worker_exited\")'")]
    Up(UpArgs),

    /// Start workflows and print the result of each when it completes
    #[command(after_help = "\
Results go to stdout, one on each line. Failures and the summary go to stderr. The exit code is 1 if
any workflow failed.

Every batch has a name; a random one is printed if you give none. Run the command again with that
name (and the same id prefix) to continue the batch: no workflow is started twice. The starter waits
for those that still run and reads the results of those that have ended, for as long as the
namespace retains them. A workflow that failed has ended; use another batch to run it again.

Examples:
  {bin} starter                       25 workflows
  {bin} starter -n 1000 --concurrency 200
  {bin} starter -n 1000 --batch nightly --timeout 10m
  {bin} starter -n 1 --workflow-type TYPE --task-queue QUEUE --input '{\"any\": \"JSON\"}'
  {bin} starter --output json | jq -r 'select(.type == \"workflow\") | .result'")]
    Starter(StarterArgs),

    /// Measure a fleet under load: throughput, latency of each stage, errors
    #[command(after_help = "\
Open loop (--rate): workflows are started on a schedule, whatever happens to the others. Latency
counts from when each was due, so that a stall shows in every workflow that it delays. Closed loop
(--concurrency): a workflow is started when another one ends, so that a stall also stops the starts.

This command measures the end-to-end latency itself. It reads the latency of the stages after the
run, from the server's histories of a sample of the workflows.

The summary goes to stdout, as text or JSON (docs/bench.md describes it). The exit code is 1 if a
goal (--slo, --max-errors) was missed. Ctrl-C ends the run; the summary of what was measured so far
is then marked as partial. Workflows that are still in flight at the end keep running.

Without --workflow-type the command runs LoadWorkflow, whose size and shape the flags set. CPU time
in it is a number of iterations, which is calibrated once on this machine.

Examples:
  {bin} bench --rate 20/s --duration 20s
  {bin} bench --concurrency 50 --count 2000 --warmup 5s --output json
  {bin} bench --rate 5/s --workflow-cpu 20ms --parallel 50 --payload-bytes 1000
  {bin} bench --rate 20/s --slo p99=500ms --slo activity_schedule_to_start.p99=1s --max-errors 1%
  {bin} bench --rate 10/s --workflow-type TYPE --input '{\"any\": \"JSON\"}' --report bench.html")]
    Bench(BenchArgs),

    /// Attack a fleet under load, and show from the server's own data that no workflow was lost
    #[command(after_help = "\
While workflows are started at a steady pace, workers are killed, stopped and frozen at random, and the
dev server is killed and started again on its database. At the end the server's histories and its
visibility are read: each workflow must have completed once. The exit code is 1 if one did not.

Without --fleet the command starts a fleet and a dev server of its own, and stops both at the end. With
--fleet it attacks the workers of a `fleet up` of this machine, and its dev server if that has a
database (--db-filename). It signals no process but these. Ctrl-C ends the attacks; what is frozen
continues, and the account says what was started.

The plan of the attacks follows from --seed and the flags. docs/chaos.md describes the account and its
JSON.

Examples:
  {bin} chaos
  {bin} chaos --duration 20s --workflows 200 --seed 7 --output json
  {bin} chaos --kill 0 --stop 3s --freeze 0 --server-restart 0      a rolling restart
  {bin} chaos --fleet 127.0.0.1:8080")]
    Chaos(ChaosArgs),

    /// Run a dev server, a fleet and a batch of workflows with one command
    #[command(after_help = "\
The command finds the Temporal CLI (or fetches it once into the cache folder), starts its dev server
on free ports and a fleet, waits until every worker polls, runs the workflows and stops everything.

Examples:
  {bin} demo
  {bin} demo -n 200 -w 4
  {bin} demo --keep                   keep it running until Ctrl-C, with the UI")]
    Demo(DemoArgs),

    /// Show the fleet's task queues as the server sees them: who polls them and what waits
    #[command(after_help = "\
A worker that the server has not seen for 90 seconds is marked gone?. A poll lasts a minute, so a
worker that was killed is not noticed sooner. A task queue in which tasks wait and that no worker
polls is red; with --check the exit code is then 1.

With --watch the state is shown repeatedly until Ctrl-C (exit 130): in place on a terminal,
otherwise as a block or a line of JSON each time. If the server does not answer, the command waits.

Examples:
  {bin} status
  {bin} status --watch 5s
  {bin} status --check --output json
  {bin} status --task-queue any-queue --task-queue another")]
    Status(StatusArgs),

    /// Show where the time of one workflow went: each task with its worker, queue wait and run time
    #[command(after_help = "\
The command reads the server's history of one run. It draws each workflow task, activity, timer,
child workflow, signal and update on a common time axis. If the run is still open, it says what the
run waits for. It names the runs before and after this one (a retry, a cron schedule, a workflow that
continued as new).

The history holds only the last attempt of an activity. The time before it, with the attempts that
failed and the backoff between them, is shown as one part. Of a workflow task the history holds the
first failed attempt and the one that succeeded.

The exit code is 0 whatever the workflow's result is, and 1 if no workflow has this id. The JSON is
described in docs/trace.md.

Examples:
  {bin} trace orders-1b4e28ba
  {bin} trace orders-1b4e28ba --follow          until it closes, in place on a terminal
  {bin} trace orders-1b4e28ba --output json | jq '.rows[] | select(.queue_wait_ms > 1000)'")]
    Trace(TraceArgs),

    /// Ask the health listener of a worker or a fleet; exit 0 if it is ready, else 1
    #[command(after_help = "\
For probes in images without a shell or curl. If the address is 0.0.0.0, loopback is asked.

Examples:
  FLEET_HEALTH_ADDR=0.0.0.0:8080 {bin} health
  {bin} health --live --health-addr 127.0.0.1:8080")]
    Health(HealthArgs),

    /// Print the effective settings and where each value came from
    #[command(after_help = "\
The text is a valid fleet.toml. Secrets are masked.

Examples:
  {bin} config
  FLEET_DRAIN_TIMEOUT=1m {bin} config --output json")]
    Config(ConfigArgs),

    /// Print a script that completes this program's commands and flags in a shell
    #[command(after_help = "\
Examples:
  {bin} completions bash > ~/.local/share/bash-completion/completions/{bin}
  {bin} completions zsh > ~/.zfunc/_{bin}
  {bin} completions fish > ~/.config/fish/completions/{bin}.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Stop a worker's process with SIGSTOP for a while
    #[command(hide = true)]
    Freeze {
        /// The worker's process
        pid: u32,
        /// The process of its supervisor
        supervisor: u32,
        /// The worker's name
        worker: String,
        /// How long
        #[arg(value_parser = parse_duration)]
        time: Duration,
    },

    /// Run a program that must not outlive its parent
    #[command(hide = true)]
    Guard {
        /// The file that gets the program's output
        #[arg(long)]
        output: Option<PathBuf>,
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

/// The command line of the program `bin`, whose name stands in the help's examples.
pub(crate) fn command(bin: &str, version: &str) -> clap::Command {
    let command = Cli::command().name(bin.to_owned()).bin_name(bin).version(version.to_owned());
    with_examples_for(bin, command)
}

fn with_examples_for(bin: &str, mut command: clap::Command) -> clap::Command {
    if let Some(help) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(help.replace("{bin}", bin));
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| with_examples_for(bin, sub));
    }
    command
}

/// Parses the process's arguments.
pub(crate) fn parse(bin: &str, version: &str) -> Result<Cli, clap::Error> {
    let matches = command(bin, version).try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent_and_names_the_program() {
        let mut command = super::command("orders", "1.2");
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            assert!(!help.contains("{bin}"), "{help}");
        }
        assert!(command.render_help().to_string().contains("orders demo"));
    }
}
