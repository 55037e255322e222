//! How the server confirms that a worker polls.
//!
//! The SDK's own count of pollers cannot be used, because it rises before a poll has been sent. So
//! the worker looks for its own identity among the pollers that the server lists for the queue.

use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use temporalio_client::Client;
use tokio::time::timeout;

use crate::{
    config::role::Role,
    temporal::{
        connection::TRY_TIMEOUT,
        task_queue::{self, TaskKind},
    },
};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
        poller.polled_before = poller.last_poll().await;
        poller
    }

    /// Completes when the server has seen a poll of this worker.
    pub(super) async fn confirmed(&self) {
        let question =
            || async { if self.last_poll().await > self.polled_before { Ok(()) } else { Err(()) } };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter();
        // There is no limit on the number of tries, so that this ends with a confirmation.
        let _ = question.retry(pauses).await;
    }

    /// When the server last saw a poll of this identity. `None` if it lists none, or does not answer.
    async fn last_poll(&self) -> Option<SystemTime> {
        let pollers =
            task_queue::listed_pollers(&self.client, &self.queue, TaskKind::of(self.role));
        // Without a time limit, a single lost request would prevent all later ones.
        let pollers = timeout(TRY_TIMEOUT, pollers).await.ok()?.ok()?;
        pollers.into_iter().find(|poller| poller.identity == self.identity)?.last_access
    }
}
