//! Failures of containers: one is killed, loses its network or its server, or gets a wrong address.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::{
    project::{Project, docker},
    scale::Batch,
    support::{eventually, program, run},
};

#[test]
fn a_killed_worker_is_restarted_and_the_batch_completes() {
    let fleet = Project::new();
    fleet.up(2);
    let batch = Batch::start(&fleet, 150);
    batch.completed(20);
    let killed = fleet.containers("workflow-worker").remove(0);
    killed.signal_from_host(Signal::KILL);
    eventually("the engine starts the container again", || {
        killed.inspect()["RestartCount"] == 1 && killed.state()["Running"] == true
    });
    fleet.healthy("workflow-worker", 2);
    batch.whole();
}

/// docs/operations.md describes this.
#[test]
fn docker_kill_counts_as_a_deliberate_stop_and_nothing_is_restarted() {
    let fleet = Project::new();
    fleet.up(1);
    let worker = fleet.container("activity-worker");
    docker(["kill", &worker.0]);
    eventually("the container has exited", || worker.state()["Status"] == "exited");
    assert_eq!(worker.state()["ExitCode"], 137);
    assert_eq!(worker.inspect()["RestartCount"], 0);
    run(fleet.compose(["up", "--detach", "--no-build", "activity-worker"])).success();
    fleet.healthy("activity-worker", 1);
}

#[test]
fn a_server_restarted_in_mid_batch_loses_nothing() {
    let fleet = Project::new();
    fleet.up(2);
    let before: Vec<_> =
        fleet.containers("workflow-worker").into_iter().map(|container| container.0).collect();
    let batch = Batch::start(&fleet, 150);
    batch.completed(20);
    fleet.run(["restart", "temporal"]);
    batch.whole();
    for worker in fleet.containers("workflow-worker") {
        assert!(before.contains(&worker.0));
        assert_eq!(worker.inspect()["RestartCount"], 0, "a worker outlives its server");
    }
}

#[test]
fn a_worker_resumes_when_its_network_is_back() {
    let fleet = Project::new();
    fleet.up(1);
    let (worker, network) = (fleet.container("workflow-worker"), fleet.network());
    let batch = Batch::start(&fleet, 150);
    batch.completed(20);
    docker(["network", "disconnect", &network, &worker.0]);
    // No other worker can run the rest of the batch.
    assert_eq!(worker.state()["Running"], true);
    docker(["network", "connect", &network, &worker.0]);
    batch.whole();
    assert_eq!(worker.inspect()["RestartCount"], 0, "a worker outlives the network");
}

#[test]
fn cuts_of_the_network_to_a_worker_and_to_the_server_lose_nothing() {
    let fleet = Project::new();
    fleet.up(2);
    let network = fleet.network();
    let batch = Batch::start(&fleet, 250);
    batch.completed(20);
    let cut_off = fleet.containers("workflow-worker").remove(0);
    docker(["network", "disconnect", &network, &cut_off.0]);
    // The other worker continues, also with what the first one had begun.
    batch.completed(80);
    docker(["network", "connect", &network, &cut_off.0]);
    batch.completed(120);

    let server = fleet.container("temporal");
    let worker = fleet.container("activity-worker");
    docker(["network", "disconnect", &network, &server.0]);
    eventually("the activity worker notices the outage", || {
        let mut logs = program("docker");
        logs.args(["logs", &worker.0]);
        run(logs).err.iter().any(|line| line.contains("does not answer"))
    });
    // The service's name is an alias that Compose gives, and that a cut takes away.
    docker(["network", "connect", "--alias", "temporal", &network, &server.0]);
    let workflows = batch.whole();
    assert_eq!(workflows.iter().collect::<BTreeSet<_>>().len(), 250);
    for service in ["workflow-worker", "activity-worker"] {
        for worker in fleet.containers(service) {
            assert_eq!(worker.inspect()["RestartCount"], 0, "{service} outlives the cuts");
        }
    }
}

#[test]
fn a_wrong_address_ends_the_container_with_one_line_and_exit_code_69_or_78() {
    let fleet = Project::new();
    let worker = |address: &str| {
        let address = format!("TEMPORAL_ADDRESS={address}");
        run(fleet.compose([
            "run",
            "--rm",
            "--no-TTY",
            "--no-deps",
            "--env",
            &address,
            "--env",
            "FLEET_CONNECT_TIMEOUT=1s",
            "workflow-worker",
        ]))
    };
    for (address, code, line) in [
        ("temporal:7233/path", 78, "expected host:port"),
        ("no-such-host.invalid:7233", 69, "no-such-host.invalid cannot be resolved"),
    ] {
        let ended = worker(address);
        assert_eq!(ended.code, code, "{ended:#?}");
        let errors: Vec<_> = ended.err.iter().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(line), "{ended:#?}");
    }
}
