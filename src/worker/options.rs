//! The SDK's options for a worker, and its task queues.

use temporalio_common::worker::{
    VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion,
};
use temporalio_sdk::{
    WorkerOptions,
    runtime::{AutoscalingOptions, PollerBehavior},
};

use crate::{
    config::{Config, Deployment, Pollers, Versioning, role::Role},
    error::Error,
    fleet::Fleet,
};

/// The task queue that a worker in `role` polls.
pub(crate) fn task_queue(config: &Config, role: Role) -> &str {
    match role {
        Role::WorkflowWorker | Role::Worker => &config.workflow_task_queue,
        Role::ActivityWorker => &config.activity_task_queue,
    }
}

/// Where the workflows of a worker in `role` send their activities.
pub(crate) fn activity_task_queue(config: &Config, role: Role) -> &str {
    match role {
        Role::WorkflowWorker | Role::ActivityWorker => &config.activity_task_queue,
        Role::Worker => &config.workflow_task_queue,
    }
}

/// The SDK's options for a worker in `role`. What is registered decides what the SDK polls.
pub(crate) fn options(fleet: &Fleet, config: &Config, role: Role) -> Result<WorkerOptions, Error> {
    let mut options = fleet.registered(role)?;
    task_queue(config, role).clone_into(&mut options.task_queue);
    options.max_cached_workflows = config.max_cached_workflows;
    options.graceful_shutdown_period = Some(config.activity_grace);
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
