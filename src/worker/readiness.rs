//! How the server confirms that a worker polls.
//!
//! The SDK's own count of pollers cannot be used, because it rises before a poll has been sent. So
//! the worker looks for its own identity among the pollers that the server lists for the queue. Where it may
//! not ask for that list, the polls themselves are the evidence: one was answered, or stays open.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use temporalio_client::{Client, tonic::Code};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    config::{role::Role, show},
    error::Error,
    process::poll_log::PollLogs,
    temporal::{
        connection::TRY_TIMEOUT,
        task_queue::{self, TaskKind},
    },
};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After how long without an answer to the question who polls the log says so.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a poll has to be open to show that the server accepts it. It refuses a poll at once.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// How it is known that a worker polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The server lists the worker.
    Listed,
    /// The server accepts the worker's polls.
    Polls,
}

/// One worker in the server's list of pollers.
pub(super) struct ListedPoller {
    client: Client,
    queue: String,
    role: Role,
    identity: String,
    /// When the server last saw a poll of this identity before this worker polled. In a restarted
    /// container a worker has the same identity as the one before it, so that the list can hold an
    /// older poll. The time is by the server's clock, as all times in the list are.
    polled_before: Option<SystemTime>,
}

impl ListedPoller {
    /// Must be called before the worker polls.
    pub(super) async fn new(client: Client, queue: &str, role: Role, identity: &str) -> Self {
        let (queue, identity) = (queue.to_owned(), identity.to_owned());
        let mut poller = Self { client, queue, role, identity, polled_before: None };
        poller.polled_before = poller.last_poll().await.ok().flatten();
        poller
    }

    /// Completes when the server has seen a poll of this worker, or, if the worker may not ask for that, when
    /// the server accepts its `polls`.
    pub(super) async fn confirmed(&self, polls: &PollLogs) -> Evidence {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter()
            .build();
        let mut unanswered_since = None;
        let mut is_said = false;
        loop {
            match self.last_poll().await {
                Ok(last_poll) if last_poll > self.polled_before => return Evidence::Listed,
                Ok(_) => unanswered_since = None,
                Err(refusal) => {
                    let since = *unanswered_since.get_or_insert_with(Instant::now);
                    if !is_said && (refusal.is_final || since.elapsed() >= PATIENCE) {
                        is_said = true;
                        self.say(&refusal);
                    }
                    if refusal.is_final && are_accepted(polls) {
                        return Evidence::Polls;
                    }
                }
            }
            // There is no limit on the number of tries.
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    fn say(&self, Refusal { is_final, cause }: &Refusal) {
        let queue = &self.queue;
        if *is_final {
            warn!(
                "this worker may not ask who polls task queue {queue} ({cause}): it is ready when its \
                   polls are accepted"
            );
        } else {
            warn!(
                "cannot ask who polls task queue {queue} ({cause}): this worker is not ready until the \
                   server answers that"
            );
        }
    }

    /// When the server last saw a poll of this identity. `None` if it lists none.
    async fn last_poll(&self) -> Result<Option<SystemTime>, Refusal> {
        let pollers =
            task_queue::listed_pollers(&self.client, &self.queue, TaskKind::of(self.role));
        // Without a time limit, a single lost request would prevent all later ones.
        let pollers = timeout(TRY_TIMEOUT, pollers).await.map_err(|_| Refusal {
            is_final: false,
            cause: format!("no answer within {}", show(TRY_TIMEOUT)),
        })?;
        let own = pollers?.into_iter().find(|poller| poller.identity == self.identity);
        Ok(own.and_then(|poller| poller.last_access))
    }
}

/// Why the server does not say who polls.
#[derive(Debug)]
struct Refusal {
    /// Whether it will never say it.
    is_final: bool,
    cause: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Rpc { cause, code, .. } => {
                let is_final = matches!(code, Code::PermissionDenied | Code::Unimplemented);
                Self { is_final, cause }
            }
            other => Self { is_final: false, cause: other.to_string() },
        }
    }
}

/// Whether the server accepts polls: it has answered one, or it has left one open.
fn are_accepted(polls: &PollLogs) -> bool {
    polls.both().iter().any(|log| log.answers() > 0 || log.silence() >= OPEN_FOR)
}
