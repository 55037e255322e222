//! Fleets that users define in their own programs.

use std::path::Path;

use temporal_fleet::{Environment, Fleet, FleetWorker, Role};
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::{
    server::{self, count_events, history},
    support::{FLEET, Process, World, eventually, example, program, run},
};

#[test]
fn fleets_in_one_namespace_take_only_their_own_tasks() {
    // Each fleet uses its default task queues.
    let start = |path: &Path, arguments: &[&str]| {
        let mut command = program(path);
        command.args(arguments).env("TEMPORAL_ADDRESS", server::address());
        command
    };
    let (orders, local) = (example("orders"), example("local_activity"));
    let _orders = Process::start(start(&orders, &["up", "-w", "1"]));
    let _local = Process::start(start(&local, &["up", "-w", "0", "-a", "0", "--num-workers", "1"]));
    let _sample = Process::start(start(Path::new(FLEET), &["up", "-w", "1"]));

    let order = r#"{"id": "7", "items": ["a"], "hold_ms": 1, "card": "valid"}"#;
    let results = run(start(&orders, &["starter", "-n", "5", "--input", order])).success();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|result| result.starts_with("order 7: ")), "{results:#?}");
    let results = run(start(&local, &["starter", "-n", "5"])).success();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|result| result.starts_with("local in ")), "{results:#?}");
    let results = run(start(Path::new(FLEET), &["starter", "-n", "5"])).success();
    assert_eq!(results.len(), 5);

    for id in server::workflow_ids("orders-workflows") {
        assert_eq!(server::activity_queues(&history(&id)), ["orders-activities".to_owned()].into());
        assert!(id.starts_with("orders-"), "{id}");
    }
}

#[test]
fn a_worker_of_both_kinds_runs_local_activities_in_its_own_process() {
    let world = World::new();
    let worker =
        Process::start(world.at_home(example("local_activity"), ["worker", "--role", "worker"]));
    let starter = world.at_home(example("local_activity"), ["starter", "-n", "1"]);
    let results = run(starter).success();
    assert_eq!(results, [format!("local in {0}, remote in {0}", worker.pid())]);
    let history = history(&server::workflow_ids(&world.workflow_queue())[0]);
    assert_eq!(count_events(&history, EventType::MarkerRecorded), 1, "one local activity");
    assert_eq!(
        count_events(&history, EventType::ActivityTaskScheduled),
        1,
        "one ordinary activity"
    );
    assert_eq!(server::activity_queues(&history), [world.workflow_queue()].into());
}

#[test]
fn a_signal_shortens_the_hold_of_an_order() {
    let world = World::new();
    let _up = Process::start(world.orders(["up", "-w", "1"]));
    let order = r#"{"id": "7", "items": [], "hold_ms": 600000, "card": "flaky"}"#;
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
    let mut ids = Vec::new();
    eventually("the order waits", || {
        ids = server::workflow_ids(&world.workflow_queue());
        ids.first().is_some_and(|id| count_events(&history(id), EventType::TimerStarted) == 1)
    });
    server::signal(&ids[0], "expedite");
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    assert_eq!(
        starter.out.wait_end(),
        ["order 7: charged at attempt 2, expedited, packed 0 item(s) at attempt 1, shipped"]
    );
}

#[test]
fn a_role_without_registered_workflows_or_activities_is_refused() {
    let fleet = Fleet::new("empty");
    let config = fleet.config(Environment::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (role, missing) in [
        (
            Role::WorkflowWorker,
            "this fleet registers no workflow, which role workflow-worker needs",
        ),
        (
            Role::ActivityWorker,
            "this fleet registers no activities, which role activity-worker needs",
        ),
    ] {
        let error = runtime.block_on(FleetWorker::build(&fleet, &config, role)).err().unwrap();
        assert_eq!(error.to_string(), missing);
        assert_eq!(error.exit_code(), 78);
    }
}
