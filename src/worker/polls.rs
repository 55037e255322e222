//! The polls of a worker, and how they end before it stops.
//!
//! A stop of the SDK loses tasks that come back with its last polls: it breaks the polls off, or,
//! where the server ends them, no longer listens once one activity poll came back empty, or once no
//! workflow task is in hand. Such a task then waits for its timeout
//! (<https://github.com/temporalio/sdk-rust/issues/1080>). So the polls end here, while the SDK
//! still works, and it is stopped when none is left:
//!
//! 1. No new poll: the SDK takes a slot before each, and gets none any more. Only the sticky queue is
//!    polled on: the server drops what lies on it when it hears that the worker is gone.
//! 2. Busy polls come back by themselves, until all is quiet for a while: what the server is just
//!    handing out when it ends the polls may be lost in the server.
//! 3. The server hears that the worker is gone, and ends the polls that are left.
//! 4. What they brought is taken up.
//!
//! A worker that another one in this process relieves has more time: its activity polls come back by
//! themselves, and what they bring is done, however long that takes.

use std::{fmt::Display, future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
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
    ActivitySlotKind, CoreRuntime, FixedSizeSlotSupplier, RuntimeOptions, SlotKind,
    SlotMarkUsedContext, SlotReleaseContext, SlotReservationContext, SlotSupplier,
    SlotSupplierPermit, TunerBuilder, Worker as CoreWorker, WorkflowSlotKind, init_worker,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tracing::debug;

use super::sticky_queue::StickyQueue;

/// For how long polls have to bring nothing: longer than a busy server takes from scheduling a task to
/// handing it out (90 % within 0.2 s on two cores that had no rest). A worker that has had nothing to
/// do for as long does not wait.
const QUIET: Duration = Duration::from_millis(200);
/// Workflows that never rest keep their sticky queue from being quiet.
const QUIET_PATIENCE: Duration = Duration::from_secs(1);
/// How long the server may take to end the polls. It answers within milliseconds, or not at all.
const PATIENCE: Duration = Duration::from_millis(700);
/// When to tell it again: servers up to 1.32 overlook a poll that arrives at the same moment
/// (<https://github.com/temporalio/temporal/pull/11841>).
const TELL_AGAIN: Duration = Duration::from_millis(100);
/// What a server that ends no polls is granted: those that bring tasks come back by themselves.
const UNAIDED: Duration = Duration::from_millis(100);

/// How many tasks of each kind a worker takes at once.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(crate) workflow_tasks: usize,
    /// Shared with the worker's successors in this process: together they run no more.
    pub(crate) activities: Arc<FixedSizeSlotSupplier<ActivitySlotKind>>,
    pub(crate) local_activities: usize,
}

/// A worker's polls.
pub(crate) struct Polls {
    core: Arc<CoreWorker>,
    sticky_queue: StickyQueue,
    workflow_tasks: Gate,
    activities: Gate,
    // Holds the SDK's telemetry: it has to live as long as the worker.
    _runtime: CoreRuntime,
}

impl Polls {
    /// Creates a worker of which the polls can be ended. This is what `Worker::new` does, but for the
    /// slots, which the SDK's options do not let be ours.
    pub(crate) fn of_new_worker(
        client: &Client,
        options: WorkerOptions,
        slots: Slots,
        sticky_queue: StickyQueue,
        telemetry: TelemetryOptions,
    ) -> Result<(Worker, Self), WorkerCreateError> {
        let failed = WorkerCreateError::Initialization;
        let mut config =
            options.to_core_options(client.namespace(), client.identity()).map_err(refused)?;
        let (workflow_tasks, activities) = (Gate::default(), Gate::default());
        let local_activities = FixedSizeSlotSupplier::new(slots.local_activities);
        let tuner = TunerBuilder::default()
            .workflow_slot_supplier(workflow_tasks.before::<WorkflowSlotKind>(Arc::new(
                FixedSizeSlotSupplier::new(slots.workflow_tasks),
            )))
            .activity_slot_supplier(activities.before(slots.activities))
            .local_activity_slot_supplier(Arc::new(local_activities))
            .build();
        config.tuner = Some(Arc::new(tuner));
        let runtime =
            RuntimeOptions::builder().telemetry_options(telemetry).build().map_err(refused)?;
        let runtime = CoreRuntime::new_assume_tokio(runtime).map_err(failed)?;
        let core = init_worker(&runtime, config, client.connection().clone()).map_err(failed)?;
        let core = Arc::new(core);
        let worker =
            Worker::new_from_core_options(core.clone(), client.options().clone(), options)?;
        Ok((worker, Self { core, sticky_queue, workflow_tasks, activities, _runtime: runtime }))
    }

