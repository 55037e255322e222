//! The commands, one file each, and the `main` that they share.

mod bench;
mod chaos;
mod config;
mod context;
mod demo;
mod description;
mod dispatch;
mod freeze;
mod groups;
mod guard;
mod health;
mod inputs;
mod live;
mod reporters;
mod run_batch;
mod runtime;
mod silence;
mod start_options;
mod starter;
mod status;
mod trace;
mod up;
mod worker;
