//! How a process ended.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;
use serde::Serialize;

use crate::error::Exit;

/// How a process ended: with an exit code, or by a signal.
///
/// It is shown as `exit code: 70` or `signal: 9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProcessExit {
    /// The exit code, unless a signal ended the process.
    pub(crate) exit_code: Option<i32>,
    /// The number of the signal that ended the process.
    pub(crate) signal: Option<i32>,
}

impl ProcessExit {
    /// The end of a process that had to be killed.
    pub(crate) const KILLED: Self = Self { exit_code: None, signal: Some(9) };

    pub(crate) fn is_success(self) -> bool {
        self.exit_code == Some(0)
    }

    /// Whether the process, a worker, was asked to stop: it has drained, or a second signal has ended its drain. If its
    /// supervisor did not ask it to, somebody else did.
    pub(crate) fn was_stopped(self) -> bool {
        let by_second_signal = [Signal::HUP, Signal::INT, Signal::TERM]
            .map(|signal| Some(128 + signal.as_raw()))
            .contains(&self.exit_code);
        self.is_success() || self.is(Exit::DrainDeadline) || by_second_signal
    }

    /// How the program under a `fleet guard` ended, of how the guard did: it exits as a shell does, with 128 and the
    /// number of the signal that ended the program.
    pub(crate) fn of_guarded(self) -> Self {
        match self.exit_code {
            Some(code @ 129..=192) => Self { exit_code: None, signal: Some(code - 128) },
            _ => self,
        }
    }

    /// Whether the process, one of the fleet's commands, exited in this way.
    pub(crate) fn is(self, exit: Exit) -> bool {
        self.exit_code == Some(exit.code().into())
    }
}

impl From<ExitStatus> for ProcessExit {
    fn from(status: ExitStatus) -> Self {
        Self { exit_code: status.code(), signal: status.signal() }
    }
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exit_code, self.signal) {
            (Some(code), _) => write!(f, "exit code: {code}"),
            (None, Some(signal)) => write!(f, "signal: {signal}"),
            (None, None) => f.write_str("neither an exit code nor a signal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_got_one_or_two_signals_was_stopped() {
        for (code, was_stopped) in [
            (0, true),
            (75, true),
            (129, true),
            (130, true),
            (143, true),
            (1, false),
            (134, false),
            (137, false),
        ] {
            let exit = ProcessExit { exit_code: Some(code), signal: None };
            assert_eq!(exit.was_stopped(), was_stopped, "{code}");
        }
        assert!(!ProcessExit::KILLED.was_stopped());
    }

    #[test]
    fn a_program_that_was_killed_is_recognized_behind_its_guard() {
        let code = |code| ProcessExit { exit_code: Some(code), signal: None };
        assert_eq!(code(137).of_guarded(), ProcessExit::KILLED);
        assert_eq!(code(1).of_guarded(), code(1));
        assert_eq!(ProcessExit::KILLED.of_guarded(), ProcessExit::KILLED);
    }
}
