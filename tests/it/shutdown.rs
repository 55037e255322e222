//! Ctrl-C, SIGTERM, a second signal and `kill -9`: work in flight finishes, and no process is left
//! behind.

use std::{fs, net::TcpStream, thread, time::Instant};

use rustix::process::Signal;
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::{
    server::{self, activity_attempts, history},
    support::{FLEET, Process, World, children_of, eventually, get, program},
};

/// An order whose packing takes two seconds.
const ORDER: &str =
    r#"{"id": "1", "items": ["a"], "pack_ms": 2000, "hold_ms": 1, "card": "valid"}"#;

#[test]
fn ctrl_c_lets_a_running_activity_complete_at_its_first_attempt() {
    let world = World::new();
    let mut up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", ORDER]));
    let (workflow, _) = server::packing(&world.workflow_queue());
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
    let out = up.out.wait_end();
    assert!(out.contains(&"activity-worker:0 shutting down".to_owned()), "{out:?}");

    // No worker runs now. The next fleet continues the workflow that the first one left.
    let _up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    assert!(starter.out.wait_end()[0].contains("packed 1 item(s) at attempt 1, shipped"));
    let attempts = activity_attempts(&history(&workflow));
    assert!(attempts.iter().all(|(_, attempt)| *attempt == 1), "{attempts:?}");
}

#[test]
fn sigterm_to_every_process_at_once_completes_the_work_in_flight() {
    // systemd stops a service this way, and so does a machine that shuts down.
    let world = World::new();
    let mut up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", ORDER]));
    let (workflow, _) = server::packing(&world.workflow_queue());
    let workers = children_of(up.pid());
    assert_eq!(workers.len(), 2, "{workers:?}");
    up.signal(Signal::TERM);
    for (worker, _) in workers {
        crate::support::kill(worker, Signal::TERM);
    }
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
    let history = history(&workflow);
    let packed = server::count_events(&history, EventType::ActivityTaskCompleted);
    assert_eq!(packed, 2, "both activities, charge and pack, completed");
    let attempts = activity_attempts(&history);
    assert!(attempts.iter().all(|(_, attempt)| *attempt == 1), "{attempts:?}");
}

#[test]
fn workers_stopped_while_they_start_drain_and_exit_with_0() {
    let world = World::new();
    for _ in 0..3 {
        let mut up = Process::start(world.fleet(["up", "-w", "4", "-a", "2"]));
        up.out.wait_for("starting");
        up.signal(Signal::TERM);
        assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
        assert_eq!(up.err.wait_end(), [""; 0]);
    }
}

