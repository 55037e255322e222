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

mod announce;
mod batch;
mod bench;
mod child;
mod cli;
mod client;
mod commands;
mod config;
mod dev_server;
mod drain;
mod environment;
mod error;
mod fleet;
mod health;
mod history;
mod identity;
pub mod label;
pub mod load;
mod metrics;
mod otel;
mod output;
pub mod parallelized;
mod parent;
mod payload;
mod polls;
mod progress;
mod report;
mod role;
pub mod routing;
mod screen;
mod sdk_worker;
mod settings;
mod shutdown;
mod state;
mod stdout;
mod sticky_queue;
mod supervisor;
mod task_queue;
mod telemetry;
mod temporal_cli;
mod timeline;
mod vars;
mod worker;
mod worker_options;

pub use config::{Compression, Config, Deployment, LogFormat, Pollers, Versioning};
pub use drain::DrainSignal;
pub use environment::Environment;
pub use error::Error;
pub use fleet::Fleet;
pub use label::{LabelStyle, worker_label};
#[doc(hidden)]
pub use report::bench as bench_report;
pub use role::{Role, UnknownRole};
pub use routing::activity_task_queue;
pub use settings::ConfigError;
pub use shutdown::Shutdown;
pub use state::State;
pub use telemetry::TraceContext;
pub use vars::{VARS, Var};
pub use worker::FleetWorker;
