//! One of the SDK's workers, from its making to its end.
//!
//! A process has one, most of the time: what it is to others (its state, its metrics) is in
//! `worker.rs`. The SDK's worker keeps a map entry of each activity for as long as it lives, so that a
//! process would grow by some 0.4 kB an activity (docs/sdk.md). Hence it is relieved now and then: the
//! next one polls before it stops, and what it has in hand it finishes beside that.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    process,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::LocalBoxFuture};
use temporalio_client::Client;
use temporalio_sdk::{Worker, WorkerOptions, WorkerRunError};
use temporalio_sdk_core::FixedSizeSlotSupplier;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    options::{activity_task_queue, options, task_queue},
    polls::{Polls, Slots},
    sticky_queue::StickyQueue,
};
use crate::{
    config::{Config, role::Role},
    error::{Error, chain},
    fleet::Fleet,
    process::{identity::identity, state::Vitals},
    telemetry::{Telemetry, metrics::Metrics, replay},
    temporal::connection,
    user_code::routing::with_activity_task_queue,
};

/// The SDK's default for local activities, which have no setting of ours.
const LOCAL_ACTIVITY_SLOTS: usize = 100;

/// When to try again where a successor could not be made: the server is away, say.
const PAUSE: Duration = Duration::from_secs(10);

/// Makes the SDK's workers of this process, one after the other.
pub(crate) struct Maker {
    options: WorkerOptions,
    slots: Slots,
    config: Config,
    role: Role,
    telemetry: Telemetry,
}

impl Maker {
    pub(crate) fn new(
        fleet: &Fleet,
        config: &Config,
        role: Role,
        vitals: &Vitals,
        telemetry: &Telemetry,
    ) -> Result<Self, Error> {
        let mut options = options(fleet, config, role)?;
        options.activity_inbound_interceptor(vitals.interceptor(config.activity_grace));
        options.worker_interceptor(vitals.workflow_interceptor());
        options.workflow_interceptor(replay::interceptor());
        let slots = Slots {
            workflow_tasks: config.max_concurrent_workflow_tasks.get(),
            activities: Arc::new(FixedSizeSlotSupplier::new(
                config.max_concurrent_activities.get(),
            )),
            local_activities: LOCAL_ACTIVITY_SLOTS,
        };
        Ok(Self { options, slots, config: config.clone(), role, telemetry: telemetry.clone() })
    }

    /// Connects, and makes a worker. It has a connection of its own: one connection takes no two
    /// workers for the same queue, and its labels tell of one sticky queue.
    pub(crate) async fn make(&self) -> Result<SdkWorker, Error> {
        let Self { config, role, .. } = self;
        let identity = identity(role.as_str(), process::id());
        let sticky_queue = StickyQueue::of(&identity, task_queue(config, *role));
        let metrics = self.telemetry.metrics();
        let meter = sticky_queue.meter(metrics.map(Metrics::for_connection));
        let traces = self.telemetry.traces();
        let client = connection::connect_with_meter(
            &config.connect_settings(),
            role.as_str(),
            traces,
            Some(meter),
        )
        .await?;
        let telemetry = metrics.map(Metrics::for_runtime).unwrap_or_default();
        let (worker, polls) = Polls::of_new_worker(
            &client,
            self.options.clone(),
            self.slots.clone(),
            sticky_queue,
            telemetry,
        )?;
        Ok(SdkWorker {
            worker,
            client,
            polls: Arc::new(polls),
            relieved: CancellationToken::new(),
            activity_task_queue: activity_task_queue(config, *role).to_owned(),
            deadline: config.drain_timeout,
            role: *role,
        })
    }

