//! Processes that the tests run, their children, and signals to them.

use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

#[cfg(not(target_os = "linux"))]
use super::program;
use super::{DEADLINE, Finished, Lines, eventually, free_port, get};

/// A running process in its own process group, which a shell also creates for each command.
pub(crate) struct Process {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
    /// The stdin of the process, held open: some of the programs under test treat its end as the end of
    /// their parent.
    _stdin: ChildStdin,
}

impl Process {
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self {
            out: Lines::read(child.stdout.take().unwrap(), "stdout"),
            err: Lines::read(child.stderr.take().unwrap(), "stderr"),
            _stdin: child.stdin.take().unwrap(),
            child,
        }
    }

    /// Starts a worker or a fleet with a listener for health probes, and returns its address too.
    #[track_caller]
    pub(crate) fn start_probed(mut fleet: Command) -> (Self, String) {
        let address = format!("127.0.0.1:{}", free_port());
        fleet.env("FLEET_HEALTH_ADDR", &address);
        (Self::start(fleet), address)
    }

    /// Starts a worker or a fleet and waits until all of its workers are ready.
    #[track_caller]
    pub(crate) fn start_ready(fleet: Command) -> Self {
        let (fleet, health) = Self::start_probed(fleet);
        eventually("the fleet is ready", || {
            get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
        });
        fleet
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Sends SIGINT to the whole process group, as Ctrl-C in a terminal does.
    pub(crate) fn ctrl_c(&self) {
        kill_process_group(pid(self.pid()), Signal::INT).unwrap();
    }

    /// Returns the exit status if the process has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the exit.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still running; stderr:\n{}",
                self.err.so_far().join("\n")
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the exit and returns its code. As in a shell, this is 128 plus the number of the signal
    /// that ended the process.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The children of a fleet lead groups of their own: they watch a pipe from this process and end when it
        // does. The program of a guard does not.
        if self.ended().is_none() {
            let _ = kill_process_group(pid(self.pid()), Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: Command) -> Finished {
    let mut process = Process::start(command);
    let code = process.exit_code();
    Finished { code, out: process.out.wait_end(), err: process.err.wait_end() }
}

pub(crate) fn kill(process: u32, signal: Signal) {
    kill_process(pid(process), signal).unwrap();
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// The pid and the command line of each child of a process.
#[cfg(target_os = "linux")]
pub(crate) fn children_of(parent: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let status = read("status")?;
        let its_parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
        (its_parent == parent.to_string()).then_some((pid, read("cmdline")?))
    })
    .collect()
}

/// The pid and the command line of each child of a process.
#[cfg(not(target_os = "linux"))]
pub(crate) fn children_of(parent: u32) -> Vec<(u32, String)> {
    let mut ps = program("ps");
    ps.args(["-A", "-o", "pid=,ppid=,args="]);
    let of = |line: &String| {
        let mut words = line.split_whitespace();
        let (pid, its_parent) = (words.next()?.parse().ok()?, words.next()?);
        (its_parent == parent.to_string()).then(|| (pid, line.clone()))
    };
    run(ps).out.iter().filter_map(of).collect()
}
