//! Takes readiness back while the server does not serve this worker, and gives it again.
//!
//! `temporal/outage.rs` notices that the server does not answer, and logs that, and that the namespace is gone. The
//! server does not serve the worker either if polls are open and none is answered.

use std::{convert::Infallible, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use crate::{
    config::show,
    process::{
        poll_log::{PollLog, PollLogs},
        state::{State, Vitals},
    },
    temporal::outage::Presence,
};

/// How often the polls are looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// For how long no open poll may be answered. The server answers a poll after a minute at most, with a task or
/// without one.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

/// Why the server does not serve a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// The server does not answer. This is logged elsewhere.
    ServerAway,
    NamespaceGone,
    PollsUnanswered,
}

/// Follows the `presence` of the server from the moment at which the worker is ready.
pub(super) async fn follow(
    namespace: &str,
    task_queue: &str,
    vitals: &Vitals,
    mut presence: watch::Receiver<Presence>,
) -> Infallible {
    let mut silence = Silence::new(vitals.polls());
    let mut said = None;
    loop {
        let looks = tokio::select! {
            Ok(()) = presence.changed() => false,
            () = sleep(PERIOD) => true,
        };
        let now = *presence.borrow_and_update();
        if now == Presence::Away {
            // The polls of before go unanswered. Those of afterwards have their own time.
            silence = Silence::new(vitals.polls());
        } else if looks {
            silence.look();
        }
        let absence = match now {
            Presence::Away => Some(Absence::ServerAway),
            Presence::WithoutNamespace => Some(Absence::NamespaceGone),
            Presence::Here => silence.is_too_long().then_some(Absence::PollsUnanswered),
        };
        match absence {
            Some(absence) if vitals.advance(State::Disconnected) => {
                said = Some(absence);
                match absence {
                    Absence::ServerAway => {}
                    Absence::NamespaceGone => {
                        warn!(
                            "not ready any more: namespace {namespace:?} does not exist any more"
                        );
                    }
                    Absence::PollsUnanswered => warn!(
                        "not ready any more: no poll of task queue {task_queue} was answered for {}",
                        show(LONGEST_SILENCE)
                    ),
                }
            }
            None if vitals.advance(State::Ready) => match said.take() {
                Some(Absence::NamespaceGone) => {
                    info!("ready again: namespace {namespace:?} exists again");
                }
                Some(Absence::PollsUnanswered) => {
                    info!("ready again: polls of task queue {task_queue} are answered again");
                }
                Some(Absence::ServerAway) | None => {}
            },
            _ => {}
        }
    }
}

/// How often each kind of poll was silent in a row. Looks are counted, not time: a process that was stopped
/// for two minutes has not missed an answer.
struct Silence<'a> {
    polls: [(&'a PollLog, u64, u32); 2],
}

impl<'a> Silence<'a> {
    fn new(polls: &'a PollLogs) -> Self {
        Self { polls: polls.both().map(|log| (log, log.answers(), 0)) }
    }

    fn look(&mut self) {
        for (log, answers, looks) in &mut self.polls {
            let now = log.answers();
            let is_silent = now == *answers && !log.silence().is_zero();
            *looks = if is_silent { *looks + 1 } else { 0 };
            *answers = now;
        }
    }

    fn is_too_long(&self) -> bool {
        self.polls.iter().any(|(.., looks)| *looks * PERIOD >= LONGEST_SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_silent_after_ninety_seconds_of_looks_without_an_answer_of_one_kind() {
        let polls = PollLogs::default();
        let mut silence = Silence::new(&polls);
        let looks = |silence: &mut Silence<'_>, count| (0..count).for_each(|_| silence.look());
        looks(&mut silence, 100);
        assert!(!silence.is_too_long(), "no poll is open");
        polls.activities.begun();
        polls.activities.begun();
        looks(&mut silence, 17);
        assert!(!silence.is_too_long());
        looks(&mut silence, 1);
        assert!(silence.is_too_long());
        polls.workflow_tasks.begun();
        polls.workflow_tasks.answered();
        looks(&mut silence, 1);
        assert!(silence.is_too_long(), "an answer of the other kind is none of this one");
        polls.activities.answered();
        looks(&mut silence, 1);
        assert!(!silence.is_too_long());
    }
}
