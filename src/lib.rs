//! Run Temporal workers as a fleet of processes: one process, one worker, as many as you have cores
//! for.
//!
//! All workflow code of a worker runs on one thread: in Python because of the GIL, in Rust because
//! the SDK keeps workflow state in a `LocalSet`. Workflow tasks compute, so what scales them is more
//! processes. This crate runs those processes: on one machine with `up`, in containers with a
//! role for each from `FLEET_ROLE`.
//!
//! ```text
//!   fleet.toml, environment, flags
//!           │
//!           ▼
//!   worker  ── role ──►  workflow-worker process ──► workflow task queue ──┐
//!   (one process =       activity-worker process ──► activity task queue ──┤ Temporal
//!    one worker)                                                           │
//!   up      ── runs N of those processes on one machine                    │
//!   starter ── starts N workflows, awaits them ──► results ◄───────────────┘
//! ```
//!
//! # Quick start
//!
//! A fleet of your own is a `main` that says what it is made of:
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
//! That program has every command: `greetings demo --input '"you"'`, `greetings up`, `greetings
//! worker`, `greetings starter`, each with `--help`. The README lists the dependencies that the
//! SDK's macros need in its `Cargo.toml`.
//!
//! # Layout
//!
//! The folders of `src` are rooms, and a room uses only rooms below it
//! (`docs/architecture.md` says why, and where new things go):
//!
//! ```text
//!   commands    what each command does             lib.rs    the public names
//!   cli         flags and help texts               main.rs   the shipped fleet
//!   bench       a load and its measurement
//!   local       supervisor, dev server             worker    one worker, from start to drain
//!   batch       workflows started and awaited      timeline  one workflow as rows on a time axis
//!   fleet.rs    what a fleet is made of            temporal  connection, task queues, histories
//!   telemetry   traces, metrics, logs
//!   process     signals, states, children          terminal  what is printed      health.rs
//!   error.rs    what can go wrong
//!   config      settings and where they come from  workloads the sample, and a load
//!   user_code   what workflow and activity code may ask
//! ```
//!
//! What is public:
//!
//! - [`Fleet`]: what a fleet is made of, and its `main`.
//! - [`Config`], [`Environment`], [`VARS`]: settings and where they come from.
//! - [`FleetWorker`]: one worker, for programs that embed it.
//! - [`activity_task_queue`] and [`worker_label`]: what workflow code may ask of its fleet.
//! - [`DrainSignal`]: how an activity learns that its worker drains.
//! - [`TraceContext`]: how code that left an activity's thread joins its trace.
//! - [`Shutdown`]: SIGINT and SIGTERM as one future.
//! - [`Error`]: what can go wrong, and with which exit code a command leaves then.
//! - [`parallelized`]: the sample that the `fleet` binary runs; [`load`]: what
//!   `fleet bench` runs.

#[cfg(not(unix))]
compile_error!("temporal-fleet runs on Linux and macOS: it relies on signals and process groups");

mod batch;
mod bench;
mod cli;
mod commands;
mod config;
mod error;
mod fleet;
mod health;
mod local;
mod process;
mod telemetry;
mod temporal;
mod terminal;
mod timeline;
mod user_code;
mod worker;
mod workloads;

#[doc(hidden)]
pub use batch::report::bench as bench_report;
pub use config::{
    Compression, Config, ConfigError, Deployment, LogFormat, Pollers, VARS, Versioning,
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
    routing::{self, activity_task_queue},
};
pub use worker::FleetWorker;
pub use workloads::{load, parallelized};
