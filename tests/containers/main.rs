//! Tests of the fleet in containers, with this machine's Docker engine: the image, the Compose file, and
//! what happens when containers stop, fail or are scaled.
//!
//! `cargo build --examples && cargo test --test containers` runs the tests one after the other. They need
//! Docker with Compose V2, and the images that `.env` names or that `deploy/airgap/build-images` makes.
//! Each test has its own Compose project with free ports, and removes it at the end. The image
//! `temporal-fleet-test` and the engine's build cache remain.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod compose_file;
mod drain;
mod failure;
mod hosts;
mod image;
mod project;
mod readme;
mod scale;

// The modules below are shared with the tests without containers. These tests use only a part of them.
#[allow(dead_code, reason = "partly used")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "partly used")]
#[path = "../it/support/mod.rs"]
mod support;
