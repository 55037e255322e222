//! The command line: types for clap, and the help texts.

#![expect(clippy::doc_markdown, reason = "clap's help texts are not Markdown")]

mod bench;
mod chaos;
mod command;
mod inspect;
mod start;
mod values;
mod workers;
mod workflows;

pub(crate) use self::{
    bench::{BenchArgs, LoadArgs},
    chaos::ChaosArgs,
    command::{Cli, Command, Globals, command, parse},
    inspect::{ConfigArgs, HealthArgs, StatusArgs, TraceArgs},
    start::{IdPolicyArgs, InputArgs, StartArgs},
    workers::{Counts, UpArgs, WorkerArgs},
    workflows::{DemoArgs, StarterArgs, Workload},
};