#[test]
fn ctrl_c_works_while_nobody_reads_the_results() {
    let world = World::new();
    let _up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    let long = "x".repeat(100_000);
    let order = format!(r#"{{"id": "{long}", "items": [], "hold_ms": 1, "card": "valid"}}"#);
    let mut starter = world.orders(["starter", "-n", "5", "--input", &order]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut starter = starter.stdout(writer).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("all orders are done", || {
        server::count(&world.workflow_queue(), "ExecutionStatus = 'Completed'") == 5
    });
    crate::support::kill(starter.id(), Signal::INT);
    eventually("the starter exits", || starter.try_wait().unwrap().is_some());
    assert_eq!(starter.wait().unwrap().code(), Some(130));
    drop(reader);
}

#[test]
fn sigterm_drains_a_worker_of_each_role() {
    let world = World::new();
    for role in ["workflow-worker", "activity-worker", "worker"] {
        let mut worker = Process::start(world.fleet(["worker", "--role", role]));
        worker.err.wait_for("worker starts polling");
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit_code(), 0, "{role}");
        worker.err.wait_for("drained");
    }
}

#[test]
fn work_in_flight_at_the_drain_deadline_is_abandoned_with_75_and_retried() {
    thread::scope(|scope| {
        scope.spawn(|| leaves_a_charge_with_75(["worker", "--role", "activity-worker"].as_slice()));
        scope.spawn(|| leaves_a_charge_with_75(["up", "-w", "0", "-a", "1"].as_slice()));
    });
}

fn leaves_a_charge_with_75(arguments: &[&str]) {
    // The charge activity ignores cancellation, and it takes longer than any deadline in this test.
    let order = r#"{"id": "1", "items": [], "charge_ms": 600000, "card": "valid"}"#;
    let world = World::new();
    let _workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
    let mut command = world.orders(arguments.iter().copied());
    command.env("FLEET_DRAIN_TIMEOUT", "300ms");
    let mut stopped = Process::start(command);
    let charge = || {
        let ids = server::workflow_ids(&world.workflow_queue());
        ids.iter().flat_map(|id| server::pending_activities(id)).next()
    };
    // Wait for the worker's own log line that the charge has started. The server already counts it as
    // started when it sends the task, and the SDK loses tasks that arrive after the polls have stopped.
    stopped.err.wait_for("activity Warehouse::charge may run for");
    stopped.signal(Signal::TERM);
    assert_eq!(stopped.exit_code(), 75, "{:?}", stopped.err.so_far());
    let err = stopped.err.wait_end();
    let error = "error: the drain was not over after 300ms (FLEET_DRAIN_TIMEOUT); Temporal retries \
                 what was in flight on another worker";
    assert_eq!(err.last().unwrap(), error);
    let warned = err.iter().any(|line| line.contains("drain deadline passed with work in flight"));
    assert!(warned, "{err:#?}");
    eventually("the server has another attempt", || {
        charge().is_some_and(|activity| activity.attempt > 1)
    });
}

#[test]
fn a_second_signal_ends_a_worker_immediately() {
    let world = World::new();
    let _workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut worker = Process::start(world.orders(["worker", "--role", "activity-worker"]));
        let order =
            r#"{"id": "1", "items": ["a"], "pack_ms": 60000, "hold_ms": 1, "card": "valid"}"#;
        let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
        eventually("this worker runs the packing", || {
            server::workflow_ids(&world.workflow_queue()).iter().any(|id| {
                server::pending_activities(id).iter().any(|activity| {
                    activity.last_worker_identity.ends_with(&format!(":{}", worker.pid()))
                })
            })
        });
        worker.signal(signal);
        worker.err.wait_for("draining");
        // A SIGHUP within a second of the first counts as the same.
        eventually("the worker ends", || {
            worker.signal(signal);
            worker.ended().is_some()
        });
        assert_eq!(worker.exit_code(), code);
    }
}

#[test]
fn a_second_ctrl_c_ends_up_and_its_workers_immediately() {
    let world = World::new();
    let mut up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    let order = r#"{"id": "1", "items": ["a"], "pack_ms": 60000, "hold_ms": 1, "card": "valid"}"#;
    let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
    server::packing(&world.workflow_queue());
    up.ctrl_c();
    up.out.wait_for("activity-worker:0 shutting down");
    up.ctrl_c();
    assert_eq!(up.exit_code(), 130);
    // Without the second signal, the packing would continue for the activity grace of 15 s.
    let exited = Instant::now();
    up.err.wait_end();
    assert!(exited.elapsed().as_secs() < 10, "{:?}", exited.elapsed());
}

#[test]
fn a_worker_stopped_while_connecting_exits_with_0_without_waiting_for_the_timeout() {
    let world = World::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = world.fleet(["worker", "--role", "workflow-worker"]);
        command.env("TEMPORAL_ADDRESS", "127.0.0.1:1");
        let mut worker = Process::start(command);
        worker.err.wait_for("trying again");
        let asked = Instant::now();
        worker.signal(signal);
        assert_eq!(worker.exit_code(), 0);
        // This is no measurement: retries last for a minute, so any time well below that shows that the
        // signal was obeyed.
        assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
    }
}

