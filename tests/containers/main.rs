//! The fleet in containers: the image, the compose file and what happens to containers, with this
//! machine's Docker engine.
//!
//! `cargo build --examples && cargo test --test containers` runs them, one after the other. They need
//! Docker with Compose V2 and the images that `.env` names, or `deploy/airgap/build-images` has made.
//! Each fleet is a Compose project of its own, on ports that are free, and removed again. What stays
//! is the image, `temporal-fleet-test`, and what the engine keeps of its build.
#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

mod compose_file;
mod drain;
mod failure;
mod hosts;
mod image;
mod project;
mod readme;
mod scale;

// Shared with the tests without containers, of which these need a part.
#[allow(dead_code, reason = "a part")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "a part")]
#[path = "../it/support/mod.rs"]
mod support;