    /// Ends the polls, as described above, while the worker runs. Takes a quarter of `deadline` for
    /// each step at most; what is not over then ends with the SDK.
    pub(crate) async fn end(&self, client: &Client, deadline: Duration) {
        let at_most = |patience: Duration| patience.min(deadline / 4);
        self.activities.narrow(Opening::Closed);
        self.workflow_tasks.narrow(Opening::Sticky);
        let quiet = join(self.activities.quiet(), self.workflow_tasks.quiet());
        let quiet = timeout(at_most(QUIET_PATIENCE), quiet).await;
        self.workflow_tasks.narrow(Opening::Closed);
        let ended = timeout(at_most(PATIENCE), async {
            if self.server_ends_them() {
                return self.have_them_ended(client).await;
            }
            // It does not end them, but puts no more tasks on the sticky queue.
            let told = self.tell(client).await;
            let _ = timeout(UNAIDED, self.none_left()).await;
            told
        })
        .await;
        let (workflow_tasks, activities) = (self.workflow_tasks.now(), self.activities.now());
        debug!(quiet = quiet.is_ok(), ?ended, ?workflow_tasks, ?activities, "ended the polls");
    }

    /// Ends the polls for a worker that another one relieves, while it runs, and completes when nothing
    /// is in hand any more. Activity polls come back by themselves, a minute later at most. Those for
    /// workflow tasks are ended, since the server has to hear that the sticky queue is gone.
    pub(crate) async fn leave_to_another(&self, client: &Client, deadline: Duration) {
        if self.core.get_config().task_types.enable_workflows {
            self.end(client, deadline).await;
        }
        self.activities.narrow(Opening::Closed);
        for gate in [&self.workflow_tasks, &self.activities] {
            gate.until(|it| it.polling == 0 && it.working == 0).await;
        }
    }

    /// Completes when the worker polls: the SDK has found the namespace then, and has its slots.
    pub(crate) async fn begun(&self) {
        let config = self.core.get_config();
        let kinds = [
            (config.task_types.enable_workflows, &self.workflow_tasks),
            (config.task_types.enable_remote_activities, &self.activities),
        ];
        for (polled, gate) in kinds {
            if polled {
                gate.until(|it| it.polling + it.working > 0).await;
            }
        }
    }

    /// Completes when the worker has been given so many activities.
    pub(crate) async fn activities_taken(&self, count: usize) {
        self.activities.until(|it| it.tasks >= count).await;
    }

    /// Completes when nothing has been in hand for a while, and all of it is reported. What a stopped
    /// SDK still waits for then is a server that is away: to end its polls, or to hear that it leaves
    /// (<https://github.com/temporalio/sdk-rust/issues/1297>).
    pub(crate) async fn left_alone(&self) {
        let gates = [&self.workflow_tasks, &self.activities];
        loop {
            for gate in gates {
                gate.until(|it| it.working == 0).await;
            }
            sleep(PATIENCE).await;
            if gates.iter().all(|gate| gate.now().working == 0) {
                return;
            }
        }
    }

    fn server_ends_them(&self) -> bool {
        self.core.get_namespace_capabilities().graceful_poll_shutdown()
    }

    async fn have_them_ended(&self, client: &Client) -> Result<(), Status> {
        loop {
            self.tell(client).await?;
            if timeout(TELL_AGAIN, self.none_left()).await.is_ok() {
                break;
            }
        }
        // The SDK has the last workflow tasks, but may not have looked at them yet.
        self.workflow_tasks.until(|it| it.working == 0).await;
        Ok(())
    }

