//! Runs [Temporal](https://temporal.io) workers as a fleet of processes: each process runs one worker,
//! and as many processes as you have cores for share the work.
//!
//! - **New to Temporal?** One command starts a Temporal server, a fleet and 25 workflows.
//! - **You write workflows in Rust?** A ten-line `main` turns them into a program with workers, a
//!   supervisor, a starter, a load test, health probes, metrics and traces.
//! - **You operate workers?** A worker that is killed is replaced, and its work continues on another
//!   one. A worker that is stopped finishes what is in flight.
//!
//! In a clone of the repository, this command starts all of it:
//!
//! ```text
//! $ cargo run --release -- demo
//! Temporal dev server: 127.0.0.1:41539
//! workflow-worker:0 starting
//! workflow-worker:1 starting
//! activity-worker:0 starting
//! every worker polls: running 25 workflow(s)
//!
//! wf-starting-pid:24326 | activity-pid:24328 | wf-ending-pid:24326
//! wf-starting-pid:24327 | activity-pid:24328 | wf-ending-pid:24327
//! … 23 more …
//! 25 completed, 0 failed in 0.69 s: 36.1 workflows/s
//! ```
//!
//! Two processes ran the workflows and a third ran their activities:
//!
//! ```text
//!                         ┌─ workflow-worker:0 ─┐
//!  fleet up ──── runs ────┼─ workflow-worker:1 ─┼── workflow-task-queue ──┐
//!  (a pipe to each)       └─ activity-worker:0 ─┴── activity-task-queue ──┤
//!                                                                         │ Temporal server
//!  fleet starter ──── starts N workflows, awaits their results ───────────┘
//! ```
//!
//! All workflow code of a worker runs on one thread: in Python because of the GIL, in Rust because the
//! SDK does not share workflow state between threads. Workflow tasks compute, so a second core needs a
//! second worker. In a process of its own, that worker can also crash, be stopped, be limited and be
//! replaced alone.
//!
//! # Quick start
//!
//! A fleet of your own is a `main` that names its workflows and activities:
//!
//! ```no_run
//! use std::{process::ExitCode, time::Duration};
//!
//! use temporal_fleet::{Fleet, activity_task_queue};
//! use temporalio_sdk::{
//!     ActivityOptions, WorkflowContext, WorkflowResult,
//!     activities::{ActivityContext, ActivityError, activities},
//!     workflows::{workflow, workflow_methods},
//! };
//!
//! #[workflow]
//! #[derive(Default)]
//! struct Greet;
//!
//! #[workflow_methods]
//! impl Greet {
//!     #[run]
//!     async fn run(ctx: &mut WorkflowContext<Self>, name: String) -> WorkflowResult<String> {
//!         let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
//!             .maybe_task_queue(activity_task_queue())
//!             .build();
//!         Ok(ctx.execute_activity(Greeter::compose, name, options).await?)
//!     }
//! }
//!
//! struct Greeter;
//!
//! #[activities]
//! impl Greeter {
//!     #[activity]
//!     async fn compose(_ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     Fleet::new("greetings")
//!         .workflow::<Greet>()
//!         .activities(Greeter)
//!         .main()
//! }
//! ```
//!
//! The program's name is up to you; here it is `greetings`. `greetings demo --input '"you"'` runs the
//! workflow 25 times against a Temporal server that it starts and stops. The program also has every
//! other command, such as `greetings up`, `greetings worker` and `greetings starter`, each with
//! `--help`. Its task queues are `greetings-workflows` and `greetings-activities`, so it does not take
//! another fleet's tasks. The README's `Cargo.toml` lists the crates that the SDK's macros need.
//!
//! # Layout
//!
//! The folders of `src` are rooms, and a room uses only rooms below it. `docs/architecture.md` gives
//! the reasons, and says where new things go:
//!
//! ```text
//!   commands    what each command does             lib.rs    the public names
//!   cli         flags and help texts               main.rs   the fleet binary
//!   bench       the load test                      chaos     attacks on a fleet, and the account
//!   local       supervisor, dev server             worker    one worker, from start to drain
//!   batch       starts workflows, awaits results   timeline  one workflow as rows on a time axis
//!   fleet.rs    what a fleet consists of           temporal  connection, task queues, histories
//!   telemetry   traces, metrics, logs
//!   process     signals, states, children          terminal  output and progress     health.rs
//!   scaling     how many workers a group needs
//!   error.rs    errors and exit codes
//!   config      settings and their sources         workloads the sample, and a load
//!   user_code   for workflow and activity code
//!   text        text from outside, made harmless
//! ```
//!
//! # Public items
//!
//! - [`Fleet`]: names the workflows and activities of a program, and is its `main`.
//! - [`Config`], [`Environment`], [`VARS`]: the settings and their sources.
//! - [`FleetWorker`]: one worker, for a program that embeds it.
//! - [`activity_task_queue`] and [`worker_label`]: the queue of the fleet's activity workers and the
//!   name of this process, for workflow code.
//! - [`DrainSignal`]: notifies an activity that its worker drains.
//! - [`TraceContext`]: adds code that runs on another thread to its activity's trace.
//! - [`Shutdown`]: SIGINT and SIGTERM as a future.
//! - [`Error`]: the errors of all commands, each with its exit code.
//! - [`parallelized`]: the sample's workflow, which the `fleet` binary runs; [`load`]: the workflow
//!   that `fleet bench` runs.

#[cfg(not(unix))]
compile_error!("temporal-fleet runs on Linux and macOS: it relies on signals and process groups");

mod batch;
mod bench;
mod chaos;
mod cli;
mod commands;
mod config;
mod error;
mod fleet;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod local;
mod process;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "groups have no bounds of their count yet")
)]
mod scaling;
mod telemetry;
mod temporal;
mod terminal;
mod text;
mod timeline;
mod user_code;
mod worker;
mod workloads;

#[doc(hidden)]
pub use batch::report::bench as bench_report;
pub use config::{
    Compression, Config, ConfigError, Deployment, LogFormat, Names, Pollers, Rate, TaskQueues,
    VARS, Versioning,
    environment::Environment,
    role::{Role, UnknownRole},
    vars::Var,
};
pub use error::Error;
pub use fleet::Fleet;
pub use process::{shutdown::Shutdown, state::State};
pub use telemetry::TraceContext;
pub use user_code::{
    drain::DrainSignal,
    label::{self, LabelStyle, worker_label},
    routing::{self, activity_task_queue, task_queue},
};
pub use worker::FleetWorker;
pub use workloads::{load, parallelized};
