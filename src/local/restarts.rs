//! Decides whether and when a worker that has exited is started again.

use std::{collections::VecDeque, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    error::{CommandError, Exit},
    process::exit_status::ProcessExit,
};

/// The shortest pause before a restart. Each following pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a restart, jitter included.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A worker that was ready for this long was not part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// This many crashes within [`CRASH_LOOP_TIME`] are a crash loop, if each of them was early: before the
/// worker was ready, or within [`STEADY`] after.
const CRASH_LOOP: usize = 5;
const CRASH_LOOP_TIME: Duration = Duration::from_mins(1);

/// Decides about the restarts of one worker.
pub(super) struct Restarts {
    /// The worker's name, for errors.
    worker: String,
    /// When its last early crashes were, the oldest first.
    early_crashes: VecDeque<Instant>,
    pauses: ExponentialBackoff,
}

impl Restarts {
    pub(super) fn new(worker: String) -> Self {
        Self { worker, early_crashes: VecDeque::new(), pauses: pauses() }
    }

    /// The pause before the worker is started again, after a process of it has exited `now`.
    ///
    /// `ready_for` is how long that process was ready, if it ever was. `in_workflow_code` says whether it ran
    /// workflow code when it ended: one workflow can end worker after worker, and other workers go on.
    /// `fleet_worked` says whether any worker of the fleet was ever ready.
    ///
    /// # Errors
    /// Why the worker must not be started again: [`CommandError::WorkerConfig`] or [`CommandError::CrashLoop`].
    pub(super) fn next_pause(
        &mut self,
        exit: ProcessExit,
        now: Instant,
        ready_for: Option<Duration>,
        in_workflow_code: bool,
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
        let was_stopped = exit.was_stopped();
        // A worker that is killed before it is ready may lack memory, and gets time.
        let was_killed_at_work = is_kill(exit) && !in_workflow_code && ready_for.is_some();
        let from_outside = was_stopped || was_killed_at_work;
        if ready_for.is_some_and(|time| time >= STEADY) || (from_outside && fleet_worked) {
            self.pauses = pauses();
        }
        // Before any worker was ready, an end that was asked for from outside is as suspicious as a
        // crash: the program may be none that works.
        let is_no_fault = was_stopped || is_kill(exit) || in_workflow_code;
        let is_early = ready_for.is_none_or(|time| time < STEADY);
        if is_early && startup_failure.is_none() && !(is_no_fault && fleet_worked) {
            self.early_crashes.push_back(now);
        }
        self.early_crashes.retain(|crash| now.duration_since(*crash) < CRASH_LOOP_TIME);
        if self.early_crashes.len() >= CRASH_LOOP {
            return Err(CommandError::CrashLoop {
                worker: self.worker.clone(),
                exits: self.early_crashes.len(),
                within: CRASH_LOOP_TIME,
            });
        }
        Ok(self.pause_after_failure())
    }

    /// The pause before the worker is started again, after its process could not be started. The machine
    /// lacks something, and may have it again later.
    pub(super) fn pause_after_failure(&mut self) -> Duration {
        self.pauses.next().unwrap_or(LONGEST_PAUSE)
    }
}

