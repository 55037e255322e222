//! Calls to a server that may be away for a while.

use std::{
    sync::{Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ConstantBuilder, Retryable};
use temporalio_client::{
    Client,
    tonic::{Code, Status},
};
use tokio::{sync::Mutex, time::sleep};

use super::{
    outage,
    rate_limits::{self, RateLimits, is_rate_limit, is_too_large, limit_pauses},
    target::{Target, describe},
};
use crate::error::Error;

/// The longest pause between two calls.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A call that fails after more than this was a long poll, which something in between, such as a proxy,
/// may have cut off.
const LONG_POLL: Duration = Duration::from_secs(15);
/// How many times in a row one call may fail while the server answers others.
const MOST_FAILURES: usize = 100;

/// A client whose calls are repeated until the server answers.
pub(crate) struct RetryingClient {
    client: Client,
    target: Target,
    limits: RateLimits,
    /// Since when the server has refused every call because of a limit. `None` if it did the last one.
    limited_since: StdMutex<Option<Instant>>,
    /// The lock of the caller that probes whether the server answers.
    probing: Mutex<()>,
    /// Logs outages that the SDK bridges by itself.
    _watch: outage::Watch,
}

/// Why a call has no result.
pub(crate) enum CallFailure {
    /// The server answered with this status.
    Refused(Status),
    /// The server did not answer for too long, or the call cannot be made at all.
    Failed(Error),
}

impl RetryingClient {
    /// `limits` counts the refusals of this client's connection. It must be called inside a tokio runtime.
    pub(crate) fn new(client: Client, target: Target, limits: RateLimits) -> Self {
        let watch = outage::watch(&client, &target.address);
        let (limited_since, probing) = (StdMutex::default(), Mutex::default());
        Self { client, target, limits, limited_since, probing, _watch: watch }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The error for a call that has no result. `what` is a verb phrase that says what the call was for.
    pub(crate) fn error(&self, what: &'static str, failure: CallFailure) -> Error {
        match failure {
            CallFailure::Refused(status) => self.target.refusal(what, &status),
            CallFailure::Failed(error) => error,
        }
    }

    /// Repeats `call`, which the SDK makes only [`once`](super::rate_limits::once), until the server answers it.
    ///
    /// # Errors
    /// [`CallFailure::Refused`] if the answer is a refusal that will not pass by itself, or that does not
    /// pass within the connect timeout; [`CallFailure::Failed`] with [`Error::Unreachable`] if the server
    /// does not answer within the connect timeout, or if this call alone fails too often.
    pub(crate) async fn call<T, F: Future<Output = Result<T, Status>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CallFailure> {
        let mut pauses_left = pauses().build();
        let mut limit_pauses_left = limit_pauses().build();
        loop {
            let started = Instant::now();
            let status = match call().await {
                Ok(result) => {
                    self.succeeded();
                    return Ok(result);
                }
                Err(status) if is_too_large(&status) || !may_pass(status.code()) => {
                    return Err(CallFailure::Refused(status));
                }
                Err(status) => status,
            };
            if is_rate_limit(&status) {
                self.limits.count(&status);
                if self.limited_for() > self.target.connect_timeout {
                    return Err(CallFailure::Refused(status));
                }
                sleep(limit_pauses_left.next().unwrap_or(rate_limits::LONGEST_PAUSE)).await;
                continue;
            }
            self.until_answered(&status).await?;
            let pause = if started.elapsed() > LONG_POLL {
                pauses_left = pauses().build();
                Some(LONGEST_PAUSE)
            } else {
                pauses_left.next()
            };
            match pause {
                Some(pause) => sleep(pause).await,
                None => return Err(self.unreachable(&status)),
            }
        }
    }

    /// Notes that the server did what it was asked.
    pub(crate) fn succeeded(&self) {
        *self.limited_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For how long every call has been refused because of a limit. A single call may be refused for much
    /// longer, as long as others take its place.
    fn limited_for(&self) -> Duration {
        let mut since = self.limited_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed()
    }

    /// Waits until the server answers a probe. The call that failed says too little: it may be a long
    /// poll, which takes long even when all is well.
    async fn until_answered(&self, failure: &Status) -> Result<(), CallFailure> {
        // Every failed call waits here. The call that holds the lock probes the server and logs.
        let _turn = self.probing.lock().await;
        let started = Instant::now();
        let left = || self.target.connect_timeout.saturating_sub(started.elapsed());
        let address = &self.target.address;
        let probe = || outage::ask(&self.client);
        probe
            .retry(pauses().without_max_times())
            .when(|_| !left().is_zero())
            .notify(|_, _| outage::failed(address, &describe(failure)))
            .await
            .map_err(|_| self.unreachable(failure))?;
        outage::answered(address);
        Ok(())
    }

    fn unreachable(&self, status: &Status) -> CallFailure {
        CallFailure::Failed(self.target.unreachable(describe(status), "".into()))
    }
}

/// The pauses between calls: [`LONGEST_PAUSE`], shortened at random by up to a half, so that the calls
/// of a batch do not all come back at the same time.
pub(crate) fn pauses() -> ConstantBuilder {
    // The crate's jitter lengthens a pause by up to its own length.
    ConstantBuilder::new()
        .with_delay(LONGEST_PAUSE / 2)
        .with_max_times(MOST_FAILURES - 1)
        .with_jitter()
}

/// Whether the server may answer differently a little later.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
            | Code::Internal
            | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_call_is_given_up_after_a_hundred_failures_and_short_pauses() {
        let pauses: Vec<_> = pauses().build().collect();
        assert_eq!(pauses.len(), 99);
        let limits = Duration::from_millis(250)..=Duration::from_millis(500);
        assert!(pauses.iter().all(|pause| limits.contains(pause)), "{pauses:?}");
    }

    #[test]
    fn only_statuses_that_can_pass_are_retried() {
        assert!(
            [Code::Unavailable, Code::ResourceExhausted, Code::Internal].map(may_pass) == [true; 3]
        );
        assert!(
            [Code::NotFound, Code::PermissionDenied, Code::InvalidArgument].map(may_pass)
                == [false; 3]
        );
    }
}
