//! One process's worker: built from a fleet and its settings, run until it is told to stop,
//! drained before a deadline.

use std::{future::Future, pin::pin, process};

use temporalio_client::Client;
use temporalio_common::worker::{
    VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion,
};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    runtime::{
        AutoscalingOptions, PollerBehavior,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
    },
};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    client::{self, identity},
    config::{Config, Deployment, Pollers, Versioning, show},
    error::Error,
    fleet::Fleet,
    role::Role,
    routing::with_activity_task_queue,
};

/// The SDK's default for local activities, which have no setting of ours.
const LOCAL_ACTIVITY_SLOTS: usize = 100;

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
    worker: Worker,
    role: Role,
    config: Config,
    // Holds the SDK's telemetry: it has to live as long as the worker.
    _runtime: Runtime,
}

impl FleetWorker {
    /// Connects to Temporal, finds the namespace and creates the worker for `role`. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NothingRegistered`] and [`Error::Registration`] for a fleet that cannot serve the
    /// role; those of connecting (after [`Config::connect_timeout`]); [`Error::WorkerCreate`].
    pub async fn build(fleet: &Fleet, config: &Config, role: Role) -> Result<Self, Error> {
        let options = options(fleet, config, role)?;
        let client = client::connect(config, role.as_str()).await?;
        Self::with_client(client, options, config, role)
    }

    fn with_client(
        client: Client,
        options: WorkerOptions,
        config: &Config,
        role: Role,
    ) -> Result<Self, Error> {
        let runtime =
            Runtime::from_current_tokio(temporalio_sdk::runtime::RuntimeOptions::default())?;
        let worker = Worker::new(&runtime, client, options)?;
        Ok(Self { worker, role, config: config.clone(), _runtime: runtime })
    }

    /// Works until `shutdown` completes, then drains: polls stop, workflow tasks and activities in
    /// hand finish and report; activities that still run after [`Config::activity_grace`] are
    /// cancelled.
    ///
    /// # Errors
    /// [`Error::DrainDeadline`] when work was still in hand at [`Config::drain_timeout`];
    /// [`Error::WorkerRun`] when the worker ended without being asked to.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let stop_polling = self.worker.shutdown_handle();
        let task_queue = self.worker.task_queue().to_owned();
        let mut run = pin!(with_activity_task_queue(
            activity_task_queue(&self.config, self.role).to_owned(),
            self.worker.run(),
        ));
        info!(
            role = %self.role,
            task_queue,
            identity = identity(self.role.as_str(), process::id()),
            "worker starts polling"
        );
        tokio::select! {
            ended = &mut run => return match ended {
                Ok(()) => Ok(()),
                Err(error) => Err(Error::WorkerRun(error)),
            },
            () = shutdown => {}
        }
        let deadline = self.config.drain_timeout;
        info!(role = %self.role, deadline = show(deadline), "draining");
        stop_polling();
        // The SDK's own drain has no end: it waits for an activity that ignores its cancellation,
        // and it can hang when the server is away (https://github.com/temporalio/sdk-rust/issues/1297).
        match timeout(deadline, run).await {
            Ok(Ok(())) => {
                info!(role = %self.role, "drained");
                Ok(())
            }
            Ok(Err(error)) => Err(Error::WorkerRun(error)),
            Err(_) => {
                warn!(role = %self.role, "the drain deadline passed with work in hand");
                Err(Error::DrainDeadline { after: deadline })
            }
        }
    }
}

/// The task queue that a worker in `role` polls.
pub(crate) fn task_queue(config: &Config, role: Role) -> &str {
    match role {
        Role::WorkflowWorker | Role::Worker => &config.workflow_task_queue,
        Role::ActivityWorker => &config.activity_task_queue,
    }
}

/// Where the workflows of a worker in `role` send their activities.
fn activity_task_queue(config: &Config, role: Role) -> &str {
    match role {
        Role::WorkflowWorker | Role::ActivityWorker => &config.activity_task_queue,
        Role::Worker => &config.workflow_task_queue,
    }
}

/// The SDK's options for a worker in `role`. What is registered decides what the SDK polls.
fn options(fleet: &Fleet, config: &Config, role: Role) -> Result<WorkerOptions, Error> {
    let mut options = fleet.registered(role)?;
    task_queue(config, role).clone_into(&mut options.task_queue);
    options.max_cached_workflows = config.max_cached_workflows;
    options.graceful_shutdown_period = Some(config.activity_grace);
    options.tuner = TunerHolder::builder()
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(
            config.max_concurrent_workflow_tasks.get(),
        ))
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(
            config.max_concurrent_activities.get(),
        ))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(LOCAL_ACTIVITY_SLOTS))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1)) // never used: a fleet registers no Nexus service
        .build()
        .into();
    // Set explicitly: left unset, a namespace may switch the pollers to autoscaling by itself
    // (https://github.com/temporalio/sdk-rust/issues/1432).
    options.workflow_task_poller_behavior = Some(poller_behavior(config.workflow_task_pollers));
    options.activity_task_poller_behavior = Some(poller_behavior(config.activity_task_pollers));
    if let Some(deployment) = &config.deployment {
        options.deployment_options = deployment_options(deployment);
    }
    Ok(options)
}

fn poller_behavior(pollers: Pollers) -> PollerBehavior {
    match pollers {
        Pollers::Fixed(number) => PollerBehavior::SimpleMaximum(number.get()),
        // The figures with which the SDK itself scales (sdk-core 0.10.1, worker/mod.rs).
        Pollers::Auto => PollerBehavior::Autoscaling(
            AutoscalingOptions::builder().minimum(1).maximum(100).initial(5).build(),
        ),
    }
}

/// The SDK has no behaviour per workflow type: it is the worker's, for all of them.
fn deployment_options(deployment: &Deployment) -> WorkerDeploymentOptions {
    let version = WorkerDeploymentVersion::builder()
        .deployment_name(&deployment.name)
        .build_id(&deployment.build_id)
        .build();
    WorkerDeploymentOptions::new(version)
        .use_worker_versioning(true)
        .default_versioning_behavior(match deployment.behavior {
            Versioning::AutoUpgrade => VersioningBehavior::AutoUpgrade,
            Versioning::Pinned => VersioningBehavior::Pinned,
        })
        .build()
}
