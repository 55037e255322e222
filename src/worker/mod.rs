//! One process's worker: built from a fleet and its settings, run until it is told to stop,
//! drained before a deadline.

pub(crate) mod options;
mod polls;
mod sdk_worker;
mod sticky_queue;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    pin::pin,
    process,
    time::{Duration, Instant, SystemTime},
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use temporalio_client::Client;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    options::task_queue,
    sdk_worker::{Maker, SdkWorker},
};
use crate::{
    config::{Config, role::Role, show},
    error::Error,
    fleet::Fleet,
    process::{
        identity::identity,
        state::{State, Vitals},
    },
    telemetry::{
        FLUSH_TIMEOUT, Telemetry,
        metrics::{DrainOutcome, Metrics},
    },
    temporal::{
        connection::TRY_TIMEOUT,
        task_queue::{self, TaskKind},
    },
};

/// A worker of the fleet, connected and ready to poll.
///
/// `fleet worker` is this plus signals. To embed a worker in a program of your own:
///
/// ```no_run
/// # async fn embed(fleet: temporal_fleet::Fleet) -> Result<(), Box<dyn std::error::Error>> {
/// use temporal_fleet::{Environment, FleetWorker, Role, Shutdown};
///
/// let shutdown = Shutdown::install()?;
/// let config = fleet.config(Environment::capture())?;
/// let worker = FleetWorker::build(&fleet, &config, Role::ActivityWorker).await?;
/// worker.run(shutdown.requested()).await?;
/// # Ok(())
/// # }
/// ```
///
/// Its future is not `Send`, since workflow code runs inside it: await it in `main`, under
/// `block_on` or in a `LocalSet`, and spawn everything else.
pub struct FleetWorker {
    first: Box<SdkWorker>,
    /// Of those that relieve it.
    maker: Box<Maker>,
    client: Client,
    identity: String,
    /// When the server last saw this identity before this worker polled: another process's polls.
    polled_before: Option<SystemTime>,
    role: Role,
    config: Config,
    vitals: Vitals,
    telemetry: Telemetry,
    /// Whether it flushes the telemetry when it ends, because nobody else does.
    flushes: bool,
}

impl fmt::Debug for FleetWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetWorker")
            .field("role", &self.role)
            .field("identity", &self.identity)
            .field("vitals", &self.vitals)
            .finish_non_exhaustive()
    }
}

impl FleetWorker {
    /// Connects to Temporal, finds the namespace and creates the worker for `role`. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NothingRegistered`] and [`Error::Registration`] for a fleet that cannot serve the
    /// role; those of connecting (after [`Config::connect_timeout`]); [`Error::WorkerCreate`].
    pub async fn build(fleet: &Fleet, config: &Config, role: Role) -> Result<Self, Error> {
        let telemetry = fleet.traces_only(config, role.as_str())?;
        let worker = Self::build_with(fleet, config, role, Vitals::default(), telemetry).await?;
        Ok(Self { flushes: true, ..worker })
    }

    /// [`build`](Self::build), for someone who watches the worker from before it connects.
    pub(crate) async fn build_with(
        fleet: &Fleet,
        config: &Config,
        role: Role,
        vitals: Vitals,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let maker = Box::new(Maker::new(fleet, config, role, &vitals, &telemetry)?);
        let first = Box::new(Box::pin(maker.make()).await?);
        let client = first.client.clone();
        let identity = identity(role.as_str(), process::id());
        let polled_before = last_poll(&client, task_queue(config, role), role, &identity).await;
        let config = config.clone();
        Ok(Self {
            first,
            maker,
            client,
            identity,
            polled_before,
            role,
            config,
            vitals,
            telemetry,
            flushes: false,
        })
    }

