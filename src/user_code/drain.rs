//! The drain signal, which notifies an activity that its worker drains.
//!
//! The SDK notifies an activity only of its cancellation, which follows when the grace period ends
//! ([sdk-typescript#1739](https://github.com/temporalio/sdk-typescript/issues/1739) asks for a drain
//! signal elsewhere). The fleet's activity interceptor therefore adds a header to each activity's
//! context that identifies its worker. The header never leaves the process. A task-local would be
//! lost in a synchronous activity, which runs on a thread of its own, and a global would mix up
//! several workers in one process.

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

/// The header that holds the number of an activity's worker.
const HEADER: &str = "temporal-fleet-worker";

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);
static WORKERS: LazyLock<Mutex<HashMap<u64, CancellationToken>>> = LazyLock::new(Mutex::default);

/// Notifies an activity that its worker drains: the worker was asked to stop, will cancel the activity
/// after `FLEET_ACTIVITY_GRACE`, and will exit after `FLEET_DRAIN_TIMEOUT` at the latest.
///
/// An activity that records its progress should then return early with a retryable error, so that
/// another worker continues it at once. Both asynchronous and synchronous activities can use it:
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
    /// The signal of the worker that runs this activity. Outside a fleet's worker, such as in a test's
    /// `ActivityEnvironment`, it is never given.
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

    /// Completes when the worker begins to drain, or at once if it already drains.
    pub async fn draining(&self) {
        self.0.cancelled().await;
    }
}

/// The worker's side of its drain signal. The worker's activities can find it as long as it exists.
#[derive(Debug)]
pub(crate) struct DrainSource {
    number: u64,
    token: CancellationToken,
}

impl DrainSource {
    /// The name and value of the header from which an activity finds this worker's signal.
    pub(crate) fn header(&self) -> (String, Payload) {
        let payload = Payload { data: self.number.to_le_bytes().to_vec(), ..Default::default() };
        (HEADER.to_owned(), payload)
    }

    /// Gives the signal to all activities of the worker.
    pub(crate) fn begin(&self) {
        self.token.cancel();
    }
}

impl Default for DrainSource {
    fn default() -> Self {
        let source = Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            token: CancellationToken::new(),
        };
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
