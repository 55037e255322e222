//! How an activity learns that its worker drains.
//!
//! The SDK tells an activity of its cancellation, which comes with the end of the grace, and nothing
//! before that ([sdk-typescript#1739](https://github.com/temporalio/sdk-typescript/issues/1739) asks
//! for the same elsewhere). The fleet's activity interceptor marks each activity's context with its
//! worker, by a header that no one else sees: a task-local would be lost in a synchronous activity,
//! which runs on a thread of its own, and a global would mix up several workers in one process.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::activities::ActivityContext;
use tokio_util::sync::CancellationToken;

/// The header that marks an activity's context with its worker's number.
const HEADER: &str = "temporal-fleet-worker";

static NEXT: AtomicU64 = AtomicU64::new(1);
static WORKERS: LazyLock<Mutex<HashMap<u64, CancellationToken>>> = LazyLock::new(Mutex::default);

/// Tells an activity that its worker drains: that it was asked to stop, will cancel the activity
/// after `FLEET_ACTIVITY_GRACE`, and leave at `FLEET_DRAIN_TIMEOUT`.
///
/// An activity that can take up later where it is now had better return early then, with an error
/// that is retried: another worker goes on at once. From async and from synchronous activities:
///
/// ```
/// # use temporal_fleet::DrainSignal;
/// # use temporalio_sdk::{ApplicationFailure, activities::{ActivityContext, ActivityError}};
/// # async fn pack(ctx: ActivityContext) -> Result<(), ActivityError> {
/// # let mut left: Vec<String> = vec![];
/// let drain = DrainSignal::of(&ctx);
/// while let Some(item) = left.pop() {
///     if drain.is_draining() {
///         return Err(ApplicationFailure::new("the worker drains").into());
///     }
///     // pack the item
///     ctx.record_heartbeat(left.len()).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct DrainSignal(CancellationToken);

impl DrainSignal {
    /// The signal of the worker that runs this activity. Outside a fleet's worker (in a test's
    /// `ActivityEnvironment`) it never comes.
    #[must_use]
    pub fn of(ctx: &ActivityContext) -> Self {
        let number = ctx
            .headers()
            .get(HEADER)
            .and_then(|payload| Some(u64::from_le_bytes(payload.data.as_slice().try_into().ok()?)));
        let workers = WORKERS.lock().ok();
        let token = number.and_then(|number| workers?.get(&number).cloned());
        Self(token.unwrap_or_default())
    }

    /// Whether the worker drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes when the worker drains.
    pub async fn draining(&self) {
        self.0.cancelled().await;
    }
}

/// A worker's own end of the signal; while it lives the worker's activities can find it.
#[derive(Debug)]
pub(crate) struct DrainSource {
    number: u64,
    token: CancellationToken,
}

impl DrainSource {
    /// The header, and its value, that lead an activity to this worker.
    pub(crate) fn header(&self) -> (String, Payload) {
        let payload = Payload { data: self.number.to_le_bytes().to_vec(), ..Default::default() };
        (HEADER.to_owned(), payload)
    }

    /// Gives the signal.
    pub(crate) fn begin(&self) {
        self.token.cancel();
    }
}

impl Default for DrainSource {
    fn default() -> Self {
        let source =
            Self { number: NEXT.fetch_add(1, Ordering::Relaxed), token: CancellationToken::new() };
        if let Ok(mut workers) = WORKERS.lock() {
            workers.insert(source.number, source.token.clone());
        }
        source
    }
}

impl Drop for DrainSource {
    fn drop(&mut self) {
        if let Ok(mut workers) = WORKERS.lock() {
            workers.remove(&self.number);
        }
    }
}
