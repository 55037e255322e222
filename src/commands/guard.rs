//! `fleet guard -- PROGRAM …` (hidden): runs a foreign program that must not outlive the fleet.
//!
//! The guard stops the program when it is asked to stop itself, or when its parent is gone.
//! [`crate::process::child`] describes how a child notices that.

use std::{
    ffi::OsString,
    fs::File,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{
    error::{CommandError, Error, Exit},
    process::{exit_status::ProcessExit, shutdown::Shutdown},
};

/// How long the program may take to stop. The dev server takes well under a second.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(
    program: Vec<OsString>,
    output: Option<PathBuf>,
    shutdown: &Shutdown,
) -> Result<Exit, CommandError> {
    let lost = |source| Error::Os { what: "lost the guarded program".into(), source };
    shutdown.stop_with_parent().map_err(lost)?;
    let Some((name, arguments)) = program.split_first() else {
        return Ok(Exit::Success);
    };
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(output) = output {
        let file = File::create(output).map_err(lost)?;
        command.stdout(file.try_clone().map_err(lost)?).stderr(file);
    }
    let mut child =
        command.spawn().map_err(|source| CommandError::Spawn { program: name.into(), source })?;
    // A second signal ends the guard at once, so the program is killed before that.
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    shutdown.on_second_signal(move || send(pid, Signal::KILL));

    let status = tokio::select! {
        status = child.wait() => status,
        () = shutdown.requested() => stop(&mut child, pid).await,
    };
    Ok(exit_of(status.map_err(lost)?.into()))
}

/// Asks the program to stop by SIGTERM, and kills it if it does not exit in time.
async fn stop(child: &mut Child, pid: Option<Pid>) -> io::Result<ExitStatus> {
    if child.id().is_some() {
        send(pid, Signal::TERM);
    }
    if let Ok(status) = timeout(STOP_TIMEOUT, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

fn send(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// The exit that a shell would report for the program: its own code, or 128 plus the signal's number.
fn exit_of(exit: ProcessExit) -> Exit {
    let code = exit.exit_code.or(exit.signal.map(|signal| 128 + signal));
    Exit::from_code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
