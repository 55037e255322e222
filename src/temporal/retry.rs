//! Calls to a server that may be away for a while.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ConstantBuilder, Retryable};
use temporalio_client::{
    Client,
    tonic::{Code, Status},
};
use tokio::{sync::Mutex, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    outage,
    target::{Target, describe},
};
use crate::error::Error;

/// The longest pause between two calls of ours. The SDK itself retries each call for ten seconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A call that fails after more than this was a long poll, which something in between, such as a proxy,
/// may have cut off.
const LONG_POLL: Duration = Duration::from_secs(15);
/// How many times in a row one call may fail while the server answers others.
const MOST_FAILURES: usize = 10;

/// A client whose calls are repeated until the server answers.
pub(crate) struct RetryingClient {
    client: Client,
    target: Target,
    /// The lock of the caller that probes whether the server answers.
    probing: Mutex<()>,
    /// Logs outages that the SDK bridges by itself.
    _watch: AbortOnDropHandle<()>,
}

/// Why a call has no result.
pub(crate) enum CallFailure {
    /// The server answered with this status.
    Refused(Status),
    /// The server did not answer for too long, or the call cannot be made at all.
    Failed(Error),
}

impl RetryingClient {
    /// It must be called inside a tokio runtime.
    pub(crate) fn new(client: Client, target: Target) -> Self {
        let watch = outage::watch(&client, &target.address);
        Self { client, target, probing: Mutex::default(), _watch: watch }
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

    /// Repeats `call` until the server answers it.
    ///
    /// # Errors
    /// [`CallFailure::Refused`] if the answer is a refusal that will not pass by itself;
    /// [`CallFailure::Failed`] with [`Error::Unreachable`] if the server does not answer within the connect
    /// timeout, or if this call alone fails too often.
    pub(crate) async fn call<T, F: Future<Output = Result<T, Status>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, CallFailure> {
        let mut pauses_left = pauses().build();
        loop {
            let started = Instant::now();
            let status = match call().await {
                Ok(result) => return Ok(result),
                Err(status) if !may_pass(status.code()) => {
                    return Err(CallFailure::Refused(status));
                }
                Err(status) => status,
            };
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
    fn a_failing_call_is_given_up_after_ten_failures_and_nine_short_pauses() {
        let pauses: Vec<_> = pauses().build().collect();
        assert_eq!(pauses.len(), 9);
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
