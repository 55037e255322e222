//! Decides whether and when a worker that has exited is started again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::{
    error::{CommandError, Exit},
    process::exit_status::ProcessExit,
};

/// The shortest pause before a restart. Each following pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a restart, jitter included.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A worker that was ready for this long was not part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// This many early exits in a row are a crash loop. An exit is early if the worker was not ready
/// yet, or was ready for less than [`STEADY`].
const CRASH_LOOP: u32 = 5;

/// Decides about the restarts of one worker.
pub(super) struct Restarts {
    /// The worker's name, for errors.
    worker: String,
    early_exits: u32,
    pauses: ExponentialBackoff,
}

impl Restarts {
    pub(super) fn new(worker: String) -> Self {
        Self { worker, early_exits: 0, pauses: pauses() }
    }

    /// The pause before the worker is started again, after a process of it has exited.
    ///
    /// `ready_for` is how long that process was ready, if it ever was. `fleet_worked` says whether
    /// any worker of the fleet was ever ready.
    ///
    /// # Errors
    /// Why the worker must not be started again: [`CommandError::WorkerConfig`] or [`CommandError::CrashLoop`].
    pub(super) fn next_pause(
        &mut self,
        exit: ProcessExit,
        ready_for: Option<Duration>,
        fleet_worked: bool,
    ) -> Result<Duration, CommandError> {
        let startup_failure = startup_failure(exit);
        // While no worker was ever ready, every worker will fail for the same reason. Later, the
        // reason is that the server is unreachable, and the fleet waits for it.
        if let Some(exit) = startup_failure
            && !fleet_worked
        {
            return Err(CommandError::WorkerConfig { worker: self.worker.clone(), exit });
        }
        let was_steady = ready_for.is_some_and(|time| time >= STEADY);
        if was_steady {
            self.pauses = pauses();
        }
        // A signal that comes from outside while the worker works is not part of a crash loop.
        let was_killed_at_work = ready_for.is_some() && exit.exit_code.is_none();
        if was_steady || was_killed_at_work {
            self.early_exits = 0;
        } else if startup_failure.is_none() {
            self.early_exits += 1;
        }
        if self.early_exits >= CRASH_LOOP {
            return Err(CommandError::CrashLoop {
                worker: self.worker.clone(),
                exits: self.early_exits,
            });
        }
        Ok(self.pauses.next().unwrap_or(LONGEST_PAUSE))
    }
}

/// Pauses that grow from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`]. The jitter makes each pause up to
/// twice as long as it would be without.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE / 2)
        .without_max_times()
        .with_jitter()
        .build()
}

/// The exit of a worker that could not start for a reason outside itself: its configuration, or no
/// answer from the server for the whole connect timeout.
pub(super) fn startup_failure(exit: ProcessExit) -> Option<Exit> {
    [Exit::Usage, Exit::Unavailable, Exit::Config].into_iter().find(|known| exit.is(*known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: ProcessExit = ProcessExit { exit_code: Some(101), signal: None };
    const NO_SERVER: ProcessExit = ProcessExit { exit_code: Some(69), signal: None };

    fn restarts() -> Restarts {
        Restarts::new("worker:0".into())
    }

    #[test]
    fn pauses_grow_with_jitter_and_have_a_limit() {
        let mut without_jitter = FIRST_PAUSE;
        for pause in pauses().take(20) {
            assert!(pause >= without_jitter, "{pause:?}");
            assert!(pause <= 2 * without_jitter, "{pause:?}");
            assert!(pause <= LONGEST_PAUSE, "{pause:?}");
            without_jitter = (2 * without_jitter).min(LONGEST_PAUSE / 2);
        }
    }

    #[test]
    fn five_early_exits_in_a_row_are_a_crash_loop() {
        let mut restarts = restarts();
        for _ in 0..4 {
            restarts.next_pause(CRASH, Some(Duration::ZERO), true).unwrap();
        }
        let error = restarts.next_pause(CRASH, None, true).unwrap_err();
        assert!(matches!(error, CommandError::CrashLoop { exits: 5, .. }), "{error}");
    }

    #[test]
    fn a_steady_worker_and_one_that_was_killed_at_work_are_no_crash_loop() {
        let mut restarts = restarts();
        for _ in 0..4 {
            restarts.next_pause(CRASH, None, true).unwrap();
        }
        let pause = restarts.next_pause(CRASH, Some(STEADY), true).unwrap();
        assert!(pause <= 2 * FIRST_PAUSE, "{pause:?}");
        for _ in 0..10 {
            restarts.next_pause(ProcessExit::KILLED, Some(Duration::ZERO), true).unwrap();
        }
    }

    #[test]
    fn without_a_server_a_fleet_that_worked_waits_and_a_new_one_gives_up() {
        let mut restarts = restarts();
        for _ in 0..10 {
            restarts.next_pause(NO_SERVER, None, true).unwrap();
        }
        let error = restarts.next_pause(NO_SERVER, None, false).unwrap_err();
        assert!(
            matches!(error, CommandError::WorkerConfig { exit: Exit::Unavailable, .. }),
            "{error}"
        );
    }
}
