//! Watches a worker from a thread of its own, because a worker whose executor is blocked cannot report
//! anything itself.
//!
//! Each second the thread looks for signs of life ([`super::pulse`]). Under a supervisor it sends them on,
//! and the supervisor replaces a worker that sends none. Without one, it reports a stuck worker itself, and
//! can end the process.
//!
//! It counts its own wake-ups, not the time of a clock. A process that was stopped for an hour, or whose
//! machine was suspended, has missed nothing: its executor and this thread were stopped together.

use std::{io, thread, time::Duration};

use tracing::{error, info, warn};

use super::{
    pulse::{PERIOD, Progress, Pulse},
    stall::Stall,
    state::Vitals,
    worker_message::{SupervisorLink, WorkerMessage},
};
use crate::config::show;

/// After how many seconds without a sign of life the workflow whose code runs is named. Other SDKs of
/// Temporal warn of a potential deadlock after as long (TMPRL1101).
const DEADLOCK_SECONDS: u64 = 2;

/// A thread that watches a worker.
pub(crate) struct Watchdog {
    pub(crate) vitals: Vitals,
    pub(crate) pulse: Pulse,
    /// Where signs of life go, under a supervisor.
    pub(crate) supervisor: Option<SupervisorLink>,
    /// How long a worker may give no sign of life; zero for any time.
    pub(crate) stuck_timeout: Duration,
    /// Ends this process where a stuck worker without a supervisor has to; `None` if it goes on.
    pub(crate) exit: Option<fn()>,
}

/// The number of seconds after which a worker without a sign of life is stuck; `None` for never.
pub(crate) fn limit(stuck_timeout: Duration) -> Option<u64> {
    let seconds = stuck_timeout.as_secs() + u64::from(stuck_timeout.subsec_nanos() > 0);
    (seconds > 0).then_some(seconds)
}

/// Seconds without a sign of life.
#[derive(Debug, Default)]
struct Silence {
    last: Option<Progress>,
    seconds: u64,
}

impl Silence {
    /// Counts one more second, in which the executor has got to `now`. Returns the seconds of the silence
    /// that ends with it, or 0.
    fn count(&mut self, pulse: &Pulse, now: Option<Progress>) -> u64 {
        let is_silent = match (self.last, now) {
            (Some(last), Some(now)) => !pulse.has_come_on(last, now),
            _ => false,
        };
        if is_silent {
            self.seconds += 1;
            return 0;
        }
        self.last = now;
        std::mem::take(&mut self.seconds)
    }
}

impl Watchdog {
    /// Starts the thread, which ends with the process.
    ///
    /// # Errors
    /// When the operating system refuses the thread.
    pub(crate) fn start(self) -> io::Result<()> {
        thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut silence = Silence::default();
            loop {
                self.look(&mut silence);
                self.pulse.ask();
                thread::sleep(PERIOD);
            }
        })?;
        Ok(())
    }

    fn look(&self, silence: &mut Silence) {
        let ended = silence.count(&self.pulse, self.pulse.progress());
        let limit = limit(self.stuck_timeout).filter(|_| self.supervisor.is_none());
        if limit.is_some_and(|limit| ended >= limit) {
            self.vitals.set_stuck(false);
            info!("the worker is not stuck any more, after {ended}s");
        }
        // One second without a sign of life may be one in which this thread was early.
        if silence.seconds < DEADLOCK_SECONDS {
            self.send(&WorkerMessage::Beat);
            return;
        }
        let is_stuck = limit == Some(silence.seconds);
        if silence.seconds > DEADLOCK_SECONDS && !is_stuck {
            return;
        }
        let stall = Stall::of(&self.vitals);
        if silence.seconds == DEADLOCK_SECONDS {
            if let Some(run) = &stall.running {
                warn!(
                    "potential deadlock: the code of workflow {run} has kept this worker's thread for \
                     {DEADLOCK_SECONDS}s without a pause; what computes or blocks belongs in an activity"
                );
            }
            self.send(&WorkerMessage::Stalled(stall.clone()));
        }
        if is_stuck {
            self.report_stuck(&stall);
        }
    }

    fn send(&self, message: &WorkerMessage) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.send(message);
        }
    }

    fn report_stuck(&self, stall: &Stall) {
        self.vitals.set_stuck(true);
        let what_next = if self.exit.is_some() { "exiting" } else { "see FLEET_STUCK_EXIT" };
        let timeout = show(self.stuck_timeout);
        error!("this worker is stuck: no sign of life for {timeout}: {stall}; {what_next}");
        if let Some(exit) = self.exit {
            exit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_whole_seconds_and_zero_is_none() {
        assert_eq!(limit(Duration::ZERO), None);
        assert_eq!(limit(Duration::from_millis(2500)), Some(3));
        assert_eq!(limit(Duration::from_secs(30)), Some(30));
    }

    #[test]
    fn a_process_without_an_executor_is_not_silent() {
        let pulse = Pulse::new(Vitals::default());
        let mut silence = Silence::default();
        for _ in 0..5 {
            silence.count(&pulse, None);
        }
        assert_eq!(silence.seconds, 0);
        // One that begins is counted from then on.
        let progress = Some(Progress::default());
        assert_eq!((silence.count(&pulse, progress), silence.seconds), (0, 0));
        assert_eq!((silence.count(&pulse, progress), silence.seconds), (0, 1));
        assert_eq!((silence.count(&pulse, progress), silence.seconds), (0, 2));
        assert_eq!((silence.count(&pulse, None), silence.seconds), (2, 0));
    }
}
