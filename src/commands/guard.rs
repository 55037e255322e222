//! `fleet guard -- PROGRAM …` (hidden): runs a foreign program that must not outlive the fleet.
//!
//! It stops the program when it is itself asked to stop, or when its parent is gone. See
//! [`crate::process::child`] for the two ends of that arrangement.

use std::{
    ffi::OsString, fs::File, os::unix::process::ExitStatusExt, path::PathBuf, process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, time::timeout};

use crate::{error::Error, process::shutdown::Shutdown};

/// How long the program may take to stop. The dev server takes well under a second.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(
    program: Vec<OsString>,
    output: Option<PathBuf>,
    shutdown: &Shutdown,
) -> Result<u8, Error> {
    let lost = |source| Error::Os { what: "lost the guarded program".into(), source };
    shutdown.stop_with_parent().map_err(lost)?;
    let Some((name, arguments)) = program.split_first() else {
        return Ok(0);
    };
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(output) = output {
        let file = File::create(output).map_err(lost)?;
        command.stdout(file.try_clone().map_err(lost)?).stderr(file);
    }
    let mut child =
        command.spawn().map_err(|source| Error::Spawn { program: name.into(), source })?;
    // A second signal ends the guard at once: the program first.
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    shutdown.on_second_signal(move || {
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::KILL);
        }
    });

    let status = tokio::select! {
        status = child.wait() => status.map_err(lost)?,
        () = shutdown.requested() => {
            if let (Some(pid), Some(_)) = (pid, child.id()) {
                let _ = kill_process(pid, Signal::TERM);
            }
            if let Ok(status) = timeout(PATIENCE, child.wait()).await {
                status.map_err(lost)?
            } else {
                child.start_kill().map_err(lost)?;
                child.wait().await.map_err(lost)?
            }
        }
    };
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
