//! The polls of an SDK worker, and how they end before the worker stops.
//!
//! When the SDK stops, it loses tasks that its last polls bring. Either it cuts the polls off, or, if
//! the server ends them, it stops listening as soon as one activity poll came back empty, or as soon
//! as no workflow task is in flight. A lost task waits for its timeout
//! (<https://github.com/temporalio/sdk-rust/issues/1080>). Therefore the polls end here, while the
//! SDK still works, and the SDK is stopped when none is left:
//!
//! 1. No new poll begins: the SDK takes a slot before each poll, and gets no slot any more. Only the
//!    sticky queue is still polled, because the server drops the tasks on it when it learns that the
//!    worker is gone.
//! 2. Polls that bring tasks return by themselves. The worker waits until they have brought nothing
//!    for a while, because a task that the server hands out at the moment when it ends the polls can
//!    get lost in the server.
//! 3. The server is notified that the worker is gone, and ends the remaining polls.
//! 4. The worker runs the tasks that these polls brought.
//!
//! A worker that was replaced by another one in this process has more time: its activity polls return
//! by themselves, and it finishes the tasks that they bring, however long that takes.

use std::{fmt::Display, sync::Arc, time::Duration};

use futures::future::join;
use temporalio_client::{
    Client, NamespacedClient, RetryOptions,
    grpc::WorkflowService,
    request_extensions::RetryConfigForCall,
    tonic::{IntoRequest, Status},
};
use temporalio_common::{
    protos::temporal::api::{enums::v1::TaskQueueType, workflowservice::v1::ShutdownWorkerRequest},
    telemetry::TelemetryOptions,
};
use temporalio_sdk::{Worker, WorkerCreateError, WorkerOptions};
use temporalio_sdk_core::{
    ActivitySlotKind, CoreRuntime, FixedSizeSlotSupplier, RuntimeOptions, TunerBuilder,
    TunerHolder, Worker as CoreWorker, WorkflowSlotKind, init_worker,
};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{
    poll_gate::{AllowedPolls, GatedSlots, PollGate},
    sticky_queue::StickyQueue,
};
use crate::process::{host::memory_is_known, poll_log::PollLogs};

/// For how long the polls have to bring nothing. It is longer than a busy server takes from
/// scheduling a task to delivering it (90 % within 0.2 s on two cores under full load). A worker that
/// has received nothing for this long does not wait.
const QUIET_TIME: Duration = Duration::from_millis(200);
/// How long to wait for that. Workflows that are never idle keep their sticky queue from being quiet.
const QUIET_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the server may take to end the polls. It answers within milliseconds, or not at all.
const SERVER_TIMEOUT: Duration = Duration::from_millis(700);
/// When to notify the server again that the worker is gone, if polls are still open. Servers up to 1.32
/// overlook a poll that arrives at the same moment (<https://github.com/temporalio/temporal/pull/11841>).
const NOTIFY_SERVER_AGAIN: Duration = Duration::from_millis(100);
/// How long to wait for open polls if the server does not end them. Those that bring tasks return by
/// themselves.
const WITHOUT_SERVER: Duration = Duration::from_millis(100);
/// For how long nothing may be in flight before a stopped worker counts as idle.
const IDLE_TIME: Duration = Duration::from_millis(700);

/// How often a worker sends the server a heartbeat, which holds the machine's use of memory and CPU. Where
/// these cannot be read the SDK panics, so such a worker sends none. Nothing else needs them.
fn heartbeat_interval() -> Option<Duration> {
    /// The SDK's own default.
    const INTERVAL: Duration = Duration::from_mins(1);
    if memory_is_known() {
        return Some(INTERVAL);
    }
    warn!(
        "the size of the memory cannot be read (/proc/meminfo): this worker sends no worker heartbeats, and \
         works without them"
    );
    None
}

/// How many tasks of each kind a worker runs at the same time.
#[derive(Clone)]
pub(super) struct Slots {
    pub(super) workflow_tasks: usize,
    /// All SDK workers of this process share these, so that they never run more together.
    pub(super) activities: Arc<FixedSizeSlotSupplier<ActivitySlotKind>>,
    pub(super) local_activities: usize,
}

