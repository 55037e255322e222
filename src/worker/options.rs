//! The SDK's options for a worker, and where its workflows send activities.

use temporalio_common::worker::{
    VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion,
};
use temporalio_sdk::{
    WorkerOptions,
    runtime::{AutoscalingOptions, PollerBehavior},
};

use crate::{
    config::{Config, Deployment, Pollers, Rate, TaskQueues, Versioning, role::Role},
    error::Error,
    fleet::Fleet,
    user_code::routing::Queues,
};

/// The task queues to which the workflows of a worker in `role` may send their activities.
pub(super) fn queues(config: &Config, role: Role) -> Queues {
    let activities = match role {
        Role::WorkflowWorker | Role::ActivityWorker => &config.activity_task_queue,
        Role::Worker => &config.workflow_task_queue,
    };
    let groups = config.task_queues.as_ref().map(TaskQueues::to_map).unwrap_or_default();
    Queues { activities: activities.clone(), groups }
}

/// The SDK's options for a worker in `role`. The SDK polls for what is registered in them.
///
/// # Errors
/// [`Error::NothingRegistered`] and [`Error::Registration`] if `fleet` cannot serve `role`.
pub(crate) fn options(fleet: &Fleet, config: &Config, role: Role) -> Result<WorkerOptions, Error> {
    let mut options = fleet.registered(role, config.workflows.as_ref())?;
    config.task_queue(role).clone_into(&mut options.task_queue);
    options.max_worker_activities_per_second =
        config.max_activities_per_second.map(Rate::per_second);
    options.max_task_queue_activities_per_second =
        config.task_queue_activities_per_second.map(Rate::per_second);
    options.max_cached_workflows = config.max_cached_workflows;
    options.graceful_shutdown_period = Some(config.activity_grace);
    // If these are not set, the namespace can turn on autoscaling of the pollers
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
        // These are the SDK's own limits for autoscaling (sdk-core 0.10.1, worker/mod.rs).
        Pollers::Auto => PollerBehavior::Autoscaling(
            AutoscalingOptions::builder().minimum(1).maximum(100).initial(5).build(),
        ),
    }
}

/// The SDK cannot set a versioning behaviour for each workflow type. The worker's applies to all.
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
