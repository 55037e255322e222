//! Signals to processes that this one has not started, after a check that they are what they should be.

use std::io;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
#[cfg(target_os = "linux")]
use rustix::{
    fd::{AsRawFd, OwnedFd},
    process::{PidfdFlags, pidfd_open, pidfd_send_signal},
};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// A process that was checked. On Linux a signal reaches this process or none: after its end, another process
/// may have its pid, and does not get the signal.
pub(crate) struct CheckedProcess {
    pid: Pid,
    /// `None` on a kernel without such descriptors.
    #[cfg(target_os = "linux")]
    descriptor: Option<OwnedFd>,
}

impl CheckedProcess {
    /// Finds the process `pid`, which must be a child of the process `parent`, with `arguments` side by side in
    /// its command line. The error says what it is instead.
    pub(crate) fn find(pid: u32, parent: u32, arguments: &[&str]) -> Result<Self, String> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = number.ok_or_else(|| format!("{pid} is no process id"))?;
        // The descriptor comes first. If the process still runs after it was looked at, its pid was its own
        // all the time.
        let process = Self {
            pid: process,
            #[cfg(target_os = "linux")]
            descriptor: pidfd_open(process, PidfdFlags::empty()).ok(),
        };
        check(pid, parent, arguments)?;
        process.runs().map_err(|_| format!("process {pid} has ended"))?;
        Ok(process)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// Why it was not sent: the process may have ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            return Ok(pidfd_send_signal(descriptor, signal)?);
        }
        Ok(kill_process(self.pid, signal)?)
    }

    /// Fails if the process has ended.
    fn runs(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            // It names no process once that has ended and its pid may be another's.
            let described = format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd());
            let described = std::fs::read_to_string(described)?;
            let pid = described.lines().find_map(|line| line.strip_prefix("Pid:"));
            let runs = pid.is_some_and(|pid| pid.trim() == self.pid.as_raw_pid().to_string());
            return if runs { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
        }
        Ok(test_kill_process(self.pid)?)
    }
}

fn check(pid: u32, parent: u32, arguments: &[&str]) -> Result<(), String> {
    let mut system = System::new();
    let number = sysinfo::Pid::from_u32(pid);
    let refresh = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[number]), true, refresh);
    let process = system.process(number).ok_or_else(|| format!("there is no process {pid}"))?;
    if process.parent().map(sysinfo::Pid::as_u32) != Some(parent) {
        return Err(format!("process {pid} is no child of process {parent}"));
    }
    let words = process.cmd();
    let is_side_by_side = |at: &[std::ffi::OsString]| at.iter().eq(arguments);
    if words.windows(arguments.len()).any(is_side_by_side) {
        Ok(())
    } else {
        Err(format!("process {pid} does not run `{}`", arguments.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Child, Command, id},
    };

    use super::*;

    /// A child that does nothing until it is killed.
    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Self {
            let sleeper = Self(Command::new("sleep").args(["600"]).spawn().expect("sleep"));
            // Until the new program runs, the child has this program's command line.
            while CheckedProcess::find(sleeper.0.id(), id(), &["sleep", "600"]).is_err() {
                std::thread::yield_now();
            }
            sleeper
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn only_the_process_that_is_meant_gets_a_signal() {
        let mut sleeper = Sleeper::start();
        let pid = sleeper.0.id();
        let problem = |pid, parent, arguments: &[&str]| {
            CheckedProcess::find(pid, parent, arguments).err().expect("another process")
        };
        assert!(problem(pid, pid, &["600"]).ends_with(&format!("is no child of process {pid}")));
        assert!(problem(pid, id(), &["600", "sleep"]).ends_with("does not run `600 sleep`"));
        assert_eq!(problem(0, id(), &["600"]), "0 is no process id");
        assert_eq!(problem(u32::MAX, id(), &["600"]), "4294967295 is no process id");

        let found = CheckedProcess::find(pid, id(), &["sleep", "600"]).expect("the sleeper");
        found.signal(Signal::KILL).expect("it runs");
        let status = sleeper.0.wait().expect("a child");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        found.signal(Signal::KILL).expect_err("it has ended");
        assert_eq!(problem(pid, id(), &["600"]), format!("there is no process {pid}"));
    }
}
