//! The state of a worker, and how much work it has in flight.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_sdk::interceptors::{ActivityInboundInterceptor, WorkerInterceptor};
use tokio::sync::watch;

use super::in_flight::{ActivityCount, ActivityCounter, WorkflowTaskCounter};
use crate::user_code::drain::DrainSource;

/// The state of a worker. It only ever moves forward: from starting to ready to draining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The worker connects, or it polls but the server has not confirmed that yet.
    #[default]
    Starting,
    /// The server lists the worker among the pollers of its task queue.
    Ready,
    /// The worker was asked to stop: it no longer polls, and finishes its work in flight.
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

/// A worker's state and its work in flight, shared with the code that reports them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    state: watch::Sender<State>,
    workflow_tasks: WorkflowTaskCounter,
    activities: ActivityCount,
    drain: Arc<DrainSource>,
}

impl Vitals {
    /// The current state, and its changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Moves forward to `state`. Does nothing if the worker is already there or further.
    ///
    /// [`State::Draining`] also sends the drain signal to all activities.
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

    /// The number of workflow tasks in flight.
    pub(crate) fn workflow_tasks_in_flight(&self) -> usize {
        self.workflow_tasks.count()
    }

    /// The interceptor that counts workflow tasks.
    pub(crate) fn workflow_interceptor(&self) -> impl WorkerInterceptor + use<> {
        self.workflow_tasks.clone()
    }

    /// The number of activities in flight.
    pub(crate) fn activities_in_flight(&self) -> usize {
        self.activities.count()
    }

    /// The interceptor that counts activities and gives each of them the drain signal. It also
    /// warns once for each activity type that may run for longer than `grace`.
    pub(crate) fn interceptor(&self, grace: Duration) -> impl ActivityInboundInterceptor + use<> {
        ActivityCounter::new(self.activities.clone(), self.drain.clone(), grace)
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::{
        workflow_activation::WorkflowActivation, workflow_completion::WorkflowActivationCompletion,
    };

    use super::*;

    #[test]
    fn a_state_never_moves_backwards() {
        let vitals = Vitals::default();
        let state = vitals.state();
        assert_eq!(*state.borrow(), State::Starting);
        vitals.advance(State::Draining);
        vitals.advance(State::Ready);
        assert_eq!(*state.borrow(), State::Draining);
    }

    #[tokio::test]
    async fn a_workflow_task_is_in_flight_until_its_code_has_completed_it() {
        let vitals = Vitals::default();
        let interceptor = vitals.workflow_interceptor();
        let run_id = |id: &str| id.to_owned();
        for id in ["a", "b"] {
            let activation = WorkflowActivation { run_id: run_id(id), ..Default::default() };
            interceptor.on_workflow_activation(&activation).await.unwrap();
        }
        assert_eq!(vitals.workflow_tasks_in_flight(), 2);
        let completion = WorkflowActivationCompletion { run_id: run_id("a"), ..Default::default() };
        interceptor.on_workflow_activation_completion(&completion).await;
        assert_eq!(vitals.workflow_tasks_in_flight(), 1);
    }
}
