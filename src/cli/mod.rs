//! The command line: types for clap, and the help texts.

#![expect(clippy::doc_markdown, reason = "clap's help texts are not Markdown")]

mod bench;
mod values;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::bench::{BenchArgs, LoadArgs};
use self::values::{concurrency, count, interval, json, log_filter, port, run_id, width, workers};
use crate::{
    config::{
        LogFormat, layers::Overrides, parse_address, parse_duration, parse_name, role::Role, show,
    },
    terminal::output::Output,
};

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Runs Temporal workers as a fleet of processes: one process, one worker",
    after_help = "\
Without a command this is `worker` where FLEET_ROLE is set.

Examples:
  {bin} demo                  everything at once: a dev server, three workers, 25 workflows
  {bin} up --dev-server       a server and a fleet to work with, until Ctrl-C
  {bin} starter -n 100        start 100 workflows and print their results
  FLEET_ROLE=activity-worker {bin}

Environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the other TEMPORAL_* variables describe
the connection as for every Temporal tool; `{bin} config` prints the FLEET_* variables' settings,
which can also stand in fleet.toml; RUST_LOG filters the log."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) globals: Globals,
}

/// What every command takes, before or after its name.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The settings' file [env: FLEET_CONFIG] [default: fleet.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to log, on stderr: text or json [env: FLEET_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What to log, as info or warn,temporal_fleet=debug [env: RUST_LOG]
    #[arg(long, global = true, value_name = "FILTER", value_parser = log_filter)]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one worker in this process
    #[command(after_help = "\
SIGTERM and Ctrl-C drain: polls stop, tasks in hand finish, exit 0. A second one leaves at once.

Examples:
  {bin} worker --role workflow-worker
  FLEET_ROLE=activity-worker TEMPORAL_ADDRESS=temporal:7233 {bin} worker")]
    Worker(WorkerArgs),

    /// Run a fleet of workers on this machine, each a process, until Ctrl-C
    #[command(after_help = "\
Examples:
  {bin} up                            two workflow workers and one activity worker
  {bin} up -w 4 -a 2                  four and two
  {bin} up --dev-server               with a Temporal dev server and its UI")]
    Up(UpArgs),

    /// Start workflows, and print each one's result as it completes
    #[command(after_help = "\
Results go to stdout, one a line; failures and the summary go to stderr. Exit 1 if any failed.

A batch has a name, which is shown where none is given. Run again with that name (and the same id
prefix), nothing is started twice: what an earlier starter began is awaited, and what has ended is
read, for as long as the namespace retains it. What failed has ended: to run it again, name another
batch.

Examples:
  {bin} starter                       25 workflows
  {bin} starter -n 1000 --concurrency 200
  {bin} starter -n 1000 --batch nightly --timeout 10m
  {bin} starter -n 1 --workflow-type TYPE --task-queue QUEUE --input '{\"any\": \"JSON\"}'
  {bin} starter --output json | jq -r 'select(.type == \"workflow\") | .result'")]
    Starter(StarterArgs),

    /// Put a load on a fleet and measure what it takes: throughput, latencies of each stage, errors
    #[command(after_help = "\
Open loop (--rate): workflows are started on schedule whatever becomes of the others, and latency
counts from when each was due, so that a stall shows in all that it delays. Closed loop
(--concurrency): a workflow is started when another ends; a stall also stops the starts.

End-to-end latency is measured here. The stages come from the server's histories of a sample of the
workflows, which are read after the run.

The summary goes to stdout, as text or JSON (docs/bench.md describes it). Exit 1 if a goal (--slo,
--max-errors) was missed. Ctrl-C ends the run, and what was measured so far is printed, marked as
partial. Workflows that are still under way at the end run on.

Without --workflow-type it runs LoadWorkflow, whose size and shape the flags tell. CPU time there is
a number of iterations, worked out once on this machine.

Examples:
  {bin} bench --rate 20/s --duration 20s
  {bin} bench --concurrency 50 --count 2000 --warmup 5s --output json
  {bin} bench --rate 5/s --workflow-cpu 20ms --parallel 50 --payload-bytes 1000
  {bin} bench --rate 20/s --slo p99=500ms --slo activity_schedule_to_start.p99=1s --max-errors 1%
  {bin} bench --rate 10/s --workflow-type TYPE --input '{\"any\": \"JSON\"}' --report bench.html")]
    Bench(BenchArgs),

    /// See it work: a dev server, a fleet and a batch of workflows, from one command
    #[command(after_help = "\