#[test]
fn killing_up_leaves_no_process_behind_not_even_the_server() {
    let world = World::new();
    let mut command =
        world.orders(["up", "-w", "1", "--dev-server", "--port", "0", "--ui-port", "0"]);
    command.env_remove("TEMPORAL_ADDRESS").env("RUST_LOG", "warn,temporal_fleet=info");
    let (mut up, health) = Process::start_probed(command);
    let line = up.err.wait_for("export TEMPORAL_ADDRESS=");
    let address = line.split_once('=').unwrap().1.to_owned();
    let mut starter = world.orders(["starter", "-n", "1", "--input", ORDER]);
    starter.env("TEMPORAL_ADDRESS", &address);
    let _starter = Process::start(starter);
    eventually("an activity is in flight", || {
        let in_flight = || {
            let fleet: serde_json::Value =
                serde_json::from_str(&get(&health, "/status")?.1).ok()?;
            let worker = get(fleet["workers"][0]["health_addr"].as_str()?, "/status")?.1;
            serde_json::from_str::<serde_json::Value>(&worker).ok()?["activities_in_hand"].as_u64()
        };
        in_flight() == Some(1)
    });

    up.signal(Signal::KILL);
    assert_eq!(up.exit_code(), 128 + 9);
    // The workers, the guard and the server share one stderr, which ends when all of them have exited.
    let err = up.err.wait_end();
    // The server stayed up until the last worker had drained.
    let drained = err.iter().filter(|line| line.contains("drained role=")).count();
    assert_eq!(drained, 2, "{err:#?}");
    assert!(!err.iter().any(|line| line.contains("WARN temporalio")), "{err:#?}");
    assert!(TcpStream::connect(&address).is_err(), "the server still listens");
}

#[test]
fn killing_a_demo_in_mid_batch_leaves_no_process_behind() {
    let mut demo = Process::start(program_args(&["demo", "-n", "100000"]));
    let address = demo.err.wait_for("Temporal dev server: ");
    let address = address.rsplit(' ').next().unwrap().to_owned();
    demo.out.wait_count(10);
    demo.signal(Signal::KILL);
    assert_eq!(demo.exit_code(), 128 + 9);
    demo.err.wait_end();
    assert!(TcpStream::connect(&address).is_err(), "the server still listens");
}

#[test]
fn killing_the_servers_guard_stops_the_fleet_and_leaves_no_server_behind() {
    let world = World::new();
    let mut command =
        world.fleet(["up", "--dev-server", "--port", "0", "--ui-port", "0", "-w", "1"]);
    command.env_remove("TEMPORAL_ADDRESS").env("FLEET_DRAIN_TIMEOUT", "3s");
    let mut up = Process::start(command);
    let line = up.err.wait_for("export TEMPORAL_ADDRESS=");
    let address = line.split_once('=').unwrap().1.to_owned();
    up.out.wait_for("activity-worker:0 starting");
    let guard = guard_of(up.pid());
    let output = format!("/proc/{}/fd/1", children_of(guard)[0].0);
    eventually("the server prints its greeting", || {
        fs::read_to_string(&output).unwrap().contains("Temporal CLI")
    });
    crate::support::kill(guard, Signal::KILL);
    assert_eq!(up.exit_code(), 70, "{:?}", up.err.so_far());
    let error = "error: the Temporal dev server ended unexpectedly (signal: 9)";
    // The error does not quote the greeting as its reason.
    assert_eq!(up.err.wait_for(error), error);
    up.err.wait_end();
    // The server was killed too, but no process waited for its end. On a busy machine it can take a
    // moment until it is gone.
    eventually("the server is gone", || TcpStream::connect(&address).is_err());
}

#[test]
fn ctrl_c_ends_a_demo_in_mid_batch_with_130_and_stops_everything() {
    let mut demo = Process::start(program_args(&["demo", "-n", "100000"]));
    demo.out.wait_count(10);
    demo.ctrl_c();
    assert_eq!(demo.exit_code(), 130, "{:?}", demo.err.so_far());
    let err = demo.err.wait_end();
    for worker in ["workflow-worker:0", "workflow-worker:1", "activity-worker:0"] {
        assert!(err.contains(&format!("{worker} shutting down")), "{err:#?}");
    }
}

fn program_args(arguments: &[&str]) -> std::process::Command {
    let mut command = program(FLEET);
    command.args(arguments);
    command
}

/// The child of a fleet that guards its dev server.
fn guard_of(up: u32) -> u32 {
    let guard = children_of(up).into_iter().find(|(_, command)| command.contains("guard"));
    guard.expect("the dev server has a guard").0
}