    async fn none_left(&self) {
        self.workflow_tasks.until(|it| it.polling == 0).await;
        self.activities.until(|it| it.polling == 0).await;
    }

    /// Tells the server that this worker is gone, in the words of the SDK, which says it again.
    async fn tell(&self, client: &Client) -> Result<(), Status> {
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

/// Which polls may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
enum Opening {
    #[default]
    Open,
    Sticky,
    Closed,
}

/// What the slots of a kind are taken for.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    opening: Opening,
    /// Polls, under way or about to begin.
    polling: usize,
    /// Tasks.
    working: usize,
    /// How many polls have brought a task.
    tasks: usize,
    /// When the last poll brought a task.
    last_task: Option<Instant>,
}

/// Stands before the polls of a kind, and counts them.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<watch::Sender<Taken>>);

impl Gate {
    fn before<K: SlotKind + Send + Sync + 'static>(
        &self,
        slots: Arc<FixedSizeSlotSupplier<K>>,
    ) -> Arc<Gated<K>> {
        Arc::new(Gated { slots, gate: self.clone() })
    }

    /// Lets only these polls begin, or fewer where fewer may already: what is closed stays so.
    fn narrow(&self, opening: Opening) {
        self.0.send_modify(|it| {
            if opening > it.opening {
                it.opening = opening;
            }
        });
    }

    fn now(&self) -> Taken {
        *self.0.borrow()
    }

    /// Lets a poll begin, or not.
    fn begin(&self, sticky: bool) -> bool {
        self.0.send_if_modified(|it| {
            let may = match it.opening {
                Opening::Open => true,
                Opening::Sticky => sticky,
                Opening::Closed => false,
            };
            it.polling += usize::from(may);
            may
        })
    }

    async fn until(&self, condition: impl FnMut(&Taken) -> bool) {
        // It fails without a sender, and that is here.
        let _ = self.0.subscribe().wait_for(condition).await;
    }

    /// Completes when no poll is left, or none has brought a task for a while.
    async fn quiet(&self) {
        while let Some(last) = self.now().last_task
            && let Some(left) = QUIET.checked_sub(last.elapsed())
        {
            // Between two polls of the sticky queue there may be none either.
            let none_left = self.until(|it| it.polling == 0 && it.opening == Opening::Closed);
            if timeout(left, none_left).await.is_ok() {
                return;
            }
        }
    }
}

/// The SDK's slots behind a gate. It takes one before it polls, and gives it back when the poll
/// brought nothing, or the task that it brought is done and reported.
struct Gated<K> {
    slots: Arc<FixedSizeSlotSupplier<K>>,
    gate: Gate,
}

#[async_trait]
impl<K: SlotKind + Send + Sync> SlotSupplier for Gated<K> {
    type SlotKind = K;

    async fn reserve_slot(&self, ctx: &dyn SlotReservationContext) -> SlotSupplierPermit {
        let permit = self.slots.reserve_slot(ctx).await;
        if self.gate.begin(ctx.is_sticky()) {
            return permit;
        }
        // Another worker of this process may have it.
        drop(permit);
        // The SDK waits no longer when it stops.
        pending().await
    }

    fn try_reserve_slot(&self, ctx: &dyn SlotReservationContext) -> Option<SlotSupplierPermit> {
        let permit = self.slots.try_reserve_slot(ctx)?;
        self.gate.begin(ctx.is_sticky()).then_some(permit)
    }

    fn mark_slot_used(&self, _: &dyn SlotMarkUsedContext<SlotKind = K>) {
        self.gate.0.send_modify(|it| {
            it.polling -= 1;
            it.working += 1;
            it.tasks += 1;
            it.last_task = Some(Instant::now());
        });
    }

    fn release_slot(&self, ctx: &dyn SlotReleaseContext<SlotKind = K>) {
        self.gate.0.send_modify(|it| match ctx.info() {
            Some(_) => it.working -= 1,
            None => it.polling -= 1,
        });
    }

    fn available_slots(&self) -> Option<usize> {
        self.slots.available_slots()
    }

    fn slot_supplier_kind(&self) -> String {
        self.slots.slot_supplier_kind()
    }
}