/// The polls of one SDK worker.
pub(super) struct Polls {
    core: Arc<CoreWorker>,
    sticky_queue: StickyQueue,
    workflow_tasks: PollGate,
    activities: PollGate,
    // The runtime holds the SDK's telemetry, which must live as long as the worker.
    _runtime: CoreRuntime,
}

impl Polls {
    /// Creates an SDK worker, and its polls, which can be ended. It does what `Worker::new` does,
    /// with slots of our own, which the SDK's options do not accept. The polls are recorded in `logs`.
    ///
    /// # Errors
    /// [`WorkerCreateError`] if the SDK refuses the options.
    pub(super) fn create_worker(
        client: &Client,
        options: WorkerOptions,
        slots: Slots,
        sticky_queue: StickyQueue,
        logs: &PollLogs,
        telemetry: TelemetryOptions,
    ) -> Result<(Worker, Self), WorkerCreateError> {
        let failed = WorkerCreateError::Initialization;
        let (workflow_tasks, activities) =
            (PollGate::new(logs.workflow_tasks.clone()), PollGate::new(logs.activities.clone()));
        let mut config =
            options.to_core_options(client.namespace(), client.identity()).map_err(refused)?;
        config.tuner = Some(Arc::new(tuner(slots, &workflow_tasks, &activities)));
        let runtime = RuntimeOptions::builder()
            .telemetry_options(telemetry)
            .heartbeat_interval(heartbeat_interval())
            .build()
            .map_err(refused)?;
        let runtime = CoreRuntime::new_assume_tokio(runtime).map_err(failed)?;
        let core = init_worker(&runtime, config, client.connection().clone()).map_err(failed)?;
        let core = Arc::new(core);
        let worker =
            Worker::new_from_core_options(core.clone(), client.options().clone(), options)?;
        Ok((worker, Self { core, sticky_queue, workflow_tasks, activities, _runtime: runtime }))
    }

    /// Completes when the worker polls. By then, the SDK has found the namespace and has taken slots.
    pub(super) async fn until_polling(&self) {
        let task_types = self.core.get_config().task_types;
        let gates = [
            (task_types.enable_workflows, &self.workflow_tasks),
            (task_types.enable_remote_activities, &self.activities),
        ];
        for (polled, gate) in gates {
            if polled {
                gate.until(|slots| slots.polls + slots.tasks > 0).await;
            }
        }
    }

    /// Completes when the worker has received `count` activities.
    pub(super) async fn until_activities_received(&self, count: usize) {
        self.activities.until(|slots| slots.tasks_received >= count).await;
    }

    /// Completes when nothing has been in flight for a while, and everything is reported. If a
    /// stopped SDK worker still waits then, it waits for a server that is unreachable: to end its polls, or
    /// to learn that the worker leaves (<https://github.com/temporalio/sdk-rust/issues/1297>).
    pub(super) async fn until_idle(&self) {
        let gates = [&self.workflow_tasks, &self.activities];
        loop {
            for gate in gates {
                gate.until(|slots| slots.tasks == 0).await;
            }
            sleep(IDLE_TIME).await;
            if gates.iter().all(|gate| gate.slot_use().tasks == 0) {
                return;
            }
        }
    }

    /// Ends the polls in the order that the module's documentation gives, while the worker runs. Each
    /// step takes at most a quarter of `drain_timeout`; polls that are still open after it are left
    /// to the SDK.
    pub(super) async fn end(&self, client: &Client, drain_timeout: Duration) {
        let at_most = |limit: Duration| limit.min(drain_timeout / 4);
        self.activities.restrict_to(AllowedPolls::None);
        self.workflow_tasks.restrict_to(AllowedPolls::Sticky);
        let quiet = join(
            self.activities.until_quiet(QUIET_TIME),
            self.workflow_tasks.until_quiet(QUIET_TIME),
        );
        let quiet = timeout(at_most(QUIET_TIMEOUT), quiet).await;
        self.workflow_tasks.restrict_to(AllowedPolls::None);
        let ended = timeout(at_most(SERVER_TIMEOUT), self.end_open_polls(client)).await;
        let (workflow_tasks, activities) =
            (self.workflow_tasks.slot_use(), self.activities.slot_use());
        debug!(quiet = quiet.is_ok(), ?ended, ?workflow_tasks, ?activities, "ended the polls");
    }

