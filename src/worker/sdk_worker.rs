//! One of the SDK's workers, while it runs and until it has ended.

use std::{pin::pin, sync::Arc, time::Duration};

use temporalio_client::Client;
use temporalio_sdk::{Worker, WorkerRunError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::polls::Polls;
use crate::{
    config::role::Role,
    error::Error,
    user_code::routing::{Queues, with_task_queues},
};

/// One of the SDK's workers, connected, which does not poll yet.
pub(super) struct SdkWorker {
    pub(super) worker: Worker,
    pub(super) client: Client,
    pub(super) handle: SdkWorkerHandle,
    /// The queues to which its workflows may send their activities.
    pub(super) queues: Queues,
    pub(super) drain_timeout: Duration,
    pub(super) role: Role,
}

/// Watches an SDK worker that runs, and notifies it when it was replaced.
#[derive(Clone)]
pub(super) struct SdkWorkerHandle {
    pub(super) polls: Arc<Polls>,
    /// Cancelled when another SDK worker polls in this one's place.
    pub(super) replaced: CancellationToken,
}

impl SdkWorker {
    /// Works until it was replaced or `drain` is cancelled, then ends its polls, and finishes what is
    /// in flight. After a replacement, that may take any time. In a drain, activities that still run
    /// after [`Config::activity_grace`](crate::Config::activity_grace) are cancelled. The drain has
    /// no time limit here: it waits for an activity that ignores its cancellation.
    ///
    /// # Errors
    /// [`Error::WorkerRun`] if the worker failed, or [`Error::Bug`] if it ended without being stopped.
    pub(super) async fn run(mut self, drain: CancellationToken) -> Result<(), Error> {
        let stop = self.worker.shutdown_handle();
        let run = with_task_queues(self.queues, self.worker.run());
        let mut run = pin!(run);
        let polls = &self.handle.polls;
        let finished_after_replacement = async {
            self.handle.replaced.cancelled().await;
            polls.end_after_replacement(&self.client, self.drain_timeout).await;
            info!(role = %self.role, "the replaced SDK worker has finished its work and stops");
        };
        let polls_ended = async {
            tokio::select! {
                () = finished_after_replacement => {}
                // This also interrupts a replaced worker that still waits for its last polls.
                () = drain.cancelled() => polls.end(&self.client, self.drain_timeout).await,
            }
        };
        tokio::select! {
            ended = &mut run => return Err(unexpected_end(ended)),
            () = polls_ended => {}
        }
        stop();
        tokio::select! {
            ended = &mut run => ended.map_err(Error::WorkerRun),
            () = polls.until_idle() => {
                warn!(role = %self.role, "no work is left, but the server did not confirm the shutdown: \
                      exiting. If one of the last polls still receives a task, the server retries it on \
                      another worker");
                Ok(())
            }
        }
    }
}

/// The error of a worker that ended although nobody stopped it. Without work to do, a process must
/// not exit as if it had succeeded.
fn unexpected_end(ended: Result<(), WorkerRunError>) -> Error {
    match ended {
        Ok(()) => Error::Bug("the worker ended without being stopped".into()),
        Err(error) => Error::WorkerRun(error),
    }
}
