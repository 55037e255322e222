//! [`FleetWorker`]: the worker of this process.

use std::{
    fmt,
    future::Future,
    process,
    time::{Duration, Instant},
};

use temporalio_client::{Client, NamespacedClient};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use super::{
    backlog::record_backlog,
    presence,
    readiness::{Evidence, ListedPoller},
    sdk_worker_factory::SdkWorkerFactory,
    sdk_workers::SdkWorkers,
};
use crate::{
    config::{Config, role::Role, show},
    error::Error,
    fleet::Fleet,
    process::{
        identity::identity,
        state::{State, Vitals},
    },
    telemetry::{FLUSH_TIMEOUT, Telemetry, metrics::DrainOutcome},
    temporal::{outage, target::Target},
};

/// A worker of the fleet, connected and ready to poll.
///
/// `fleet worker` runs one and stops it at SIGTERM. To embed a worker in a program of your own:
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
/// Its future is not `Send`, because workflow code runs inside it. Await it in `main`, under
/// `block_on` or in a `LocalSet`, and spawn everything else.
pub struct FleetWorker {
    sdk_workers: Box<SdkWorkers>,
    listed: ListedPoller,
    client: Client,
    /// The server's address, for the log.
    address: String,
    task_queue: String,
    identity: String,
    role: Role,
    drain_timeout: Duration,
    vitals: Vitals,
    telemetry: Telemetry,
    /// Whether the worker flushes its telemetry at the end, because it started the telemetry itself.
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
    /// Connects to Temporal, checks the namespace and creates the worker for `role`. It must be
    /// called inside a tokio runtime. The worker does not poll before [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::NothingRegistered`] and [`Error::Registration`] if `fleet` cannot serve `role`; the
    /// errors of connecting, after [`Config::connect_timeout`] at the latest; [`Error::WorkerCreate`].
    pub async fn build(fleet: &Fleet, config: &Config, role: Role) -> Result<Self, Error> {
        let telemetry = fleet.traces_only(config, role.as_str())?;
        let worker = Self::build_with(fleet, config, role, Vitals::default(), telemetry).await?;
        Ok(Self { flushes: true, ..worker })
    }

    /// Does the same as [`build`](Self::build), with `vitals` that the caller can watch from before
    /// the worker connects.
    pub(crate) async fn build_with(
        fleet: &Fleet,
        config: &Config,
        role: Role,
        vitals: Vitals,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let factory = SdkWorkerFactory::new(fleet, config, role, &vitals, &telemetry)?;
        let first = Box::pin(factory.create()).await?;
        let client = first.client.clone();
        let identity = identity(config.group_or(role), process::id());
        let task_queue = config.task_queue(role).to_owned();
        let listed = ListedPoller::new(client.clone(), &task_queue, role, &identity).await;
        Ok(Self {
            sdk_workers: Box::new(SdkWorkers::new(factory, first)),
            listed,
            client,
            address: Target::of(&config.connect_settings())?.address,
            task_queue,
            identity,
            role,
            drain_timeout: config.drain_timeout,
            vitals,
            telemetry,
            flushes: false,
        })
    }

    /// The worker's state, now and as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.vitals.state()
    }

    /// Works until `shutdown` completes, then drains: polls end, and workflow tasks and activities in
    /// flight finish and report their results. Activities that still run after
    /// [`Config::activity_grace`] are cancelled.
    ///
    /// # Errors
    /// [`Error::DrainDeadline`] if work was still in flight after [`Config::drain_timeout`];
    /// [`Error::WorkerRun`] if the worker failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let to_flush = self.flushes.then(|| self.telemetry.clone());
        let ended = self.work_and_drain(shutdown).await;
        if let Some(telemetry) = to_flush {
            telemetry.flush(FLUSH_TIMEOUT).await;
        }
        ended
    }

    async fn work_and_drain(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let watch = outage::watch(&self.client, &self.address);
        self.work_until(shutdown, &watch).await?;
        self.drain().await
    }

    async fn work_until(
        &mut self,
        shutdown: impl Future<Output = ()>,
        watch: &outage::Watch,
    ) -> Result<(), Error> {
        let Self { sdk_workers, listed, client, task_queue, identity, vitals, telemetry, .. } =
            self;
        let role = self.role;
        info!(%role, task_queue, identity, "worker starts polling");
        let become_ready = async {
            let evidence = listed.confirmed(vitals.polls()).await;
            vitals.advance(State::Ready);
            match evidence {
                Evidence::Listed => info!(%role, "ready: the server lists this worker as a poller"),
                Evidence::Polls => info!(%role, "ready: the server accepts this worker's polls"),
            }
            presence::follow(&client.namespace(), task_queue, vitals, watch.presence()).await
        };
        tokio::select! {
            error = sdk_workers.run() => Err(error),
            never = become_ready => match never {},
            never = record_backlog(client, task_queue, role, telemetry.metrics()) => match never {},
            () = shutdown => Ok(()),
        }
    }

    async fn drain(&mut self) -> Result<(), Error> {
        let (role, vitals, deadline) = (self.role, &self.vitals, self.drain_timeout);
        vitals.advance(State::Draining);
        let (workflow_tasks, activities) =
            (vitals.workflow_tasks_in_flight(), vitals.activities_in_flight());
        info!(%role, workflow_tasks, activities, deadline = show(deadline), "draining");
        let start = Instant::now();
        let in_time = timeout(deadline, self.sdk_workers.drain()).await;
        let took = start.elapsed();
        let (outcome, result) = match in_time {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) => {
                info!(%role, ?took, "drained");
                (DrainOutcome::Done, Ok(()))
            }
            Err(_) => {
                let (workflow_tasks, activities) =
                    (vitals.workflow_tasks_in_flight(), vitals.activities_in_flight());
                warn!(%role, workflow_tasks, activities, "the drain deadline passed with work in flight");
                (DrainOutcome::Deadline, Err(Error::DrainDeadline { after: deadline }))
            }
        };
        if let Some(metrics) = self.telemetry.metrics() {
            metrics.record_drain(took, outcome);
        }
        result
    }
}