    /// Ends the polls of a worker that was replaced, while it runs, and completes when nothing is in
    /// flight any more. Activity polls return by themselves, after a minute at most. Polls for
    /// workflow tasks are ended, because the server has to learn that the sticky queue is gone.
    pub(super) async fn end_after_replacement(&self, client: &Client, drain_timeout: Duration) {
        if self.core.get_config().task_types.enable_workflows {
            self.end(client, drain_timeout).await;
        }
        self.activities.restrict_to(AllowedPolls::None);
        for gate in [&self.workflow_tasks, &self.activities] {
            gate.until(|slots| slots.polls == 0 && slots.tasks == 0).await;
        }
    }

    /// Ends the polls that are open, with the server's help if it supports that.
    async fn end_open_polls(&self, client: &Client) -> Result<(), Status> {
        if !self.core.get_namespace_capabilities().graceful_poll_shutdown() {
            // The server does not end polls, but it stops adding tasks to the sticky queue.
            let notified = self.notify_server(client).await;
            let _ = timeout(WITHOUT_SERVER, self.until_none_open()).await;
            return notified;
        }
        loop {
            self.notify_server(client).await?;
            if timeout(NOTIFY_SERVER_AGAIN, self.until_none_open()).await.is_ok() {
                break;
            }
        }
        // The SDK has received the last workflow tasks, but it may not have looked at them yet.
        self.workflow_tasks.until(|slots| slots.tasks == 0).await;
        Ok(())
    }

    async fn until_none_open(&self) {
        self.workflow_tasks.until(|slots| slots.polls == 0).await;
        self.activities.until(|slots| slots.polls == 0).await;
    }

    /// Notifies the server that this worker is gone, with the request that the SDK sends once more when
    /// it stops.
    async fn notify_server(&self, client: &Client) -> Result<(), Status> {
        let config = self.core.get_config();
        let workflows = config.task_types.enable_workflows.then_some(TaskQueueType::Workflow);
        let activities =
            config.task_types.enable_remote_activities.then_some(TaskQueueType::Activity);
        let mut request = ShutdownWorkerRequest {
            namespace: client.namespace(),
            identity: client.identity(),
            sticky_task_queue: self.sticky_queue.name(),
            reason: "graceful shutdown".into(),
            worker_instance_key: self.core.worker_instance_key().to_string(),
            task_queue: config.task_queue.clone(),
            task_queue_types: workflows.into_iter().chain(activities).map(Into::into).collect(),
            ..Default::default()
        }
        .into_request();
        request.extensions_mut().insert(RetryConfigForCall(RetryOptions::no_retries()));
        client.clone().shutdown_worker(request).await.map(drop)
    }
}

fn refused(error: impl Display) -> WorkerCreateError {
    WorkerCreateError::Initialization(anyhow::anyhow!("{error}"))
}

fn tuner(slots: Slots, workflow_tasks: &PollGate, activities: &PollGate) -> TunerHolder {
    let gate = workflow_tasks.clone();
    let workflow_slots =
        Arc::new(FixedSizeSlotSupplier::<WorkflowSlotKind>::new(slots.workflow_tasks));
    let workflow_slots = GatedSlots { gate, slots: workflow_slots };
    let activity_slots = GatedSlots { gate: activities.clone(), slots: slots.activities };
    let local_activity_slots = FixedSizeSlotSupplier::new(slots.local_activities);
    TunerBuilder::default()
        .workflow_slot_supplier(Arc::new(workflow_slots))
        .activity_slot_supplier(Arc::new(activity_slots))
        .local_activity_slot_supplier(Arc::new(local_activity_slots))
        .build()
}
