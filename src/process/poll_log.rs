//! What a worker's polls say about its connection: when one was answered, and for how long none has been.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The polls for one kind of task, of all SDK workers of a process. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct PollLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    /// How many polls are open.
    open: usize,
    /// How many polls the server has answered, with a task or without one.
    answered: u64,
    /// Since when polls are open and none was answered.
    unanswered_since: Option<Instant>,
}

impl PollLog {
    /// Records that a poll begins.
    pub(crate) fn begun(&self) {
        let mut log = self.log();
        log.open += 1;
        log.unanswered_since.get_or_insert_with(Instant::now);
    }

    /// Records that a poll was answered.
    pub(crate) fn answered(&self) {
        let mut log = self.log();
        log.open = log.open.saturating_sub(1);
        log.answered += 1;
        log.unanswered_since = (log.open > 0).then(Instant::now);
    }

    /// The number of answers so far.
    pub(crate) fn answers(&self) -> u64 {
        self.log().answered
    }

    /// For how long polls have been open and none was answered. Zero if none is open, as in a worker whose
    /// slots are all in use.
    pub(crate) fn silence(&self) -> Duration {
        self.log().unanswered_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The polls of a worker, by kind of task.
#[derive(Clone, Debug, Default)]
pub(crate) struct PollLogs {
    pub(crate) workflow_tasks: PollLog,
    pub(crate) activities: PollLog,
}

impl PollLogs {
    pub(crate) fn both(&self) -> [&PollLog; 2] {
        [&self.workflow_tasks, &self.activities]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_polls_are_silent_and_an_answer_ends_the_silence() {
        let log = PollLog::default();
        let is_silent = || log.0.lock().unwrap().unanswered_since;
        assert_eq!((log.silence(), is_silent()), (Duration::ZERO, None));
        log.begun();
        let since = is_silent();
        log.begun();
        assert!(since.is_some() && is_silent() == since, "since the first one");
        log.answered();
        assert!(is_silent() > since, "from now on");
        log.answered();
        assert_eq!((is_silent(), log.answers()), (None, 2));
    }
}
