//! Child processes that do not outlive this one.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal reaches its parent
//! alone, which can then stop the children in order. And each has a pipe from its parent as
//! standard input: when the parent is gone, however it went, the pipe ends and the child stops by
//! itself. A fleet's own processes watch the pipe ([`crate::process::shutdown::Shutdown::follow_parent`]);
//! a foreign program is started through `fleet guard`, which watches it on the program's behalf.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process, kill_process_group},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process,
    time::timeout,
};

use super::notice::Notice;
use crate::{config::environment::Environment, error::Error};

/// The hidden command that runs a foreign program.
const GUARD: &str = "guard";

/// A command in a process group of its own, with a pipe as standard input, and its standard output
/// sent to our standard error: stdout is for results.
fn command(program: &OsStr) -> process::Command {
    let mut command = std::process::Command::new(program);
    command.process_group(0).stdin(Stdio::piped());
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        command.stdout(stderr);
    }
    command.into()
}

/// This very program, with other arguments.
pub(crate) fn this_program() -> Result<process::Command, Error> {
    Ok(command(own_path()?.as_os_str()))
}

/// This program's file. A build may have replaced it while the fleet runs; Linux still has the one
/// that runs.
fn own_path() -> Result<PathBuf, Error> {
    let path = std::env::current_exe()
        .map_err(|source| Error::Os { what: "cannot find this program".into(), source })?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !path.exists() && running.exists() { running } else { path })
}

/// A foreign program, under guard, without the user's settings for Temporal and for telemetry: they are for our processes.
/// What the program says goes to the file `output`, if one is given.
pub(crate) fn guarded(
    program: &OsStr,
    environment: &Environment,
    output: Option<&Path>,
) -> Result<process::Command, Error> {
    let mut command = this_program()?;
    command.arg(GUARD).env_clear().envs(environment.for_others().iter());
    if let Some(output) = output {
        command.arg("--output").arg(output);
    }
    command.arg("--").arg(program);
    Ok(command)
}

/// A running child.
pub(crate) struct Child {
    inner: process::Child,
    pid: u32,
    /// Our end of the child's standard input. Kept apart from `inner`, whose `wait` would close it and
    /// so tell the child that we are gone.
    pipe: Pipe,
}

/// What can happen to a child.
pub(crate) enum Event {
    Told(Notice),
    Exited(io::Result<ExitStatus>),
}

enum Pipe {
    /// Only to be held open.
    Silent(Option<process::ChildStdin>),
    /// A socket, through which the child tells things too.
    Telling(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf),
}

impl Child {
    pub(crate) fn spawn(command: &mut process::Command) -> Result<Self, Error> {
        let mut inner = command.spawn().map_err(|source| Error::Spawn {
            program: command.as_std().get_program().into(),
            source,
        })?;
        let pipe = Pipe::Silent(inner.stdin.take());
        Ok(Self { pid: inner.id().unwrap_or_default(), pipe, inner })
    }

    /// Starts a child that tells us [`Notice`]s.
    pub(crate) fn spawn_telling(mut command: process::Command) -> Result<Self, Error> {
        let pair = || {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            Ok((UnixStream::from_std(ours)?, theirs))
        };
        let (ours, theirs) = pair()
            .map_err(|source| Error::Os { what: "cannot make a socket pair".into(), source })?;
        command.stdin(OwnedFd::from(theirs));
        let mut child = Self::spawn(&mut command)?;
        let (told, ours) = ours.into_split();
        child.pipe = Pipe::Telling(BufReader::new(told).lines(), ours);
        Ok(child)
    }

    /// The next thing that happens to the child. Can be dropped and called again without losing
    /// anything.
    pub(crate) async fn next_event(&mut self) -> Event {
        tokio::select! {
            // A notice that came before the exit is told before it.
            biased;
            notice = next_notice(&mut self.pipe) => Event::Told(notice),
            status = self.inner.wait() => Event::Exited(status),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Completes when the child has exited.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.inner.wait().await
    }

    /// Asks the child to stop: one that tells things by ending what it reads, which it takes note of
    /// even if it has not got as far as handling signals; any other by SIGTERM.
    async fn ask_to_stop(&mut self) {
        if let Pipe::Telling(_, ours) = &mut self.pipe {
            let _ = ours.shutdown().await;
        } else if let Some(pid) = self.inner.id().and_then(as_pid) {
            // No pid: it has exited already. An error: it is just doing so.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Asks the child to stop and waits; ends it and all of its group when it takes longer than
    /// `patience`. `None`: it had to be ended.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.ask_to_stop().await;
        if let Ok(status) = timeout(patience, self.wait()).await {
            return status.ok();
        }
        self.kill_group();
        let _ = self.wait().await;
        None
    }

    /// Ends whatever is left of the child's process group: the child, or the program of a guard
    /// that was itself killed.
    pub(crate) fn kill_group(&self) {
        kill_group(self.pid);
    }

    /// Lets every child that is started after this one hold this child's pipe open too: it then
    /// ends only when they are gone as well. For a server that its clients must not lose first.
    ///
    /// What those children start in turn holds it open too: after a `kill -9` of this process the
    /// server then lives as long as a daemon that an activity has left behind.
    pub(crate) fn outlive_later_children(&self) -> Result<(), Error> {
        if let Pipe::Silent(Some(pipe)) = &self.pipe {
            fcntl_setfd(pipe, FdFlags::empty()).map_err(|errno| Error::Os {
                what: "cannot share the dev server's pipe".into(),
                source: errno.into(),
            })?;
        }
        Ok(())
    }
}

/// The next notice; pending for ever once the child tells no more.
async fn next_notice(pipe: &mut Pipe) -> Notice {
    if let Pipe::Telling(lines, _) = pipe {
        while let Ok(Some(line)) = lines.next_line().await {
            // What is no notice was written by code of the user's, to the wrong descriptor.
            if let Ok(notice) = serde_json::from_str(&line) {
                return notice;
            }
        }
    }
    std::future::pending().await
}

/// Ends a child's process group by the child's number; for where a [`Child`] cannot be shared.
pub(crate) fn kill_group(pid: u32) {
    if let Some(group) = as_pid(pid) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// How a process ended, for a message: `exit code: 70` or `signal: 9`.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code: {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}
