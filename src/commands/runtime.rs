//! The tokio runtime that a command runs on.

use std::{future::Future, panic::resume_unwind};

use send_wrapper::SendWrapper;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::{
    config::{Config, role::Role},
    error::{CommandError, Error},
    process::host::provide_open_files,
};

pub(super) fn one_thread() -> Result<Runtime, CommandError> {
    finish(Builder::new_current_thread())
}

/// The runtime for a role. All workflow code of a worker runs on one thread, and a second thread would only
/// add wake-ups between the two. Asynchronous activities may compute, so they can use every core unless
/// `activity_threads` says that one thread is enough.
pub(super) fn runtime_for(role: Role, config: &Config) -> Result<Runtime, CommandError> {
    let threads = config.activity_threads.get();
    if role.runs_activities() && threads > 1 {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        finish(builder)
    } else {
        one_thread()
    }
}

fn finish(mut builder: Builder) -> Result<Runtime, CommandError> {
    // What follows panics where it cannot open a file, here or in the SDK.
    provide_open_files(0).map_err(CommandError::Host)?;
    builder.enable_all().build().map_err(|source| {
        Error::Os { what: "cannot start the tokio runtime".into(), source }.into()
    })
}

/// Awaits `work` as a task if the runtime has one thread. A woken task only waits for its turn. The future
/// under `block_on`, in contrast, is polled after a check of all sockets. That check is a system call each
/// time, and would make up a quarter of a workflow worker's system calls.
pub(super) async fn as_task<T: Send + 'static>(work: impl Future<Output = T> + 'static) -> T {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return work.await;
    }
    // The work may not be `Send`, but no other thread runs tasks of this runtime.
    match tokio::spawn(SendWrapper::new(work)).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

pub(super) fn block_on<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    // Dropping it would wait for blocking activities that outlive the drain deadline.
    runtime.shutdown_background();
    done
}
