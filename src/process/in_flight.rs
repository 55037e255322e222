//! The work that a worker has in flight, counted by interceptors of the SDK.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use temporalio_common::protos::coresdk::{
    workflow_activation::{WorkflowActivation, workflow_activation_job::Variant},
    workflow_completion::WorkflowActivationCompletion,
};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
    WorkerInterceptor,
};
use tracing::warn;

use super::named_run::NamedRun;
use crate::{config::show, user_code::drain::DrainSource};

/// How much longer than the grace an activity's timeout may be without a warning. A timeout that is
/// equal to the grace has lost some time on its way to the worker, or gained some by rounding.
const GRACE_TOLERANCE: Duration = Duration::from_secs(1);

/// Counts workflow tasks in flight: the runs whose workflow code was given an activation and has
/// not completed it yet.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkflowTaskCounter(Arc<Mutex<Workflows>>);

/// The workflows of a worker, by run id.
#[derive(Debug, Default)]
struct Workflows {
    in_flight: HashSet<String>,
    /// Type and id of the workflows in the sticky cache. The SDK names them only when a workflow begins.
    cached: HashMap<String, (String, String)>,
}

impl WorkflowTaskCounter {
    pub(super) fn count(&self) -> usize {
        self.workflows().in_flight.len()
    }

    /// The runs whose tasks are in flight.
    pub(super) fn runs(&self) -> Vec<NamedRun> {
        let workflows = self.workflows();
        let named = |run_id: &String| {
            let name = workflows.cached.get(run_id).cloned();
            let (workflow_type, workflow_id) = name.unwrap_or_default();
            NamedRun { workflow_type, workflow_id, run_id: run_id.clone() }
        };
        workflows.in_flight.iter().map(named).collect()
    }

    fn workflows(&self) -> MutexGuard<'_, Workflows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for WorkflowTaskCounter {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        let mut workflows = self.workflows();
        for job in &activation.jobs {
            match &job.variant {
                Some(Variant::InitializeWorkflow(begun)) => {
                    let name = (begun.workflow_type.clone(), begun.workflow_id.clone());
                    workflows.cached.insert(activation.run_id.clone(), name);
                }
                Some(Variant::RemoveFromCache(_)) => {
                    workflows.cached.remove(&activation.run_id);
                }
                _ => {}
            }
        }
        workflows.in_flight.insert(activation.run_id.clone());
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        self.workflows().in_flight.remove(&completion.run_id);
    }
}

/// The number of activities in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct ActivityCount(Arc<AtomicUsize>);

impl ActivityCount {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts an activity until the result is dropped.
    fn begin(&self) -> ActivityInFlight<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ActivityInFlight(&self.0)
    }
}

/// An activity that runs. It is dropped when the activity ends, also when it is cancelled or
/// panics.
struct ActivityInFlight<'a>(&'a AtomicUsize);

impl Drop for ActivityInFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts activities, gives each of them its worker's drain signal, and warns once for each type
/// that may run for longer than a stopped worker waits.
pub(super) struct ActivityCounter {
    activities: ActivityCount,
    drain: Arc<DrainSource>,
    /// How long a stopped worker waits before it cancels activities.
    grace: Duration,
    /// The activity types of earlier warnings.
    warned: Mutex<HashSet<String>>,
}

impl ActivityCounter {
    pub(super) fn new(activities: ActivityCount, drain: Arc<DrainSource>, grace: Duration) -> Self {
        Self { activities, drain, grace, warned: Mutex::default() }
    }

    fn warn_if_longer(&self, activity_type: &str, allowed: Duration) {
        if allowed <= self.grace + GRACE_TOLERANCE {
            return;
        }
        let first =
            self.warned.lock().is_ok_and(|mut types| types.insert(activity_type.to_owned()));
        if first {
            warn!(
                "activity {activity_type} may run for {}, but a worker that is stopped cancels it \
                 after {}: see FLEET_ACTIVITY_GRACE and FLEET_DRAIN_TIMEOUT",
                show(Duration::from_secs(allowed.as_secs() + 1)),
                show(self.grace)
            );
        }
    }
}

impl ActivityInboundInterceptor for ActivityCounter {
    fn execute_activity<'a>(
        &'a self,
        mut input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        // A worker learns an activity's timeout only from its tasks.
        let allowed = info.deadline.and_then(|end| end.duration_since(SystemTime::now()).ok());
        if let Some(allowed) = allowed {
            self.warn_if_longer(&info.activity_type, allowed);
        }
        input.headers_mut().extend([self.drain.header()]);
        Box::pin(async move {
            let _in_flight = self.activities.begin();
            next.run(input).await
        })
    }
}
