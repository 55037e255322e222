//! `fleet freeze` (hidden): stops a worker's process with SIGSTOP for a while. `fleet chaos` runs it.
//!
//! It is a process of its own so that nothing stays frozen: when it is asked to stop, or when its parent is gone,
//! even by `kill -9`, the worker goes on.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    error::{CommandError, Error, Exit},
    process::{checked::CheckedProcess, shutdown::Shutdown},
};

/// Freezes the worker `name` of the fleet whose supervisor is `supervisor`.
pub(super) async fn run(
    pid: u32,
    supervisor: u32,
    name: &str,
    time: Duration,
    shutdown: &Shutdown,
) -> Result<Exit, CommandError> {
    let failed = |source| Error::Os { what: format!("cannot freeze process {pid}"), source };
    let worker = CheckedProcess::find(pid, supervisor, &["worker", "--supervised", name])
        .map_err(|why| failed(std::io::Error::other(why)))?;
    shutdown.stop_with_parent().map_err(failed)?;
    // A second signal ends this process at once. The worker must go on before that.
    let worker = std::sync::Arc::new(worker);
    let frozen = worker.clone();
    shutdown.on_second_signal(move || drop(frozen.signal(Signal::CONT)));
    worker.signal(Signal::STOP).map_err(failed)?;
    tokio::select! {
        () = sleep(time) => {}
        () = shutdown.requested() => {}
    }
    // The worker may have been killed meanwhile.
    let _ = worker.signal(Signal::CONT);
    Ok(Exit::Success)
}
