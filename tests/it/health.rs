//! `/livez`, `/readyz`, `/status` and `fleet health`: their answers match the state of the workers.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    proxy::PollTrap,
    server::{self, OwnServer},
    support::{FLEET, Process, World, eventually, get, kill, labels, program, run},
};

fn health(address: &str, arguments: &[&str]) -> i32 {
    let mut command = program(FLEET);
    command.arg("health").args(arguments).env("FLEET_HEALTH_ADDR", address);
    run(command).code
}

fn status(address: &str) -> Value {
    serde_json::from_str(&get(address, "/status").unwrap().1).unwrap()
}

#[track_caller]
fn eventually_answers(address: &str, path: &str, expected: (u16, &str)) {
    let mut answer = None;
    eventually(&format!("{path} answers {expected:?}"), || {
        answer = get(address, path);
        answer.as_ref().is_some_and(|(code, body)| (*code, body.as_str()) == expected)
    });
}

#[test]
fn a_worker_is_ready_while_it_polls_and_alive_until_it_has_drained() {
    let world = World::new();
    let _workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    let activities = world.orders(["worker", "--role", "activity-worker"]);
    let (mut worker, address) = Process::start_probed(activities);
    eventually_answers(&address, "/readyz", (200, "ready"));
    assert_eq!((health(&address, &[]), health(&address, &["--live"])), (0, 0));
    let now = status(&address);
    assert_eq!(now["state"], "ready");
    assert_eq!(now["role"], "activity-worker");
    assert_eq!(now["task_queue"], world.activity_queue());
    assert_eq!(now["pid"], worker.pid());
    assert!(now["identity"].as_str().unwrap().ends_with(&format!(":{}", worker.pid())));
    assert_eq!(
        (&now["workflow_tasks_in_hand"], &now["activities_in_hand"]),
        (&0.into(), &0.into())
    );
    assert!(now["build_id"].as_str().is_some_and(|build_id| !build_id.is_empty()), "{now}");
    assert_eq!(get(&address, "/nonsense").unwrap().0, 404);

    let order = r#"{"id": "1", "items": ["a"], "pack_ms": 3000, "hold_ms": 1, "card": "valid"}"#;
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
    server::packing(&world.workflow_queue());
    eventually("the activity is counted", || status(&address)["activities_in_hand"] == 1);
    worker.signal(Signal::TERM);
    eventually_answers(&address, "/readyz", (503, "draining"));
    assert_eq!(get(&address, "/livez"), Some((200, "alive".into())));
    assert_eq!((health(&address, &[]), health(&address, &["--live"])), (1, 0));
    assert_eq!(status(&address)["state"], "draining");
    assert_eq!(worker.exit_code(), 0);
    assert_eq!(health(&address, &["--live"]), 1);
    let _activities = Process::start(world.orders(["worker", "--role", "activity-worker"]));
    assert_eq!(starter.exit_code(), 0);
}

#[test]
fn a_worker_is_alive_but_not_ready_while_its_server_is_silent() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = world.fleet(["worker", "--role", "workflow-worker"]);
    command.env("TEMPORAL_ADDRESS", silent.local_addr().unwrap().to_string());
    let (worker, address) = Process::start_probed(command);
    worker.err.wait_for("no answer within 5s");
    assert_eq!(get(&address, "/readyz"), Some((503, "starting".into())));
    assert_eq!(get(&address, "/livez"), Some((200, "alive".into())));
    assert_eq!(status(&address)["state"], "starting");
}

#[test]
fn a_worker_becomes_ready_when_a_paused_server_resumes() {
    let world = World::new();
    let server = OwnServer::start("0", &[]);
    server.signal(Signal::STOP);

    let mut command = world.fleet(["worker", "--role", "activity-worker"]);
    command.env("TEMPORAL_ADDRESS", &server.address);
    let (worker, address) = Process::start_probed(command);
    worker.err.wait_for("no answer within 5s");
    assert_eq!(get(&address, "/readyz"), Some((503, "starting".into())));
    server.signal(Signal::CONT);
    eventually_answers(&address, "/readyz", (200, "ready"));
}

