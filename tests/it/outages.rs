//! A server that is away for a while: what the log says of it.

use rustix::process::Signal;

use crate::{
    server::{OwnServer, StoredServer},
    support::{Process, World, free_port},
};

#[test]
fn an_outage_is_two_lines_however_many_workflows_are_awaited() {
    let world = World::new();
    let mut server = StoredServer::start();
    // Its queue is another one, so that the workflows stay where they are.
    let mut worker = server.used_by(world.fleet(["worker", "--role", "worker"]));
    worker.env("FLEET_WORKFLOW_TASK_QUEUE", format!("{}-other", world.id()));
    let worker = Process::start(worker);
    worker.err.wait_for("ready: ");
    let mut starter = Process::start(server.used_by(world.fleet([
        "starter",
        "-n",
        "100",
        "--concurrency",
        "100",
    ])));
    // All are started and awaited by then.
    starter.err.wait_for("to see more: ");
    let before = [&starter, &worker].map(|process| process.err.so_far().len());

    server.kill();
    for process in [&starter, &worker] {
        process.err.wait_for("does not answer");
    }
    server.start_again();
    for (process, before) in [&starter, &worker].into_iter().zip(before) {
        process.err.wait_for("answers again, after ");
        let lines = process.err.so_far().split_off(before);
        let (away, back) = ("Temporal at http://127.0.0.1", "answers again");
        assert!(lines[0].contains(away) && lines[0].contains("does not answer: "), "{lines:#?}");
        assert!(lines[1].contains(away) && lines[1].contains(back), "{lines:#?}");
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
    starter.signal(Signal::TERM);
    starter.exit_code();
}

#[test]
fn the_sdks_lines_of_an_outage_are_there_for_those_who_choose_a_filter() {
    let world = World::new();
    let port = free_port().to_string();
    let mut server = OwnServer::start(&port, &[]);
    let mut worker = world.fleet(["worker", "--role", "activity-worker"]);
    worker.env("TEMPORAL_ADDRESS", format!("127.0.0.1:{port}")).env("RUST_LOG", "warn");
    let worker = Process::start_ready(worker);
    server.signal(Signal::KILL);
    server.up.exit_code();
    worker.err.wait_for("temporalio_client::retry: ");
}
