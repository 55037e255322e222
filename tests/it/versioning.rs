//! Versioned workers, with the variables that Temporal's worker controller sets: which build runs
//! which workflow.

use std::time::SystemTime;

use temporalio_common::protos::temporal::api::{
    enums::v1::{EventType, VersioningBehavior},
    history::v1::{HistoryEvent, history_event::Attributes},
};

use crate::{
    server::{self, activity_attempts, count_events, history, pid_of},
    support::{Process, World, eventually, run},
};

const QUICK_ORDER: &str = r#"{"id": "1", "items": [], "hold_ms": 1, "card": "valid"}"#;
/// An order that waits until it is expedited.
const HELD_ORDER: &str = r#"{"id": "2", "items": [], "hold_ms": 600000, "card": "valid"}"#;

/// A worker deployment that only one test uses.
struct Deployment {
    world: World,
    behavior: &'static str,
}

impl Deployment {
    fn name(&self) -> String {
        self.world.workflow_queue()
    }

    /// Starts a worker of a build and waits until it polls.
    fn worker(&self, build_id: &str) -> Process {
        let mut command = self.world.orders(["worker", "--role", "worker"]);
        command
            .env("TEMPORAL_DEPLOYMENT_NAME", self.name())
            .env("TEMPORAL_WORKER_BUILD_ID", build_id)
            .env("FLEET_VERSIONING_BEHAVIOR", self.behavior);
        Process::start_ready(command)
    }

    fn make_current(&self, build_id: &str) {
        server::make_current(&self.name(), build_id);
    }

    fn start(&self, order: &str) -> Process {
        Process::start(self.world.orders(["starter", "-n", "1", "--input", order]))
    }

    fn workflows(&self) -> Vec<String> {
        server::workflow_ids(&self.world.workflow_queue())
    }

    /// Waits until there is a workflow whose history has an event, and returns its id.
    fn workflow_with(&self, event: EventType) -> String {
        let mut found = None;
        eventually(&format!("a workflow has {event:?}"), || {
            found = self.workflows().into_iter().find(|id| count_events(&history(id), event) > 0);
            found.is_some()
        });
        found.unwrap()
    }

    /// The process and the build that completed each workflow task of a history.
    fn steps(&self, history: &[HistoryEvent]) -> Vec<(u32, String)> {
        let expected = match self.behavior {
            "pinned" => VersioningBehavior::Pinned,
            _ => VersioningBehavior::AutoUpgrade,
        };
        let completed = history.iter().filter_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowTaskCompletedEventAttributes(completed) => Some(completed),
            _ => None,
        });
        completed
            .map(|completed| {
                let version = completed.deployment_version.clone().unwrap();
                assert_eq!(version.deployment_name, self.name());
                assert_eq!(completed.versioning_behavior(), expected);
                (pid_of(&completed.identity), version.build_id)
            })
            .collect()
    }
}

#[test]
fn a_versioned_worker_gets_no_workflow_before_its_build_is_current() {
    let deployment = Deployment { world: World::new(), behavior: "auto-upgrade" };
    let worker = deployment.worker("one");
    let mut starter = deployment.start(QUICK_ORDER);
    let workflow = deployment.workflow_with(EventType::WorkflowTaskScheduled);
    assert_eq!(count_events(&history(&workflow), EventType::WorkflowTaskStarted), 0);
    let before = SystemTime::now();
    deployment.make_current("one");
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    let history = history(&workflow);
    let started = history.iter().find(|event| event.event_type() == EventType::WorkflowTaskStarted);
    let started = SystemTime::try_from(started.unwrap().event_time.unwrap()).unwrap();
    assert!(started > before, "{started:?} {before:?}");
    for step in deployment.steps(&history) {
        assert_eq!(step, (worker.pid(), "one".to_owned()));
    }
}

/// Starts an order with build one, makes build two current while the order waits, and then lets it
/// continue. Returns the process ids of both workers and the order's history.
fn across_builds(deployment: &Deployment) -> (u32, u32, Vec<HistoryEvent>) {
    let one = deployment.worker("one");
    deployment.make_current("one");
    let mut starter = deployment.start(HELD_ORDER);
    let held = deployment.workflow_with(EventType::TimerStarted);

    let two = deployment.worker("two");
    deployment.make_current("two");
    let mut known = deployment.workflows();
    eventually("new orders go to the current build", || {
        let order = ["starter", "-n", "1", "--input", QUICK_ORDER];
        run(deployment.world.orders(order)).success();
        let mut new = deployment.workflows();
        new.retain(|id| !known.contains(id));
        known.extend_from_slice(&new);
        new.iter().any(|id| {
            deployment.steps(&history(id)).iter().all(|step| *step == (two.pid(), "two".into()))
        })
    });

    server::signal(&held, "expedite");
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    (one.pid(), two.pid(), history(&held))
}

#[test]
fn a_pinned_workflow_stays_with_its_build_when_another_becomes_current() {
    let deployment = Deployment { world: World::new(), behavior: "pinned" };
    let (one, _, history) = across_builds(&deployment);
    for step in deployment.steps(&history) {
        assert_eq!(step, (one, "one".to_owned()));
    }
    for (identity, _) in activity_attempts(&history) {
        assert_eq!(pid_of(&identity), one);
    }
}

#[test]
fn an_auto_upgrading_workflow_moves_to_the_build_that_becomes_current() {
    let deployment = Deployment { world: World::new(), behavior: "auto-upgrade" };
    let (one, two, history) = across_builds(&deployment);
    let steps = deployment.steps(&history);
    assert_eq!(steps[0], (one, "one".to_owned()));
    assert_eq!(steps.last().unwrap(), &(two, "two".to_owned()));
}