#[test]
fn a_worker_is_not_ready_until_the_server_answers_its_first_polls() {
    // The SDK counts a poller as soon as it sends a poll, even if the server does not answer.
    let world = World::new();
    let server = OwnServer::start("0", &[]);
    for (role, poll) in
        [("activity-worker", "PollActivityTaskQueue"), ("workflow-worker", "PollWorkflowTaskQueue")]
    {
        let temporal = server.temporal;
        let trap = PollTrap::open(&server.address, move || kill(temporal, Signal::STOP));
        let mut command = world.fleet(["worker", "--role", role]);
        command.env("TEMPORAL_ADDRESS", &trap.address);
        let (worker, address) = Process::start_probed(command);
        let not_ready = || {
            let err = worker.err.so_far();
            assert!(!err.iter().any(|line| line.contains("ready")), "{role}: {err:#?}");
        };
        eventually("its polls and its requests for the pollers wait for an answer", || {
            not_ready();
            trap.unanswered(poll) >= 2 && trap.unanswered("DescribeTaskQueue") >= 1
        });
        assert_eq!(get(&address, "/readyz"), Some((503, "starting".into())));
        assert_eq!(get(&address, "/livez"), Some((200, "alive".into())));
        assert_eq!(status(&address)["state"], "starting");
        not_ready();
        server.signal(Signal::CONT);
        eventually_answers(&address, "/readyz", (200, "ready"));
    }
}

#[test]
fn the_health_address_of_up_reports_the_fleet_and_each_workers_address() {
    let world = World::new();
    let (mut up, address) = Process::start_probed(world.fleet(["up", "-w", "2", "-a", "1"]));
    eventually_answers(&address, "/readyz", (200, "ready"));
    assert_eq!(health(&address, &[]), 0);
    let workers = status(&address)["workers"].as_array().unwrap().clone();
    let names: Vec<_> = workers.iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["activity-worker:0", "workflow-worker:0", "workflow-worker:1"]);
    for worker in &workers {
        let own = status(worker["health_addr"].as_str().unwrap());
        assert_eq!(own["pid"], worker["pid"]);
        assert_eq!(own["role"], worker["role"]);
        assert_eq!((&own["state"], &worker["state"]), (&"ready".into(), &"ready".into()));
    }

    let [label, ..] = labels(&run(world.fleet(["starter", "-n", "1"])).success()[0]);
    kill(label.parse().unwrap(), Signal::KILL);
    eventually("the killed worker is replaced", || {
        let now = status(&address);
        now["workers"].as_array().unwrap().iter().any(|worker| worker["restarts"] == 1)
    });
    eventually_answers(&address, "/readyz", (200, "ready"));
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0);
}

#[test]
fn a_fleet_of_many_workers_is_ready_before_its_first_polls_end() {
    // A task queue has several partitions. Each poll reaches only one of them and lasts for a minute.
    let world = World::new();
    let start = Instant::now();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "10", "-a", "0"]));
    assert!(start.elapsed().as_secs() < 55, "{:?}", start.elapsed());
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
}

#[test]
fn a_health_address_in_use_is_a_configuration_error() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [&["worker", "--role", "worker"][..], &["up"]] {
        let mut command = world.fleet(arguments.iter().copied());
        command.env("FLEET_HEALTH_ADDR", &address);
        let finished = run(command);
        assert_eq!(finished.code, 78, "{finished:#?}");
        let expected =
            format!("error: cannot listen for health probes on {address} (FLEET_HEALTH_ADDR): ");
        assert!(finished.err.last().unwrap().starts_with(&expected), "{finished:#?}");
    }
}

#[test]
fn oversized_and_slow_requests_do_not_keep_others_from_an_answer() {
    let world = World::new();
    let activities = world.fleet(["worker", "--role", "activity-worker"]);
    let (_worker, address) = Process::start_probed(activities);
    eventually_answers(&address, "/readyz", (200, "ready"));

    let mut slow: Vec<_> = (0..256).map(|_| TcpStream::connect(&address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /liv").unwrap();
    }
    let mut large = TcpStream::connect(&address).unwrap();
    // The listener may close the connection before the whole request is written.
    let _ = large.write_all(format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(1 << 20)).as_bytes());
    let mut answer = String::new();
    let _ = large.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(get(&address, "/livez"), Some((200, "alive".into())));
}

#[test]
fn clients_that_stay_do_not_keep_a_probe_from_an_answer() {
    let world = World::new();
    let activities = world.fleet(["worker", "--role", "activity-worker"]);
    let (_worker, address) = Process::start_probed(activities);
    eventually_answers(&address, "/readyz", (200, "ready"));

    let idle: Vec<_> = (0..500).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(get(&address, "/livez"), Some((200, "alive".into())));
    drop(idle);

    // A connection ends with its first answer, so that a client that asks again and again has no place
    // of its own.
    let mut patient = TcpStream::connect(&address).unwrap();
    patient.write_all(b"GET /livez HTTP/1.1\r\nHost: fleet\r\n\r\n").unwrap();
    let mut answer = String::new();
    patient.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("alive"), "{answer}");
}