/// Whether a signal ended the process that nothing in the process itself sends.
fn is_kill(exit: ProcessExit) -> bool {
    let own = [
        Signal::ILL,
        Signal::TRAP,
        Signal::ABORT,
        Signal::BUS,
        Signal::FPE,
        Signal::SEGV,
        Signal::SYS,
    ];
    exit.signal.is_some_and(|signal| own.iter().all(|own| own.as_raw() != signal))
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

    const STOPPED: ProcessExit = ProcessExit { exit_code: Some(0), signal: None };
    const ABORTED: ProcessExit = ProcessExit { exit_code: None, signal: Some(6) };

    fn restarts() -> Restarts {
        Restarts::new("worker:0".into())
    }

    #[test]
    fn a_worker_that_was_at_work_when_it_was_killed_from_outside_is_replaced_at_once() {
        let (mut restarts, now) = (restarts(), Instant::now());
        let mut pause = |ready_for, in_code| {
            restarts.next_pause(ProcessExit::KILLED, now, ready_for, in_code, true).unwrap()
        };
        let ready = Some(Duration::from_secs(1));
        for _ in 0..20 {
            assert!(pause(ready, false) <= FIRST_PAUSE * 2);
        }
        for _ in 0..9 {
            pause(ready, true);
        }
        assert!(pause(ready, true) > FIRST_PAUSE * 2, "a workflow may have ended it");
        assert!(pause(ready, false) <= FIRST_PAUSE * 2);
        for _ in 0..9 {
            pause(None, false);
        }
        assert!(pause(None, false) > FIRST_PAUSE * 2, "it may lack memory");
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

    /// The pause after an exit now, in a fleet that has worked.
    fn after(
        restarts: &mut Restarts,
        exit: ProcessExit,
        ready_for: Option<Duration>,
    ) -> Result<Duration, CommandError> {
        restarts.next_pause(exit, Instant::now(), ready_for, false, true)
    }

    #[test]
    fn five_early_crashes_are_a_crash_loop() {
        for crash in [CRASH, ABORTED] {
            let mut restarts = restarts();
            for _ in 0..4 {
                after(&mut restarts, crash, Some(Duration::ZERO)).unwrap();
            }
            let error = after(&mut restarts, crash, None).unwrap_err();
            assert!(matches!(error, CommandError::CrashLoop { exits: 5, .. }), "{error}");
        }
    }

    #[test]
    fn crashes_are_forgotten_after_a_minute() {
        let mut restarts = restarts();
        let begin = Instant::now();
        for crash in 0..20 {
            let now = begin + crash * CRASH_LOOP_TIME / 4;
            restarts.next_pause(CRASH, now, None, false, true).unwrap();
        }
    }

    #[test]
    fn a_steady_worker_is_no_crash_loop() {
        let mut restarts = restarts();
        for _ in 0..4 {
            after(&mut restarts, CRASH, None).unwrap();
        }
        let pause = after(&mut restarts, CRASH, Some(STEADY)).unwrap();
        assert!(pause <= 2 * FIRST_PAUSE, "{pause:?}");
    }

    #[test]
    fn what_is_stopped_or_killed_from_outside_is_replaced_without_end() {
        let mut restarts = restarts();
        let deadline = ProcessExit { exit_code: Some(75), signal: None };
        for ready_for in [None, Some(Duration::ZERO)] {
            for _ in 0..10 {
                after(&mut restarts, ProcessExit::KILLED, ready_for).unwrap();
            }
            for stopped in [STOPPED, deadline].repeat(10) {
                let pause = after(&mut restarts, stopped, ready_for).unwrap();
                assert!(pause <= 2 * FIRST_PAUSE, "it does not grow: {pause:?}");
            }
        }
    }

    #[test]
    fn crashes_in_workflow_code_do_not_end_a_fleet_that_has_worked_but_pauses_grow() {
        let mut restarts = restarts();
        let mut crash = |worked| restarts.next_pause(ABORTED, Instant::now(), None, true, worked);
        let pauses: Vec<_> = (0..20).map(|_| crash(true).unwrap()).collect();
        assert!(pauses[19] > 10 * pauses[0], "{pauses:?}");
        for _ in 0..4 {
            crash(false).unwrap();
        }
        assert!(matches!(crash(false), Err(CommandError::CrashLoop { .. })));
    }

    #[test]
    fn a_program_that_ends_before_the_fleet_ever_worked_is_not_started_for_ever() {
        let mut restarts = restarts();
        let mut end = || restarts.next_pause(STOPPED, Instant::now(), None, false, false);
        for _ in 0..4 {
            end().unwrap();
        }
        assert!(matches!(end(), Err(CommandError::CrashLoop { .. })));
    }

    #[test]
    fn without_a_server_a_fleet_that_worked_waits_and_a_new_one_gives_up() {
        let mut restarts = restarts();
        for _ in 0..10 {
            after(&mut restarts, NO_SERVER, None).unwrap();
        }
        let error = restarts.next_pause(NO_SERVER, Instant::now(), None, false, false).unwrap_err();
        assert!(
            matches!(error, CommandError::WorkerConfig { exit: Exit::Unavailable, .. }),
            "{error}"
        );
    }
}
