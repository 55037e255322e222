//! `fleet up --output json`: the events of a fleet as lines of JSON.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Process, World, kill};

/// Returns an `up` command with one workflow worker, which prints its events as JSON.
fn up() -> Command {
    World::new().fleet(["up", "-w", "1", "-a", "0", "--output", "json"])
}

/// Waits for the end of a fleet and returns its events.
fn events(up: &Process) -> Vec<Value> {
    up.out.wait_end().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the name of an event with the worker that it concerns, such as
/// `worker_ready workflow-worker:0`.
fn label(event: &Value) -> String {
    let name = event["event"].as_str().unwrap();
    event["worker"].as_str().map_or(name.to_owned(), |worker| format!("{name} {worker}"))
}

#[test]
fn up_reports_starts_exits_and_replacements_of_workers_as_json() {
    let mut up = Process::start(up());
    let ready = up.out.wait_for("worker_ready");
    let first = serde_json::from_str::<Value>(&ready).unwrap()["pid"].as_u64().unwrap();
    up.out.wait_for("fleet_ready");
    kill(first.try_into().unwrap(), Signal::KILL);
    up.out.wait_count(8); // the replacement is ready, and so is the fleet
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);

    let events = events(&up);
    assert_eq!(
        events.iter().map(label).collect::<Vec<_>>(),
        [
            "fleet_starting",
            "worker_starting workflow-worker:0",
            "worker_ready workflow-worker:0",
            "fleet_ready",
            "worker_exited workflow-worker:0",
            "worker_starting workflow-worker:0",
            "worker_ready workflow-worker:0",
            "fleet_ready",
            "fleet_shutting_down",
            "worker_shutting_down workflow-worker:0",
            "worker_stopped workflow-worker:0",
            "fleet_stopped",
        ]
    );
    assert_eq!(events[0]["workflow_workers"], 1);
    assert_eq!(events[0]["activity_workers"], 0);

    let exited = &events[4];
    assert_eq!(exited["pid"], first);
    assert_eq!(exited["role"], "workflow-worker");
    assert_eq!((&exited["exit_code"], &exited["signal"]), (&Value::Null, &Value::from(9)));
    assert!((200..=400).contains(&exited["restart_in_ms"].as_u64().unwrap()), "{exited}");

    let second = &events[5]["pid"];
    assert_ne!(*second, first);
    for event in &events[6..] {
        assert!(event["worker"].is_null() || event["pid"] == *second, "{event}");
    }
    assert_eq!((&events[10]["exit_code"], &events[10]["signal"]), (&0.into(), &Value::Null));
    assert_eq!((&events[11]["exit_code"], &events[11]["error"]), (&0.into(), &Value::Null));
    let times: Vec<_> = events
        .iter()
        .map(|event| humantime::parse_rfc3339(event["time"].as_str().unwrap()))
        .collect();
    assert!(times.iter().all(Result::is_ok), "{events:#?}");
    assert!(times.is_sorted_by(|one, next| one.as_ref().unwrap() <= next.as_ref().unwrap()));
}

#[test]
fn up_reports_a_worker_that_cannot_start_as_json() {
    let mut command = up();
    command.env("TEMPORAL_ADDRESS", "127.0.0.1:1").env("FLEET_CONNECT_TIMEOUT", "100ms");
    let mut up = Process::start(command);
    assert_eq!(up.exit_code(), 69);
    let events = events(&up);
    assert_eq!(
        events.iter().map(label).collect::<Vec<_>>(),
        [
            "fleet_starting",
            "worker_starting workflow-worker:0",
            "worker_exited workflow-worker:0",
            "fleet_shutting_down",
            "fleet_stopped",
        ]
    );
    assert_eq!((&events[2]["exit_code"], &events[2]["restart_in_ms"]), (&69.into(), &Value::Null));
    let error = events[3]["error"].as_str().unwrap();
    assert!(error.starts_with("workflow-worker:0 could not start"), "{error}");
    assert_eq!((&events[4]["exit_code"], events[4]["error"].as_str()), (&69.into(), Some(error)));
}
