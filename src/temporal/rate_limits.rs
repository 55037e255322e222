//! How often the server refused calls because of a limit.
//!
//! The SDK repeats such calls without saying so, for a minute or more, and its metrics do not count them
//! (docs/sdk.md). So the calls of a batch are made with [`once`], and repeated by the fleet itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use temporalio_client::{
    RetryOptions,
    request_extensions::RetryConfigForCall,
    tonic::{Code, IntoRequest, Request, Status},
};

use crate::text::one_line;

/// The first and the longest pause after a refusal. They are as long as the SDK's own, because a call that is
/// repeated sooner only adds to what the server limits.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many times [`repeat_limited`] repeats a call.
const MOST_REFUSALS: usize = 6;

/// Counts the calls that the server refused because of a limit. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateLimits(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    refused: AtomicU64,
    /// The server's words for the last refusal.
    words: Mutex<String>,
}

impl RateLimits {
    /// How many calls the server has refused because of a limit.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Counts a refusal.
    pub(crate) fn count(&self, status: &Status) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        let words = one_line(status.message());
        *self.0.words.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// What the server refused, as a sentence; `None` if it refused nothing.
    pub(crate) fn sentence(&self) -> Option<String> {
        let words = self.0.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = if words.is_empty() { words } else { format!(": {words}") };
        let calls = match self.refused() {
            0 => return None,
            1 => "1 call was".to_owned(),
            count => format!("{count} calls were"),
        };
        Some(format!(
            "rate limit of the server: {calls} refused and repeated (RESOURCE_EXHAUSTED{words})"
        ))
    }
}

/// A request that the SDK makes only once, so that a refusal is seen.
pub(crate) fn once<T>(message: impl IntoRequest<T>) -> Request<T> {
    let mut request = message.into_request();
    request.extensions_mut().insert(RetryConfigForCall(RetryOptions::no_retries()));
    request
}

/// Repeats `call`, which the SDK makes only [`once`], as long as the server refuses it because of a limit, and
/// counts the refusals. It is given up after half a minute.
///
/// # Errors
/// The last status.
pub(super) async fn repeat_limited<T, F: Future<Output = Result<T, Status>>>(
    limits: &RateLimits,
    call: impl FnMut() -> F,
) -> Result<T, Status> {
    call.retry(limit_pauses().with_max_times(MOST_REFUSALS))
        .when(|status| {
            let is_refusal = is_rate_limit(status);
            if is_refusal {
                limits.count(status);
            }
            is_refusal
        })
        .await
}

/// The pauses after refusals because of a rate limit, shortened at random by up to a half.
pub(super) fn limit_pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE / 2)
        .with_max_delay(LONGEST_PAUSE / 2)
        .without_max_times()
        .with_jitter()
}

/// Whether the server refused a call because of a rate, and not because the message was too large.
pub(crate) fn is_rate_limit(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && !is_too_large(status)
}

/// Whether a message was too large, which the server and the transport report with the code of a rate limit.
pub(super) fn is_too_large(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message().contains("larger than max")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_and_reported_with_the_servers_words() {
        let limits = RateLimits::default();
        assert_eq!(limits.sentence(), None);
        let refusal = Status::resource_exhausted("namespace rate limit exceeded");
        limits.count(&refusal);
        assert!(limits.sentence().unwrap().contains("1 call was refused"));
        limits.clone().count(&refusal);
        assert_eq!(
            limits.sentence().unwrap(),
            "rate limit of the server: 2 calls were refused and repeated \
             (RESOURCE_EXHAUSTED: namespace rate limit exceeded)"
        );
        assert_eq!(limits.refused(), 2);
    }

    #[test]
    fn a_message_that_is_too_large_is_no_rate_limit() {
        let large = "grpc: received message larger than max (5000000 vs. 4194304)";
        assert!(!is_rate_limit(&Status::resource_exhausted(large)));
        assert!(is_too_large(&Status::resource_exhausted(large)));
        assert!(is_rate_limit(&Status::resource_exhausted("namespace rate limit exceeded")));
        assert!(!is_rate_limit(&Status::unavailable("away")));
    }
}
