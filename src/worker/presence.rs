//! Takes readiness back while the server does not serve this worker, and gives it again.
//!
//! The server is away if it does not answer, which `temporal/outage.rs` notices and logs. It does not serve
//! the worker either if the namespace is gone, or if polls are open and none is answered.

use std::{convert::Infallible, time::Duration};

use temporalio_client::{
    Client, NamespacedClient, RetryOptions,
    grpc::WorkflowService,
    request_extensions::RetryConfigForCall,
    tonic::{Code, IntoRequest},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    config::show,
    process::{
        poll_log::{PollLog, PollLogs},
        state::{State, Vitals},
    },
    temporal::connection::TRY_TIMEOUT,
};

/// How often the polls are looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// For how long no open poll may be answered. The server answers a poll after a minute at most, with a task or
/// without one.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);
/// Every so many looks, the server is asked whether the namespace exists.
const LOOKS_PER_QUESTION: u32 = 2;
/// After so many answers that it does not, the namespace is gone. A server that starts may not know it yet.
const ANSWERS: u32 = 2;

/// Why the server does not serve a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// The server does not answer. This is logged elsewhere.
    ServerAway,
    NamespaceGone,
    PollsUnanswered,
}

/// Follows the presence of the server from the moment at which the worker is ready. `is_away` says whether the
/// server does not answer.
pub(super) async fn follow(
    client: &Client,
    task_queue: &str,
    vitals: &Vitals,
    mut is_away: watch::Receiver<bool>,
) -> Infallible {
    let namespace = client.namespace();
    let mut silence = Silence::new(vitals.polls());
    let (mut looks, mut denials) = (0_u32, 0);
    let mut said = None;
    loop {
        let looked = tokio::select! {
            Ok(()) = is_away.changed() => false,
            () = sleep(PERIOD) => true,
        };
        let away = *is_away.borrow_and_update();
        if looked && !away {
            silence.look();
            looks += 1;
            if looks.is_multiple_of(LOOKS_PER_QUESTION) {
                denials = if namespace_is_gone(client).await { denials + 1 } else { 0 };
            }
        }
        let absence = if away {
            Some(Absence::ServerAway)
        } else if denials >= ANSWERS {
            Some(Absence::NamespaceGone)
        } else if silence.is_too_long() {
            Some(Absence::PollsUnanswered)
        } else {
            None
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

/// Whether the server says that it does not know the namespace.
async fn namespace_is_gone(client: &Client) -> bool {
    let mut request =
        DescribeNamespaceRequest { namespace: client.namespace(), ..Default::default() }
            .into_request();
    request.extensions_mut().insert(RetryConfigForCall(RetryOptions::no_retries()));
    let answer = timeout(TRY_TIMEOUT, client.clone().describe_namespace(request)).await;
    matches!(answer, Ok(Err(status)) if status.code() == Code::NotFound)
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
