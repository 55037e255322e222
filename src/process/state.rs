//! Where a worker is in its life, and what it has in hand.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use temporalio_common::protos::coresdk::{
    workflow_activation::WorkflowActivation, workflow_completion::WorkflowActivationCompletion,
};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
    WorkerInterceptor,
};
use tokio::sync::watch;
use tracing::warn;

use crate::{config::show, user_code::drain::DrainSource};

/// Where a worker is in its life. It only ever goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It connects, or polls but the server has not confirmed that yet.
    #[default]
    Starting,
    /// The server itself lists it among the pollers of its queue.
    Ready,
    /// It was asked to stop, polls no more and finishes what it has in hand.
    Draining,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        })
    }
}

/// A worker's state and what it has in hand, for those who watch it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    state: watch::Sender<State>,
    workflow_tasks: WorkflowTasks,
    activities: Arc<AtomicUsize>,
    drain: Arc<DrainSource>,
}

impl Vitals {
    /// The state, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Goes on to `state`; never back.
    pub(crate) fn advance(&self, state: State) {
        self.state.send_if_modified(|current| {
            let forward = state > *current;
            *current = state.max(*current);
            forward
        });
        if state == State::Draining {
            self.drain.begin();
        }
    }

    /// How many workflow tasks are being worked on.
    pub(crate) fn workflow_tasks_in_hand(&self) -> usize {
        self.workflow_tasks.runs().len()
    }

    /// The interceptor that counts workflow tasks.
    pub(crate) fn workflow_interceptor(&self) -> impl WorkerInterceptor + use<> {
        self.workflow_tasks.clone()
    }

    /// How many activities run.
    pub(crate) fn activities_in_hand(&self) -> usize {
        self.activities.load(Ordering::Relaxed)
    }

    /// The interceptor that counts activities, leads them to their worker's drain signal, and warns
    /// once for each type that may run for longer than `grace`.
    pub(crate) fn interceptor(&self, grace: Duration) -> impl ActivityInboundInterceptor + use<> {
        Watching {
            activities: self.activities.clone(),
            drain: self.drain.clone(),
            grace,
            warned: Mutex::default(),
        }
    }
}

/// The runs whose workflow code has been given something to do and has not answered yet.
#[derive(Clone, Debug, Default)]
struct WorkflowTasks(Arc<Mutex<HashSet<String>>>);

impl WorkflowTasks {
    fn runs(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for WorkflowTasks {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        self.runs().insert(activation.run_id.clone());
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        self.runs().remove(&completion.run_id);
    }
}

struct Watching {
    activities: Arc<AtomicUsize>,
    drain: Arc<DrainSource>,
    grace: Duration,
    warned: Mutex<HashSet<String>>,
}

impl ActivityInboundInterceptor for Watching {
    fn execute_activity<'a>(
        &'a self,
        mut input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        // The task tells how long it may run; that is the first that a worker hears of it.
        let allowed = info.deadline.and_then(|end| end.duration_since(SystemTime::now()).ok());
        if let Some(allowed) = allowed {
            self.warn_if_longer(&info.activity_type, allowed);
        }
        input.headers_mut().extend([self.drain.header()]);
        Box::pin(async move {
            let _in_hand = InHand::begin(&self.activities);
            next.run(input).await
        })
    }
}

impl Watching {
    fn warn_if_longer(&self, activity_type: &str, allowed: Duration) {
        // A second's tolerance: a timeout equal to the grace has lost some of itself on its way.
        if allowed <= self.grace + Duration::from_secs(1) {
            return;
        }
        let first = self.warned.lock().is_ok_and(|mut it| it.insert(activity_type.to_owned()));
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

/// An activity that runs; dropped when it ends, in whatever way.
struct InHand<'a>(&'a AtomicUsize);

impl<'a> InHand<'a> {
    fn begin(activities: &'a AtomicUsize) -> Self {
        activities.fetch_add(1, Ordering::Relaxed);
        Self(activities)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_never_goes_back() {
        let vitals = Vitals::default();
        let state = vitals.state();
        assert_eq!(*state.borrow(), State::Starting);
        vitals.advance(State::Draining);
        vitals.advance(State::Ready);
        assert_eq!(*state.borrow(), State::Draining);
    }

    #[tokio::test]
    async fn a_workflow_task_is_in_hand_until_its_code_has_answered() {
        let vitals = Vitals::default();
        let interceptor = vitals.workflow_interceptor();
        let run_id = |id: &str| id.to_owned();
        for id in ["a", "b"] {
            let activation = WorkflowActivation { run_id: run_id(id), ..Default::default() };
            interceptor.on_workflow_activation(&activation).await.unwrap();
        }
        assert_eq!(vitals.workflow_tasks_in_hand(), 2);
        let answer = WorkflowActivationCompletion { run_id: run_id("a"), ..Default::default() };
        interceptor.on_workflow_activation_completion(&answer).await;
        assert_eq!(vitals.workflow_tasks_in_hand(), 1);
    }
}
