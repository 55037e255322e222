//! Creates the SDK workers of this process.

use std::{num::NonZeroUsize, process, sync::Arc};

use temporalio_sdk::WorkerOptions;
use temporalio_sdk_core::FixedSizeSlotSupplier;
use tokio_util::sync::CancellationToken;

use super::{
    chosen_activities::ChosenActivities,
    input_errors::InputErrors,
    options::{options, queues},
    polls::{Polls, Slots},
    sdk_worker::{SdkWorker, SdkWorkerHandle},
    sticky_queue::StickyQueue,
};
use crate::{
    config::{Config, role::Role},
    error::Error,
    fleet::Fleet,
    process::{identity::identity, poll_log::PollLogs, state::Vitals},
    telemetry::{Telemetry, metrics::Metrics, replay},
    temporal::connection,
};

/// The number of slots for local activities: the SDK's own default, for which the fleet has no setting.
const LOCAL_ACTIVITY_SLOTS: usize = 100;

/// Creates SDK workers that are all alike: they have the same options, and share their activity slots.
pub(super) struct SdkWorkerFactory {
    options: WorkerOptions,
    slots: Slots,
    poll_logs: PollLogs,
    config: Config,
    pub(super) role: Role,
    pub(super) telemetry: Telemetry,
}

impl SdkWorkerFactory {
    /// # Errors
    /// [`Error::NothingRegistered`] and [`Error::Registration`] if `fleet` cannot serve `role`.
    pub(super) fn new(
        fleet: &Fleet,
        config: &Config,
        role: Role,
        vitals: &Vitals,
        telemetry: &Telemetry,
    ) -> Result<Self, Error> {
        let mut options = options(fleet, config, role)?;
        if let Some(chosen) = &config.activities {
            options.activity_inbound_interceptor(ChosenActivities(chosen.clone()));
        }
        options.activity_inbound_interceptor(vitals.interceptor(config.activity_grace));
        options.worker_interceptor(vitals.workflow_interceptor());
        options.worker_interceptor(InputErrors::new(fleet.input_checks()));
        options.workflow_interceptor(vitals.code_interceptor());
        options.workflow_interceptor(replay::interceptor());
        let slots = Slots {
            workflow_tasks: config.max_concurrent_workflow_tasks.get(),
            activities: Arc::new(FixedSizeSlotSupplier::new(
                config.max_concurrent_activities.get(),
            )),
            local_activities: LOCAL_ACTIVITY_SLOTS,
        };
        let poll_logs = vitals.polls().clone();
        Ok(Self {
            options,
            slots,
            poll_logs,
            config: config.clone(),
            role,
            telemetry: telemetry.clone(),
        })
    }

    /// The number of activities after which an SDK worker is replaced; `None` to keep it forever.
    pub(super) fn activities_per_sdk_worker(&self) -> Option<NonZeroUsize> {
        self.config.activities_per_sdk_worker
    }

    /// Connects and creates a worker. Each worker has a connection of its own, because a connection
    /// does not accept two workers for the same queue, and because the labels of a connection's
    /// metrics then name only one sticky queue.
    ///
    /// # Errors
    /// Those of connecting, and [`Error::WorkerCreate`].
    pub(super) async fn create(&self) -> Result<SdkWorker, Error> {
        let Self { config, role, .. } = self;
        let identity = identity(config.group_or(*role), process::id());
        let sticky_queue = StickyQueue::of(&identity, config.task_queue(*role));
        let (metrics, traces) = (self.telemetry.metrics(), self.telemetry.traces());
        let meter = sticky_queue.meter(metrics.map(Metrics::for_connection));
        let settings = config.connect_settings();
        let client =
            connection::connect_worker(&settings, config.group_or(*role), traces, meter).await?;
        let telemetry = metrics.map(Metrics::for_runtime).unwrap_or_default();
        let (worker, polls) = Polls::create_worker(
            &client,
            self.options.clone(),
            self.slots.clone(),
            sticky_queue,
            &self.poll_logs,
            telemetry,
        )?;
        Ok(SdkWorker {
            worker,
            client,
            handle: SdkWorkerHandle { polls: Arc::new(polls), replaced: CancellationToken::new() },
            queues: queues(config, *role),
            drain_timeout: config.drain_timeout,
            role: *role,
        })
    }
}