    /// Has the worker at `post` relieved whenever it has had its number of activities. The lives of its
    /// successors go to `hired`, to be lived beside its own.
    pub(crate) async fn relieve(
        &self,
        mut post: Post,
        drain: &CancellationToken,
        hired: mpsc::UnboundedSender<Life>,
    ) -> Infallible {
        let Some(most) = self.config.activities_per_sdk_worker else { return pending().await };
        let role = self.role;
        loop {
            post.polls.activities_taken(most.get()).await;
            match self.successor(drain, &hired).await {
                Ok(next) => {
                    post.relieved.cancel();
                    post = next;
                    if let Some(metrics) = self.telemetry.metrics() {
                        metrics.count_replacement();
                    }
                    info!(%role, activities = most, "a new SDK worker polls, the old one is relieved");
                }
                Err(error) => {
                    let error = chain(&error);
                    warn!(%role, "no new SDK worker, so that the old one works on: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Makes another worker, and waits until it polls.
    async fn successor(
        &self,
        drain: &CancellationToken,
        hired: &mpsc::UnboundedSender<Life>,
    ) -> Result<Post, Error> {
        let worker = self.make().await?;
        let (post, life) = (worker.post(), worker.live(drain.clone()));
        let (failed, failure) = oneshot::channel();
        let polls = post.polls.clone();
        let life = async move {
            match life.await {
                // It has not polled, and is missed by nobody.
                Err(error) if polls.begun().now_or_never().is_none() => {
                    let _ = failed.send(error);
                    Ok(())
                }
                ended => ended,
            }
        };
        let _ = hired.send(life.boxed_local());
        tokio::select! {
            () = post.polls.begun() => Ok(post),
            Ok(error) = failure => Err(error),
        }
    }
}

/// A worker's life, to its end.
pub(crate) type Life = LocalBoxFuture<'static, Result<(), Error>>;

/// What there is to know of a worker that lives, and to do about it.
pub(crate) struct Post {
    polls: Arc<Polls>,
    relieved: CancellationToken,
}

/// One of the SDK's workers.
pub(crate) struct SdkWorker {
    worker: Worker,
    pub(crate) client: Client,
    polls: Arc<Polls>,
    relieved: CancellationToken,
    activity_task_queue: String,
    /// How long a drain may take.
    deadline: Duration,
    role: Role,
}

impl SdkWorker {
    pub(crate) fn post(&self) -> Post {
        Post { polls: self.polls.clone(), relieved: self.relieved.clone() }
    }

    /// Works until it is relieved or told to `drain`, and finishes what it has in hand: relieved, for as
    /// long as that takes. In a drain, activities that still run after [`Config::activity_grace`] are
    /// cancelled; that drain has no end of its own, since it waits for an activity that ignores its
    /// cancellation.
    ///
    /// # Errors
    /// [`Error::WorkerRun`] when it ended without being asked to.
    pub(crate) fn live(
        self,
        drain: CancellationToken,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        let Self { mut worker, client, polls, relieved, activity_task_queue, deadline, role } =
            self;
        let stop = worker.shutdown_handle();
        async move {
            let mut run = pin!(with_activity_task_queue(activity_task_queue, worker.run()));
            let leave = async {
                let relieved = async {
                    relieved.cancelled().await;
                    polls.leave_to_another(&client, deadline).await;
                    info!(%role, "the old SDK worker has nothing in hand, and ends");
                };
                tokio::select! {
                    () = relieved => {}
                    () = drain.cancelled() => polls.end(&client, deadline).await,
                }
            };
            tokio::select! {
                ended = &mut run => return Err(unasked(ended)),
                () = leave => {}
            }
            stop();
            tokio::select! {
                ended = &mut run => ended.map_err(Error::WorkerRun),
                () = polls.left_alone() => {
                    warn!(%role, "leaving with nothing in hand, which the server did not answer: a task that \
                                  one of the last polls still gets is retried elsewhere");
                    Ok(())
                }
            }
        }
    }
}

/// Nobody asked it to: a worker that polls no more must not pass for a good end.
fn unasked(ended: Result<(), WorkerRunError>) -> Error {
    match ended {
        Ok(()) => Error::Bug("the worker ended unasked".into()),
        Err(error) => Error::WorkerRun(error),
    }
}
