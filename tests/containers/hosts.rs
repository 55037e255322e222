//! Hosts as they are: without figures about the memory, and a user that no list names.

use crate::{
    project::{IMAGE, Project, build_image, docker},
    server,
    support::{Process, program, run},
};

#[test]
fn a_worker_works_where_the_size_of_the_memory_cannot_be_read() {
    let fleet = Project::new();
    fleet.up(1);
    let network = fleet.network();
    let mut worker = program("docker");
    // As `subset=pid` or ProcSubset=pid hide it.
    worker.args(["run", "--rm", "--network", &network, "--volume", "/dev/null:/proc/meminfo:ro"]);
    worker.args(["--env", "TEMPORAL_ADDRESS=temporal:7233"]);
    worker.args(["--env", "FLEET_WORKFLOW_TASK_QUEUE=hidden", "--env", "FLEET_ROLE=worker", IMAGE]);
    let mut worker = Process::start(worker);
    worker.err.wait_for("the size of the memory cannot be read (/proc/meminfo)");
    let results = run(fleet.starter(["-n", "3", "--task-queue", "hidden"])).success();
    assert_eq!(results.len(), 3);
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.exit_code(), 0);
}

#[test]
fn a_demo_runs_as_a_user_that_no_list_names() {
    build_image();
    // This makes sure that the CLI is in the cache folder.
    let server = server::OwnServer::start("0", &[]);
    let cli = format!("{}:/temporal:ro", server.cli);
    drop(server);
    let demo = docker([
        "run",
        "--rm",
        "--user",
        "54321:54321",
        "--tmpfs",
        "/tmp:mode=1777",
        "--env",
        "FLEET_HEALTH_ADDR=",
        "--volume",
        &cli,
        IMAGE,
        "demo",
        "-n",
        "2",
        "--temporal-cli",
        "/temporal",
    ]);
    assert_eq!(demo.len(), 2, "{demo:#?}");
}
