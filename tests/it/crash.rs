//! Workers that are killed while they work: no workflow is lost, and other workers continue it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    server::{self, activity_attempts, history, pid_of, workflow_task_workers},
    support::{Process, World, children_of, eventually, get, kill, labels, run},
};

/// An order whose packing takes about three seconds.
const SLOW_ORDER: &str =
    r#"{"id": "1", "items": ["a", "b", "c"], "pack_ms": 1000, "hold_ms": 1, "card": "valid"}"#;

#[test]
fn an_activity_of_a_killed_worker_is_retried_by_another_worker() {
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
fn a_workflow_of_a_killed_worker_continues_in_another_worker() {
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
fn a_batch_survives_killed_workers_of_both_kinds_and_up_replaces_them() {
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
    // In a second batch, the replacements work instead of the killed workers.
    let results = run(world.fleet(["starter", "-n", "100"])).success();
    let seen: BTreeSet<_> = results.iter().flat_map(|line| labels(line)).collect();
    assert!(!seen.contains(&workflow_worker) && !seen.contains(&activity_worker), "{seen:?}");
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_batch_completes_although_workers_are_killed_at_random_repeatedly() {
    const WORKFLOWS: usize = 300;
    // Tasks that a killed worker had in flight continue on another worker after up to ten seconds.
    // Without a limit on the kills, the batch might never end on a slow machine.
    const KILLS: usize = 10;
    let world = World::new();
    let (mut up, health) = Process::start_probed(world.fleet(["up", "-w", "2", "-a", "2"]));
    let workers = || -> Vec<Value> {
        let status = get(&health, "/status").map(|(_, body)| serde_json::from_str(&body).unwrap());
        status
            .map(|status: Value| status["workers"].as_array().unwrap().clone())
            .unwrap_or_default()
    };
    let ready = || -> Vec<Value> {
        workers().into_iter().filter(|worker| worker["state"] == "ready").collect()
    };
    eventually("the fleet is ready", || ready().len() == 4);

    let mut starter = Process::start(world.fleet(["starter", "-n", &WORKFLOWS.to_string()]));
    let mut killed = BTreeMap::new();
    let mut killed_in_the_batch = 0;
    for kill_number in 1..=KILLS {
        // About one kill a second. On a fast machine, the progress of the batch triggers the kills, so
        // that they all happen before its end.
        let (results, last) = (kill_number * WORKFLOWS / (KILLS + 2), Instant::now());
        let mut victims = Vec::new();
        eventually("the next kill is due, and a worker is ready", || {
            let due =
                last.elapsed() >= Duration::from_secs(1) || starter.out.so_far().len() >= results;
            victims = if due { ready() } else { Vec::new() };
            !victims.is_empty()
        });
        let victim = &victims[usize::from(Uuid::new_v4().as_bytes()[0]) % victims.len()];
        killed_in_the_batch += usize::from(starter.out.so_far().len() < WORKFLOWS);
        kill(u32::try_from(victim["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
        *killed.entry(victim["name"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        eventually("up notices the kill", || {
            !workers().iter().any(|worker| worker["pid"] == victim["pid"])
        });
    }

    assert_eq!(starter.exit_code(), 0, "{killed:?}: {:?}", starter.err.so_far());
    let results = starter.out.wait_end();
    assert_eq!(results.len(), WORKFLOWS);
    assert!(killed_in_the_batch >= KILLS / 2, "{killed_in_the_batch} of {killed:?}");
    for line in &results {
        labels(line);
    }
    let queue = world.workflow_queue();
    let all = i64::try_from(WORKFLOWS).unwrap();
    eventually("the server counts all workflows as completed", || {
        server::count(&queue, "ExecutionStatus = 'Completed'") == all
    });
    assert_eq!(server::count(&queue, "ExecutionStatus != 'Completed'"), 0);

    eventually("every worker is replaced", || ready().len() == 4);
    for worker in workers() {
        let name = worker["name"].as_str().unwrap();
        let kills = killed.get(name).copied().unwrap_or(0);
        assert_eq!(worker["restarts"], kills, "{killed:?}: {worker}");
        let report = format!("ERROR: worker exited unexpectedly: {name} (signal: 9)");
        let reports = up.err.so_far().iter().filter(|line| **line == report).count();
        assert_eq!(reports, kills, "{killed:?}: {:#?}", up.err.so_far());
    }
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
}

#[test]
fn a_crash_loop_ends_the_fleet_with_70_and_drains_the_other_workers() {
    let world = World::new();
    let mut up = Process::start(world.fleet(["up", "-w", "1", "-a", "1"]));
    let mut killed = BTreeSet::new();
    eventually("the fleet gives up", || {
        for (pid, command) in children_of(up.pid()) {
            if command.contains("activity-worker:0") && killed.insert(pid) {
                kill(pid, Signal::ABORT);
            }
        }
        up.ended().is_some()
    });
    let (code, out, err) = (up.exit_code(), up.out.wait_end(), up.err.wait_end());
    assert_eq!(code, 70, "{err:#?}");
    let count = |text: &str| err.iter().filter(|line| line.contains(text)).count();
    let exits = count("ERROR: worker exited unexpectedly: activity-worker:0 (signal: 6)");
    assert_eq!((exits, killed.len()), (5, 5), "{err:#?}");
    assert_eq!(count("error: activity-worker:0 exited 5 times within 1m: giving up"), 1);
    assert!(out.contains(&"workflow-worker:0 shutting down".to_owned()), "{out:#?}");
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
