//! Readiness that is taken back while the server does not serve a worker, and given again.

use crate::{
    proxy::RefusingPort,
    server::{self, OwnServer, StoredServer},
    support::{Process, World, eventually, get, program, run},
};

#[track_caller]
fn eventually_ready(health: &str, expected: (u16, &str)) {
    let mut answer = None;
    eventually(&format!("/readyz answers {expected:?}"), || {
        answer = get(health, "/readyz");
        answer.as_ref().is_some_and(|(code, word)| (*code, word.as_str()) == expected)
    });
}

#[test]
fn ready_is_taken_back_while_the_server_is_away_and_given_again() {
    let world = World::new();
    let mut server = StoredServer::start();
    let worker = server.used_by(world.fleet(["worker", "--role", "workflow-worker"]));
    let (_worker, health) = Process::start_probed(worker);
    let up = server.used_by(world.fleet(["up", "-w", "0", "-a", "1", "--output", "json"]));
    let (up, fleet) = Process::start_probed(up);
    for health in [&health, &fleet] {
        eventually_ready(health, (200, "ready"));
    }
    server.kill();
    eventually_ready(&health, (503, "disconnected"));
    eventually_ready(&fleet, (503, "not ready: activity-worker:0"));
    assert_eq!(get(&health, "/livez"), Some((200, "alive".into())));
    up.out.wait_for(r#""event":"worker_disconnected","worker":"activity-worker:0""#);

    server.start_again();
    for health in [&health, &fleet] {
        eventually_ready(health, (200, "ready"));
    }
    let starts = up.out.so_far().iter().filter(|line| line.contains("worker_starting")).count();
    assert_eq!(starts, 1, "nobody was replaced");
}

#[test]
fn ready_is_taken_back_when_the_namespace_is_gone() {
    let world = World::new();
    let server = OwnServer::start("0", &[]);
    let namespace = |action: &str| {
        let mut command = program(&server.cli);
        command.args(["operator", "namespace", action, "--namespace", "here-for-now"]);
        command.args(["--address", &server.address]);
        command
    };
    run(namespace("create")).success();
    let mut worker = world.fleet(["worker", "--role", "activity-worker"]);
    worker.env("TEMPORAL_ADDRESS", &server.address).env("TEMPORAL_NAMESPACE", "here-for-now");
    worker.env("FLEET_CONNECT_TIMEOUT", "60s");
    let (worker, health) = Process::start_probed(worker);
    eventually_ready(&health, (200, "ready"));
    let mut delete = namespace("delete");
    delete.arg("--yes");
    run(delete).success();
    worker.err.wait_for("not ready any more: namespace \"here-for-now\" does not exist any more");
    assert_ne!(get(&health, "/readyz").map(|(code, _)| code), Some(200));
}

#[test]
fn a_worker_that_may_not_ask_who_polls_says_so_once_and_is_ready_when_its_polls_are_accepted() {
    let world = World::new();
    let port = RefusingPort::without_descriptions(server::address());
    let mut worker = world.fleet(["worker", "--role", "activity-worker"]);
    worker.env("TEMPORAL_ADDRESS", &port.address);
    let (worker, health) = Process::start_probed(worker);
    let said = worker.err.wait_for("this worker may not ask who polls task queue ");
    assert!(said.contains("no permission"), "{said}");
    eventually_ready(&health, (200, "ready"));
    worker.err.wait_for("ready: the server accepts this worker's polls");
    let err = worker.err.so_far();
    assert_eq!(err.iter().filter(|line| line.contains("may not ask")).count(), 1, "{err:#?}");
}
