//! The tokio runtime that a command runs on.

use std::{future::Future, panic::resume_unwind};

use send_wrapper::SendWrapper;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::{
    config::{Config, role::Role},
    error::{CommandError, Error},
};

pub(super) fn one_thread() -> Result<Runtime, CommandError> {
    finish(Builder::new_current_thread())
}

/// The runtime that fits a role. All workflow code of a worker runs on one thread, and a second
/// one only costs wake-ups between the two; asynchronous activities may compute, and are to use every
/// core unless they are said to need one thread only.
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
    builder.enable_all().build().map_err(|source| {
        Error::Os { what: "cannot start the tokio runtime".into(), source }.into()
    })
}

/// Awaits `work` as a task, where the runtime has one thread. A task that is woken waits its turn; the
/// future under `block_on` is polled only after a look at the sockets, a system call each time: a
/// quarter of those of a workflow worker.
pub(super) async fn as_task<T: Send + 'static>(work: impl Future<Output = T> + 'static) -> T {
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return work.await;
    }
    // Work that is not `Send` stays on this thread: no other one runs tasks of this runtime.
    match tokio::spawn(SendWrapper::new(work)).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

pub(super) fn block_on<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    // Not dropped, which would wait for blocking activities that outlived the drain deadline.
    runtime.shutdown_background();
    done
}
