//! Workers that are killed in mid-flight: no workflow is lost, others go on where they were.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::{
    server::{self, activity_attempts, history, pid_of, workflow_task_workers},
    support::{Process, World, kill, labels, run},
};

/// An order that is packed for about three seconds.
const SLOW_ORDER: &str =
    r#"{"id": "1", "items": ["a", "b", "c"], "pack_ms": 1000, "hold_ms": 1, "card": "valid"}"#;

#[test]
fn an_activity_of_a_killed_worker_goes_on_in_another() {
    let world = World::new();
    let _workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    let mut workers: Vec<_> = (0..2)
        .map(|_| Process::start(world.orders(["worker", "--role", "activity-worker"])))
        .collect();
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", SLOW_ORDER]));
    let (workflow, killed) = server::packing(&world.workflow_queue());
    let index = workers.iter().position(|worker| worker.pid() == pid_of(&killed)).unwrap();
    workers[index].signal(Signal::KILL);
    assert_eq!(workers[index].exit_code(), 128 + 9);

    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    assert!(starter.out.wait_end()[0].contains("packed 3 item(s) at attempt 2, shipped"));
    let survivor = workers[1 - index].pid();
    let attempts = activity_attempts(&history(&workflow));
    let (identity, attempt) = &attempts[1];
    assert_eq!((pid_of(identity), *attempt), (survivor, 2), "{attempts:?}");
}

#[test]
fn a_workflow_of_a_killed_worker_goes_on_in_another() {
    let world = World::new();
    let mut workers: Vec<_> = (0..2)
        .map(|_| Process::start(world.orders(["worker", "--role", "workflow-worker"])))
        .collect();
    let _activities = Process::start(world.orders(["worker", "--role", "activity-worker"]));
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", SLOW_ORDER]));
    let (workflow, _) = server::packing(&world.workflow_queue());
    let killed = pid_of(workflow_task_workers(&history(&workflow)).last().unwrap());
    let index = workers.iter().position(|worker| worker.pid() == killed).unwrap();
    workers[index].signal(Signal::KILL);
    assert_eq!(workers[index].exit_code(), 128 + 9);

    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    assert!(starter.out.wait_end()[0].contains("packed 3 item(s) at attempt 1, shipped"));
    let identities = workflow_task_workers(&history(&workflow));
    assert_eq!(pid_of(identities.last().unwrap()), workers[1 - index].pid(), "{identities:?}");
}

#[test]
fn a_batch_survives_the_death_of_workers_of_both_kinds_and_up_replaces_them() {
    let world = World::new();
    let up = Process::start_ready(world.fleet(["up", "-w", "2", "-a", "2"]));
    let mut starter = Process::start(world.fleet(["starter", "-n", "300", "--concurrency", "40"]));
    let [workflow_worker, activity_worker, _] = labels(&starter.out.wait_count(40)[39]);
    for label in [&workflow_worker, &activity_worker] {
        kill(label.parse().unwrap(), Signal::KILL);
    }
    for role in ["workflow-worker", "activity-worker"] {
        let line = up.err.wait_for(&format!("ERROR: worker exited unexpectedly: {role}:"));
        assert!(line.ends_with("(signal: 9)"), "{line}");
    }
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    let results = starter.out.wait_end();
    assert_eq!(results.len(), 300);
    // A second batch: the dead take no part, their replacements do.
    let results = run(world.fleet(["starter", "-n", "100"])).success();
    let seen: BTreeSet<_> = results.iter().flat_map(|line| labels(line)).collect();
    assert!(!seen.contains(&workflow_worker) && !seen.contains(&activity_worker), "{seen:?}");
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_crash_loop_is_given_up_with_70_and_the_rest_drains() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    // Tokio panics at this, and only workers of activities have a runtime that reads it.
    up.env("TOKIO_WORKER_THREADS", "0");
    let finished = run(up);
    assert_eq!(finished.code, 70, "{finished:#?}");
    let count = |text: &str| finished.err.iter().filter(|line| line.contains(text)).count();
    let exits = count("ERROR: worker exited unexpectedly: activity-worker:0 (exit code: 101)");
    assert_eq!(exits, 5, "{finished:#?}");
    assert_eq!(count("error: activity-worker:0 exited 5 times in a row: giving up"), 1);
    assert!(finished.out.contains(&"workflow-worker:0 shutting down".to_owned()), "{finished:#?}");
}

#[test]
fn workers_that_cannot_start_as_configured_are_not_restarted() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    up.env("TEMPORAL_NAMESPACE", "nowhere").env("FLEET_CONNECT_TIMEOUT", "1s");
    let finished = run(up);
    assert_eq!(finished.code, 78, "{finished:#?}");
    let starts = finished.out.iter().filter(|line| line.ends_with("starting")).count();
    assert_eq!(starts, 2, "{finished:#?}");
}