    /// Where the worker is in its life, now and as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.vitals.state()
    }

    /// Works until `shutdown` completes, then drains: polls end, workflow tasks and activities in
    /// hand finish and report; activities that still run after [`Config::activity_grace`] are
    /// cancelled.
    ///
    /// # Errors
    /// [`Error::DrainDeadline`] when work was still in hand at [`Config::drain_timeout`];
    /// [`Error::WorkerRun`] when the worker ended without being asked to.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let telemetry = self.flushes.then(|| self.telemetry.clone());
        let ended = self.work(shutdown).await;
        if let Some(telemetry) = telemetry {
            telemetry.flush(FLUSH_TIMEOUT).await;
        }
        ended
    }

    async fn work(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let (role, vitals, deadline) = (self.role, self.vitals, self.config.drain_timeout);
        let identity = self.identity;
        let task_queue = task_queue(&self.config, role);
        let drain = CancellationToken::new();
        let (hire, mut hired) = mpsc::unbounded_channel();
        info!(%role, task_queue, identity, "worker starts polling");
        let mut relieving = pin!(self.maker.relieve(self.first.post(), &drain, hire));
        let first = self.first.live(drain.clone()).boxed_local();
        // One, but while another relieves it.
        let mut workers = FuturesUnordered::from_iter([first]);
        let mut confirmed =
            pin!(polls(&self.client, task_queue, role, &identity, self.polled_before).fuse());
        let mut backlog =
            pin!(watch_backlog(&self.client, task_queue, role, self.telemetry.metrics()));
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                Some(ended) = workers.next() => ended?,
                Some(successor) = hired.recv() => workers.push(successor),
                never = &mut relieving => match never {},
                () = &mut confirmed => {
                    vitals.advance(State::Ready);
                    info!(%role, "ready: the server lists this worker as a poller");
                }
                never = &mut backlog => match never {},
                () = &mut shutdown => break,
            }
        }
        vitals.advance(State::Draining);
        let (workflow_tasks, activities) =
            (vitals.workflow_tasks_in_hand(), vitals.activities_in_hand());
        info!(%role, workflow_tasks, activities, deadline = show(deadline), "draining");
        let begun = Instant::now();
        let count = |took, outcome| {
            if let Some(metrics) = self.telemetry.metrics() {
                metrics.record_drain(took, outcome);
            }
        };
        drain.cancel();
        let drained = async {
            while let Some(ended) = workers.next().await {
                ended?;
            }
            Ok(())
        };
        match timeout(deadline, drained).await {
            Ok(Ok(())) => {
                let took = begun.elapsed();
                info!(%role, ?took, "drained");
                count(took, DrainOutcome::Done);
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let (workflow_tasks, activities) =
                    (vitals.workflow_tasks_in_hand(), vitals.activities_in_hand());
                warn!(%role, workflow_tasks, activities, "the drain deadline passed with work in hand");
                count(begun.elapsed(), DrainOutcome::Deadline);
                Err(Error::DrainDeadline { after: deadline })
            }
        }
    }
}

/// When the server last saw a poll of `identity` on the queue, if it remembers one.
async fn last_poll(client: &Client, queue: &str, role: Role, identity: &str) -> Option<SystemTime> {
    let question = task_queue::pollers(client, queue, TaskKind::of(role));
    // A question that got lost must not keep the next from being asked.
    let pollers = timeout(TRY_TIMEOUT, question).await.ok()?.ok()?;
    pollers.into_iter().find(|poller| poller.identity == identity)?.last_access
}

/// Completes when the server has seen a poll of `identity` later than `before`. The SDK's own count
/// of pollers does not tell: it goes up before a poll has left. And in a restarted container a worker
/// has the identity of its predecessor: hence `before`, which like the answer is the server's clock.
async fn polls(
    client: &Client,
    queue: &str,
    role: Role,
    identity: &str,
    before: Option<SystemTime>,
) {
    const FIRST_PAUSE: Duration = Duration::from_millis(20);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    let mut pause = FIRST_PAUSE;
    // A server that does not answer confirms nothing; it is asked again.
    while last_poll(client, queue, role, identity).await <= before {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks the server now and then what waits in the worker's queue, for the metrics.
async fn watch_backlog(
    client: &Client,
    queue: &str,
    role: Role,
    metrics: Option<&Metrics>,
) -> Infallible {
    /// As often as Prometheus usually asks.
    const PERIOD: Duration = Duration::from_secs(15);
    let Some(metrics) = metrics else { return pending().await };
    loop {
        for kind in TaskKind::all_of(role) {
            // A server that is away tells nothing; that is told elsewhere.
            let backlog = timeout(TRY_TIMEOUT, task_queue::backlog(client, queue, kind));
            if let Ok(Ok(backlog)) = backlog.await {
                metrics.record_backlog(queue, kind.as_str(), backlog.tasks, backlog.oldest);
            }
        }
        sleep(PERIOD).await;
    }
}