Finds the Temporal CLI (or fetches it once into the cache folder), starts its dev server on free
ports and a fleet, waits until every worker polls, runs the workflows and stops everything.

Examples:
  {bin} demo
  {bin} demo -n 200 -w 4
  {bin} demo --keep                   leave it up until Ctrl-C, with the UI")]
    Demo(DemoArgs),

    /// Show the fleet's task queues by the server's account: who polls them, and what waits
    #[command(after_help = "\
A worker that the server has not seen for 90 seconds is marked gone?: a poll lasts a minute, so one
that was killed is noticed no sooner. A queue where tasks wait and nobody polls is red, and with
--check the exit code is 1.

With --watch it is shown until Ctrl-C (exit 130): on a terminal in place, else a block or a line of
JSON each time. A server that is away for a while is waited for.

Examples:
  {bin} status
  {bin} status --watch 5s
  {bin} status --check --output json
  {bin} status --task-queue any-queue --task-queue another")]
    Status(StatusArgs),

    /// Show where one workflow's time went: each task with its worker, queue wait and run time
    #[command(after_help = "\
It reads the server's history of one run: each workflow task, activity, timer, child workflow,
signal and update on a common axis; and of a run that still goes on what it waits for. The runs
before and after it (a retry, a cron schedule, a workflow that continued as new) are named.

The history tells of an activity's last attempt only: the time before that, of attempts that
failed and of the pauses after them, is shown as one. Of a workflow task it tells of the first
attempt that failed and of the one that did not.

Exit 0 whatever became of the workflow; 1 if there is none by that id. The JSON is described in
docs/trace.md.

Examples:
  {bin} trace orders-1b4e28ba
  {bin} trace orders-1b4e28ba --follow          until it closes, on a terminal in place
  {bin} trace orders-1b4e28ba --output json | jq '.rows[] | select(.queue_wait_ms > 1000)'")]
    Trace(TraceArgs),

    /// Ask a worker's or a fleet's health listener: exit 0 if it is ready, else 1
    #[command(after_help = "\
For probes in images without a shell or curl. 0.0.0.0 is asked on loopback.

Examples:
  FLEET_HEALTH_ADDR=0.0.0.0:8080 {bin} health
  {bin} health --live --health-addr 127.0.0.1:8080")]
    Health(HealthArgs),

    /// Print the effective settings, and where each value came from
    #[command(after_help = "\
