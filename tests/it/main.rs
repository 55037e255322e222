//! The fleet as its users meet it: real processes, real signals, a real Temporal server.
//!
//! One dev server serves all tests of a run; each test has queues of its own. Nothing here sleeps
//! for a fixed time: it waits for a line, an exit or a state, with a deadline.
//!
//! What people read is compared with the files in `snapshots`. After an intended change update them with
//! `INSTA_UPDATE=always cargo test --test it -- command_line:: printed:: json_shapes::` and read the
//! diff, or use `cargo insta review`. Files that no test uses any more are deleted by hand, or by
//! `cargo insta test --unreferenced delete`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architecture;
mod batch;
mod bench;
mod collector;
mod collector_tls;
mod command_line;
mod connection;
mod crash;
mod demo;
mod deploy;
mod drain;
mod health;
mod inputs;
mod interop;
mod json_shapes;
mod library;
mod logs;
mod metrics;
mod printed;
mod proxy;
mod readme;
mod recycle;
mod replay;
mod sampling;
mod seed;
mod server;
mod shape;
mod shutdown;
mod snapshot;
mod starter;
mod startup;
mod status;
mod support;
mod threads;
mod trace;
mod traces;
mod up_events;
mod versioning;
