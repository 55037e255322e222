//! Tests of the fleet as users run it: with real processes, real signals and a real Temporal server.
//!
//! One dev server serves all tests of a run; each test has its own task queues. No test sleeps for a
//! fixed time: tests wait for a line, an exit or a state, with a deadline.
//!
//! Output that people read is compared with the files in `snapshots`. After an intended change, update
//! them with `INSTA_UPDATE=always cargo test --test it -- command_line:: printed:: json_shapes::` and
//! read the diff, or use `cargo insta review`. A test in `snapshot.rs` fails for a file that no test
//! uses any more; delete such a file by hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod architecture;
mod batch;
mod bench;
mod chaos;
mod collector;
mod collector_tls;
mod command_line;
mod connection;
mod crash;
mod demo;
mod deploy;
mod drain;
mod groups;
mod health;
mod hints;
mod hostile;
mod hosts;
mod http_proxy;
mod inputs;
mod interop;
mod json_shapes;
mod library;
mod logs;
mod metrics;
mod outages;
mod presence;
mod printed;
mod proxy;
mod readme;
mod recycle;
mod replay;
mod sampling;
mod secrets;
mod seed;
mod server;
mod shape;
mod shutdown;
mod snapshot;
mod starter;
mod startup;
mod status;
mod stuck;
mod supervision;
mod support;
mod threads;
mod trace;
mod traces;
mod up_events;
mod values;
mod versioning;