As text it is a fleet.toml. Secrets are masked.

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

    /// Run a foreign program that must not outlive its parent
    #[command(hide = true)]
    Guard {
        /// The file that what it says goes to
        #[arg(long)]
        output: Option<PathBuf>,
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Ask whether it is alive (/livez) and not whether it is ready (/readyz)
    #[arg(long)]
    pub(crate) live: bool,
    /// Where it listens [env: FLEET_HEALTH_ADDR]
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub(crate) health_addr: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A queue to show, again for each [default: the fleet's]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) task_queue: Vec<String>,
    /// Exit 1 where tasks wait on a queue that nobody polls
    #[arg(long)]
    pub(crate) check: bool,
    /// Show it again after each interval, until Ctrl-C [default interval: 2s]
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s",
        conflicts_with = "check", value_parser = interval)]
    pub(crate) watch: Option<Duration>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to keep trying to reach Temporal [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The workflow's id
    #[arg(value_name = "WORKFLOW_ID", value_parser = parse_name)]
    pub(crate) workflow_id: String,
    /// One of its runs [default: the latest]
    #[arg(long, value_name = "RUN_ID", value_parser = run_id)]
    pub(crate) run_id: Option<String>,
    /// Print it again whenever something has happened, until the run closes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print every row as text, and not 200 of them at most
    #[arg(long)]
    pub(crate) all: bool,
    /// The width of the text, in characters [default: the terminal's, or 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = width)]
    pub(crate) width: Option<usize>,
    /// How to print it
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to keep trying to reach Temporal [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// How to print it
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
}

#[derive(Debug, Default, Args)]
pub(crate) struct WorkerArgs {
    /// What this process is [env: FLEET_ROLE]: workflow-worker, activity-worker or worker
    #[arg(long)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// The worker's name under a supervisor, whose pipe is standard input
    #[arg(long, hide = true)]
    pub(crate) supervised: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) counts: Counts,
    /// Run a Temporal dev server too, on ports 7233 and 8233 where they are free
    #[arg(long)]
    pub(crate) dev_server: bool,
    /// Its port; 0 for any free one [default: 7233, or any if that is taken]
    #[arg(long, value_name = "PORT", requires = "dev_server", value_parser = port)]
    pub(crate) port: Option<u16>,
    /// Its UI's port; 0 for any free one [default: 8233, or any if that is taken]
    #[arg(long, value_name = "PORT", requires = "dev_server", value_parser = port)]
    pub(crate) ui_port: Option<u16>,
    /// The file that keeps its data, for one server at a time; made where there is none [default: in memory]
    #[arg(long, value_name = "FILE", requires = "dev_server")]
    pub(crate) db_filename: Option<PathBuf>,
    /// The Temporal CLI to run it with [env: FLEET_TEMPORAL_CLI]
    #[arg(long, value_name = "PATH", requires = "dev_server")]
    pub(crate) temporal_cli: Option<PathBuf>,
    /// How to print events: as text, or as one JSON object per line
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many workflows to run
    #[arg(short = 'n', long, value_name = "N", default_value_t = 25, allow_negative_numbers = true,
        value_parser = count)]
    pub(crate) num_workflows: usize,
    #[command(flatten)]
    pub(crate) counts: Counts,
    /// Leave server, UI and fleet up until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// The Temporal CLI to run the server with [env: FLEET_TEMPORAL_CLI]
    #[arg(long, value_name = "PATH")]
    pub(crate) temporal_cli: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) workload: Workload,
}

#[derive(Debug, Args)]
pub(crate) struct StarterArgs {
    /// How many workflows to start
    #[arg(short = 'n', long, value_name = "N", default_value_t = 25, allow_negative_numbers = true,
        value_parser = count)]
    pub(crate) num_workflows: usize,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// The queue to start them on [default: the fleet's workflow task queue]
    #[arg(long, value_name = "QUEUE", value_parser = parse_name)]
    pub(crate) task_queue: Option<String>,
    /// The batch's name: begins it, or goes on with it [default: a new random one]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) batch: Option<String>,
    /// How long to wait once connected; workflows that still run go on [default: until all end]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// How to print results: as text, or an object a line and a summary as the last
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Output,
    /// How long to keep trying to reach Temporal [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
}

/// Which workflows to start.
#[derive(Debug, Args)]
pub(crate) struct Workload {
    /// Their type [default: the first that the fleet registers]
    #[arg(long, value_name = "TYPE", value_parser = parse_name)]
    pub(crate) workflow_type: Option<String>,
    /// The argument of each, as JSON [default: none]
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) input: Option<String>,
    /// What their ids begin with [default: the fleet's]
    #[arg(long, value_name = "PREFIX", value_parser = parse_name)]
    pub(crate) workflow_id_prefix: Option<String>,
    /// Workflows under way at a time
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true,
        value_parser = concurrency)]
    pub(crate) concurrency: usize,
}

/// How many workers of each kind.
#[derive(Debug, Args)]
pub(crate) struct Counts {
    /// Workflow workers [default: 2; 0 for a fleet without workflows or with --num-workers]
    #[arg(short = 'w', long, value_name = "N", allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_workflow_workers: Option<usize>,
    /// Activity workers [default: 1; 0 for a fleet without activities or with --num-workers]
    #[arg(short = 'a', long, value_name = "N", allow_negative_numbers = true, value_parser = workers)]
    pub(crate) num_activity_workers: Option<usize>,
    /// Workers that serve workflows and activities on one queue
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
    /// How long a stopped worker may finish its tasks [env: FLEET_DRAIN_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// How long to keep trying to reach Temporal [env: FLEET_CONNECT_TIMEOUT]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,
    /// Where to answer /livez, /readyz and /status [env: FLEET_HEALTH_ADDR]
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
