//! The commands, one file each, and the `main` that they share.

mod bench;
mod config;
mod context;
mod demo;
mod dispatch;
mod guard;
mod health;
mod live;
mod reporters;
mod run_batch;
mod runtime;
mod starter;
mod status;
mod trace;
mod up;
mod worker;
