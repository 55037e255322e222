//! The SDK workers that run in this process: one, or two while one replaces the other.
//!
//! The SDK's worker keeps a map entry of each activity for as long as it exists, so that a process
//! would grow by about 0.4 kB with each activity (docs/sdk.md). Therefore it is replaced after a
//! number of activities. The replacement polls before the old one stops, and the old one finishes
//! what it has in flight meanwhile.

use std::{convert::Infallible, future::pending, pin::pin, time::Duration};

use backon::{ConstantBuilder, Retryable};
use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    sdk_worker::{SdkWorker, SdkWorkerHandle},
    sdk_worker_factory::SdkWorkerFactory,
};
use crate::error::{Error, chain};

/// How long to wait, at least, until another try to create a replacement. A try fails, for example,
/// while the server is unreachable.
const PAUSE: Duration = Duration::from_secs(10);

/// An SDK worker that runs; it completes when that worker has ended.
type RunningSdkWorker = LocalBoxFuture<'static, Result<(), Error>>;

/// The SDK workers of this process.
pub(super) struct SdkWorkers {
    running: FuturesUnordered<RunningSdkWorker>,
    replacer: Replacer,
    drain: CancellationToken,
}

impl SdkWorkers {
    /// The first worker does nothing before [`run`](Self::run) is polled.
    pub(super) fn new(factory: SdkWorkerFactory, first: SdkWorker) -> Self {
        let drain = CancellationToken::new();
        let current = first.handle.clone();
        let running = FuturesUnordered::from_iter([first.run(drain.clone()).boxed_local()]);
        let replacer = Replacer { factory, current, drain: drain.clone() };
        Self { running, replacer, drain }
    }

    /// Runs the workers, and replaces the current one as often as needed. Completes only if one of
    /// them fails.
    pub(super) async fn run(&mut self) -> Error {
        let (start, mut started) = mpsc::unbounded_channel();
        let mut replacing = pin!(self.replacer.replace_repeatedly(start));
        loop {
            tokio::select! {
                Some(ended) = self.running.next() => if let Err(error) = ended { return error },
                Some(replacement) = started.recv() => self.running.push(replacement),
                never = &mut replacing => match never {},
            }
        }
    }

    /// Completes when all of them have ended their polls and finished what was in flight.
    ///
    /// # Errors
    /// The error of the first that fails.
    pub(super) async fn drain(&mut self) -> Result<(), Error> {
        self.drain.cancel();
        while let Some(ended) = self.running.next().await {
            ended?;
        }
        Ok(())
    }
}

/// Replaces the current SDK worker.
struct Replacer {
    factory: SdkWorkerFactory,
    current: SdkWorkerHandle,
    drain: CancellationToken,
}

impl Replacer {
    /// Replaces the current SDK worker after every `activities_per_sdk_worker` activities. Each
    /// replacement is sent to `start`, whose receiver has to run it.
    async fn replace_repeatedly(
        &mut self,
        start: mpsc::UnboundedSender<RunningSdkWorker>,
    ) -> Infallible {
        let Some(limit) = self.factory.activities_per_sdk_worker() else {
            return pending().await;
        };
        let role = self.factory.role;
        let pauses = ConstantBuilder::default().with_delay(PAUSE).without_max_times().with_jitter();
        loop {
            self.current.polls.until_activities_received(limit.get()).await;
            let replacement = (|| self.start_replacement(&start))
                .retry(pauses)
                .notify(|error, _| {
                    let error = chain(error);
                    warn!(%role, "could not create a replacement SDK worker, \
                                  keeping the current one: {error}");
                })
                .await;
            // There is no limit on the number of tries, so that this ends with a replacement.
            let Ok(replacement) = replacement else { continue };
            self.current.replaced.cancel();
            self.current = replacement;
            if let Some(metrics) = self.factory.telemetry.metrics() {
                metrics.count_replacement();
            }
            info!(%role, activities = limit, "replaced the SDK worker: the new one polls, \
                                              the old one finishes its work");
        }
    }

    /// Creates another SDK worker and sends it to `start`. Completes when it polls.
    async fn start_replacement(
        &self,
        start: &mpsc::UnboundedSender<RunningSdkWorker>,
    ) -> Result<SdkWorkerHandle, Error> {
        let worker = self.factory.create().await?;
        let handle = worker.handle.clone();
        let (failed, failure) = oneshot::channel();
        let run = worker.run(self.drain.clone());
        let polls = handle.polls.clone();
        let run = async move {
            match run.await {
                // The replacement never polled, so no task is lost with it, and the current worker continues.
                Err(error) if polls.until_polling().now_or_never().is_none() => {
                    let _ = failed.send(error);
                    Ok(())
                }
                ended => ended,
            }
        };
        let _ = start.send(run.boxed_local());
        tokio::select! {
            () = handle.polls.until_polling() => Ok(handle.clone()),
            Ok(error) = failure => Err(error),
        }
    }
}
