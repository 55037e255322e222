//! Stopping a container: the worker drains within the time that Compose gives it.

use std::time::Duration;

use serde_json::Value;

use crate::{
    project::{Container, Project},
    support::{Process, eventually, run},
};

/// The time that Compose gives a worker to stop before it kills the worker.
const GRACE: Duration = Duration::from_secs(30);

fn health(container: &Container) -> Value {
    container.state()["Health"]["Status"].take()
}

#[test]
fn docker_stop_ends_an_idle_worker_with_0() {
    let fleet = Project::new();
    fleet.up(1);
    for service in ["workflow-worker", "activity-worker"] {
        let worker = fleet.container(service);
        let took = worker.stop();
        assert_eq!(worker.state()["ExitCode"], 0, "{service}");
        assert!(took < GRACE, "{service}: {took:?}");
    }
}

/// A server that is down must not delay a rollout.
#[test]
fn docker_stop_takes_less_than_two_seconds_while_the_server_is_down() {
    let fleet = Project::new();
    fleet.up(1);
    fleet.run(["stop", "temporal"]);
    for service in ["workflow-worker", "activity-worker"] {
        let worker = fleet.container(service);
        let took = worker.stop();
        assert_eq!(worker.state()["ExitCode"], 0, "{service}");
        assert!(took < Duration::from_secs(2), "{service}: {took:?}");
    }
}

#[test]
fn a_draining_worker_is_unhealthy_and_its_activity_completes_at_the_first_attempt() {
    let fleet = Project::orders();
    let up = ["up", "--detach", "--no-build", "workflow-worker", "activity-worker"];
    fleet.run(up);
    let worker = fleet.container("activity-worker");
    let first = health(&worker);
    assert!(first == "starting" || first == "healthy", "{first}");
    fleet.healthy("activity-worker", 1);
    fleet.healthy("workflow-worker", 1);

    let order = r#"{"id": "A-1", "items": [], "card": "valid", "charge_ms": 4500}"#;
    let mut starter = Process::start(fleet.starter(["-n", "1", "--input", order]));
    eventually("the order is being charged", || {
        let status = worker.get("/status").map(|(_, body)| body).unwrap_or_default();
        status.contains("\"activities_in_hand\": 1")
    });
    let id = worker.0.clone();
    let stop = std::thread::spawn(move || Container(id).stop());
    eventually("the draining worker is unhealthy", || health(&worker) == "unhealthy");
    assert_eq!(worker.state()["Running"], true, "the worker continues its activity");
    let took = stop.join().unwrap();
    assert!(took < GRACE, "{took:?}");
    assert_eq!(worker.state()["ExitCode"], 0);

    // The activities after the charge need a worker again.
    run(fleet.compose(["start", "activity-worker"])).success();
    assert_eq!(starter.exit_code(), 0, "{}", starter.err.so_far().join("\n"));
    let result = &starter.out.wait_end()[0];
    assert!(result.starts_with("order A-1: charged at attempt 1, "), "{result}");
}
