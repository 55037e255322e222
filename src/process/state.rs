//! The state of a worker, and how much work it has in flight.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use temporalio_sdk::{
    interceptors::{ActivityInboundInterceptor, WorkerInterceptor},
    workflow_interceptors::WorkflowInterceptorConstructor,
};
use tokio::sync::watch;

use super::{
    flight_recorder::FlightRecorder,
    in_flight::{ActivityCount, ActivityCounter, WorkflowTaskCounter},
    named_run::NamedRun,
    poll_log::PollLogs,
    workflow_code::WorkflowCode,
};
use crate::user_code::drain::DrainSource;

/// The state of a worker. It moves from starting to ready to draining. On the way it can be disconnected or
/// stuck for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// The worker connects, or it polls but the server has not confirmed that yet.
    #[default]
    Starting,
    /// The server lists the worker among the pollers of its task queue.
    Ready,
    /// The worker was ready, and the server is away now, does not know the namespace any more, or answers no
    /// poll.
    Disconnected,
    /// The worker was asked to stop: it no longer polls, and finishes its work in flight.
    Draining,
    /// The worker's executor has not come on for `FLEET_STUCK_TIMEOUT`: workflow code or an activity blocks
    /// it. Only workers that `fleet` runs notice this.
    Stuck,
}

impl State {
    /// All states.
    pub(crate) const ALL: [Self; 5] =
        [Self::Starting, Self::Ready, Self::Disconnected, Self::Draining, Self::Stuck];

    /// Whether a worker may go from this state to `next` by itself.
    fn allows(self, next: Self) -> bool {
        match next {
            Self::Ready => matches!(self, Self::Starting | Self::Disconnected),
            Self::Disconnected => self == Self::Ready,
            Self::Draining => self != Self::Draining,
            Self::Starting | Self::Stuck => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
            Self::Draining => "draining",
            Self::Stuck => "stuck",
        })
    }
}

/// A worker's state and its work in flight, shared with the code that reports them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    state: watch::Sender<State>,
    underlying: Arc<Mutex<Underlying>>,
    code: WorkflowCode,
    polls: PollLogs,
    workflow_tasks: WorkflowTaskCounter,
    activities: ActivityCount,
    drain: Arc<DrainSource>,
}

/// What a worker's state follows from.
#[derive(Debug, Default)]
struct Underlying {
    /// The state that the worker has, or would have if it were not stuck.
    state: State,
    is_stuck: bool,
}

impl Vitals {
    /// The current state, and its changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Goes to `state`, and returns whether it did. It does nothing if the worker cannot go there from where
    /// it is: a worker that drains, for example, does not become ready.
    ///
    /// [`State::Draining`] also sends the drain signal to all activities.
    pub(crate) fn advance(&self, state: State) -> bool {
        let mut went = false;
        self.change(|underlying| {
            went = underlying.state.allows(state);
            if went {
                underlying.state = state;
            }
        });
        if state == State::Draining {
            self.drain.begin();
        }
        went
    }

    /// Records whether the worker is stuck. A worker that drains stays in that state, because its drain has a
    /// deadline.
    pub(super) fn set_stuck(&self, is_stuck: bool) {
        self.change(|underlying| underlying.is_stuck = is_stuck);
    }

    fn change(&self, change: impl FnOnce(&mut Underlying)) {
        let mut underlying = self.underlying.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut underlying);
        let stuck = underlying.is_stuck && underlying.state != State::Draining;
        let shown = if stuck { State::Stuck } else { underlying.state };
        self.state.send_if_modified(|state| std::mem::replace(state, shown) != shown);
    }

    /// The workflow code that runs at the moment.
    pub(super) fn code(&self) -> &WorkflowCode {
        &self.code
    }

    /// From now on, `recorder` notes whose workflow code runs.
    pub(crate) fn record_to(&self, recorder: FlightRecorder) {
        self.code.record_to(recorder);
    }

    /// The interceptor that notes which workflow's code runs.
    pub(crate) fn code_interceptor(&self) -> WorkflowInterceptorConstructor {
        self.code.interceptor()
    }

    /// The runs whose workflow tasks are in flight.
    pub(super) fn runs_in_flight(&self) -> Vec<NamedRun> {
        self.workflow_tasks.runs()
    }

    /// The worker's polls.
    pub(crate) fn polls(&self) -> &PollLogs {
        &self.polls
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
        workflow_activation::{
            FireTimer, InitializeWorkflow, RemoveFromCache, WorkflowActivation,
            WorkflowActivationJob, workflow_activation_job::Variant,
        },
        workflow_completion::WorkflowActivationCompletion,
    };

    use super::*;

    #[test]
    fn a_worker_that_drains_does_not_become_ready_disconnected_or_stuck() {
        let vitals = Vitals::default();
        let state = vitals.state();
        assert_eq!(*state.borrow(), State::Starting);
        assert!(vitals.advance(State::Draining));
        assert!(!vitals.advance(State::Ready) && !vitals.advance(State::Disconnected));
        vitals.set_stuck(true);
        assert_eq!(*state.borrow(), State::Draining);
    }

    #[test]
    fn only_a_worker_that_was_ready_is_disconnected_and_it_becomes_ready_again() {
        let vitals = Vitals::default();
        let state = vitals.state();
        assert!(!vitals.advance(State::Disconnected));
        assert!(vitals.advance(State::Ready) && vitals.advance(State::Disconnected));
        assert_eq!(*state.borrow(), State::Disconnected);
        assert!(vitals.advance(State::Ready));
        assert_eq!(*state.borrow(), State::Ready);
    }

    #[test]
    fn a_worker_that_is_not_stuck_any_more_has_the_state_that_it_would_have_had() {
        let vitals = Vitals::default();
        let state = vitals.state();
        vitals.advance(State::Ready);
        vitals.set_stuck(true);
        assert_eq!(*state.borrow(), State::Stuck);
        vitals.advance(State::Disconnected);
        assert_eq!(*state.borrow(), State::Stuck);
        vitals.set_stuck(false);
        assert_eq!(*state.borrow(), State::Disconnected);
    }

    #[tokio::test]
    async fn a_workflow_task_in_flight_is_named_as_long_as_its_workflow_is_cached() {
        let vitals = Vitals::default();
        let interceptor = vitals.workflow_interceptor();
        let activate = async |variant| {
            let jobs = vec![WorkflowActivationJob { variant: Some(variant) }];
            let activation = WorkflowActivation { run_id: "r".into(), jobs, ..Default::default() };
            interceptor.on_workflow_activation(&activation).await.unwrap();
            vitals.runs_in_flight().remove(0)
        };
        let begun = InitializeWorkflow {
            workflow_type: "Order".into(),
            workflow_id: "order-1".into(),
            ..Default::default()
        };
        let run = activate(Variant::InitializeWorkflow(begun)).await;
        assert_eq!(run.to_string(), "Order order-1 (run r)");
        let run = activate(Variant::FireTimer(FireTimer::default())).await;
        assert_eq!(run.to_string(), "Order order-1 (run r)");
        let run = activate(Variant::RemoveFromCache(RemoveFromCache::default())).await;
        assert_eq!(run.workflow_type, "", "nothing is kept of it");
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
