//! Child processes that do not outlive this one.
//!
//! Each child leads a process group of its own. So Ctrl-C in a terminal reaches only this process,
//! which can then stop its children in order. And each child has a pipe from this process as
//! standard input. When this process is gone, for whatever reason, the pipe closes and the child
//! stops by itself. A fleet's own processes watch the pipe themselves
//! ([`super::shutdown::Shutdown::stop_with_parent`]). A foreign program is started through `fleet
//! guard`, which watches the pipe for the program.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process, kill_process_group},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process,
    time::timeout,
};

use super::{
    exit_status::ProcessExit,
    worker_message::{MessageReader, WorkerMessage},
};
use crate::{
    config::environment::Environment,
    error::{CommandError, Error},
};

/// The hidden command that runs a foreign program.
const GUARD: &str = "guard";

/// A command in a process group of its own, with a pipe as standard input. Its standard output goes
/// to our standard error, because our standard output is for results.
fn command(program: &OsStr) -> process::Command {
    let mut command = std::process::Command::new(program);
    command.process_group(0).stdin(Stdio::piped());
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        command.stdout(stderr);
    }
    command.into()
}

/// This program, to which the caller adds arguments.
pub(crate) fn this_program() -> Result<process::Command, CommandError> {
    Ok(command(own_path()?.as_os_str()))
}

/// The file of this program. If a build has replaced it while the fleet runs, `/proc/self/exe` on
/// Linux still leads to the program that runs. Without `/proc` it is looked for by the name that this
/// program was called by.
fn own_path() -> Result<PathBuf, CommandError> {
    let path = std::env::current_exe()
        .or_else(|error| {
            let name = std::env::args_os().next().unwrap_or_default();
            which::which(name).map_err(|_| error)
        })
        .map_err(|source| Error::Os { what: "cannot find this program".into(), source })?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !path.exists() && running.exists() { running } else { path })
}

/// A foreign program, run by `fleet guard`. It does not get the variables of Temporal and
/// OpenTelemetry, which are for our processes. Its output goes to the file `output` if one is
/// given.
pub(crate) fn guarded(
    program: &OsStr,
    environment: &Environment,
    output: Option<&Path>,
) -> Result<process::Command, CommandError> {
    let mut command = this_program()?;
    command.arg(GUARD).env_clear().envs(environment.for_others().iter());
    if let Some(output) = output {
        command.arg("--output").arg(output);
    }
    command.arg("--").arg(program);
    Ok(command)
}

/// A running child process.
pub(crate) struct Child {
    inner: process::Child,
    pid: u32,
    /// Our end of the child's standard input. It is kept apart from `inner`, whose `wait` would
    /// close it: the child would then think that this process is gone.
    stdin: ChildStdin,
}

/// What can happen to a child.
pub(crate) enum ChildEvent {
    /// The child is a worker and has sent a message.
    Message(WorkerMessage),
    /// The child has exited.
    Exited(io::Result<ProcessExit>),
}

/// Our end of a child's standard input.
enum ChildStdin {
    /// A pipe. Nothing is written to it; it only has to stay open.
    Pipe(Option<process::ChildStdin>),
    /// A socket, through which a worker also sends messages.
    Socket(BufReader<OwnedReadHalf>, MessageReader, OwnedWriteHalf),
}

impl Child {
    /// Starts a child that sends no messages.
    pub(crate) fn spawn(command: &mut process::Command) -> Result<Self, CommandError> {
        let mut inner = command.spawn().map_err(|source| CommandError::Spawn {
            program: command.as_std().get_program().into(),
            source,
        })?;
        let stdin = ChildStdin::Pipe(inner.stdin.take());
        Ok(Self { pid: inner.id().unwrap_or_default(), stdin, inner })
    }

    /// Starts a worker, which sends [`WorkerMessage`]s.
    pub(crate) fn spawn_worker(mut command: process::Command) -> Result<Self, CommandError> {
        let pair = || {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            Ok((UnixStream::from_std(ours)?, theirs))
        };
        let (ours, theirs) = pair()
            .map_err(|source| Error::Os { what: "cannot create a socket pair".into(), source })?;
        command.stdin(OwnedFd::from(theirs));
        let mut child = Self::spawn(&mut command)?;
        let (messages, ours) = ours.into_split();
        child.stdin = ChildStdin::Socket(BufReader::new(messages), MessageReader::default(), ours);
        Ok(child)
    }

    /// Waits for the next event. The future can be dropped and the method called again without
    /// losing an event.
    pub(crate) async fn next_event(&mut self) -> ChildEvent {
        tokio::select! {
            // A message that was sent before the exit comes before it.
            biased;
            message = next_message(&mut self.stdin) => ChildEvent::Message(message),
            status = self.inner.wait() => ChildEvent::Exited(status.map(ProcessExit::from)),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the child has exited.
    pub(crate) async fn wait(&mut self) -> io::Result<ProcessExit> {
        self.inner.wait().await.map(ProcessExit::from)
    }

    /// Asks the child to stop. A worker is asked by closing what it reads, because it notices that
    /// even before it handles signals. Any other child is asked by SIGTERM.
    async fn ask_to_stop(&mut self) {
        if let ChildStdin::Socket(_, _, ours) = &mut self.stdin {
            let _ = ours.shutdown().await;
        } else if let Some(pid) = self.inner.id().and_then(as_pid) {
            // Without a pid the child has exited already. An error means that it is exiting now.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Asks the child to stop and waits for its exit. Kills the child and its group if that takes
    /// longer than `time_limit`; the result is then `None`.
    pub(crate) async fn stop(&mut self, time_limit: Duration) -> Option<ProcessExit> {
        self.ask_to_stop().await;
        if let Ok(exit) = timeout(time_limit, self.wait()).await {
            return exit.ok();
        }
        self.kill_group();
        let _ = self.wait().await;
        None
    }

    /// Kills what is left of the child's process group: the child, or the program of a guard that
    /// was itself killed.
    pub(crate) fn kill_group(&self) {
        kill_group(self.pid);
    }

    /// Lets every child that is started after this one inherit this child's pipe. The pipe then
    /// closes only when they are gone as well. This is for a server that must not stop before its
    /// clients do.
    ///
    /// The processes that those children start inherit the pipe too. After a `kill -9` of this
    /// process, the server therefore lives as long as a daemon that an activity has left behind.
    pub(crate) fn outlive_later_children(&self) -> Result<(), CommandError> {
        if let ChildStdin::Pipe(Some(pipe)) = &self.stdin {
            fcntl_setfd(pipe, FdFlags::empty()).map_err(|errno| Error::Os {
                what: "cannot share the dev server's pipe".into(),
                source: errno.into(),
            })?;
        }
        Ok(())
    }
}

/// Waits for the next message. Never completes for a child that sends none, or no more.
async fn next_message(stdin: &mut ChildStdin) -> WorkerMessage {
    if let ChildStdin::Socket(socket, reader, _) = stdin {
        while let Ok(bytes) = socket.fill_buf().await
            && !bytes.is_empty()
        {
            let (taken, message) = reader.take(bytes);
            socket.consume(taken);
            if let Some(message) = message {
                return message;
            }
        }
    }
    std::future::pending().await
}

/// Kills the process group of the child with this pid. It is for places that have no [`Child`].
pub(crate) fn kill_group(pid: u32) {
    if let Some(group) = as_pid(pid) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}
