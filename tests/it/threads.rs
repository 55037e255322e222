//! `FLEET_ACTIVITY_THREADS`: the threads on which a worker runs activities.

use serde_json::Value;

use crate::support::{Process, World, eventually, get};

/// Starts an activity worker that answers health probes, and returns its health address too.
fn activity_worker(world: &World, threads: Option<&str>) -> (Process, String) {
    let mut command = world.fleet(["worker", "--role", "activity-worker"]);
    if let Some(threads) = threads {
        command.env("FLEET_ACTIVITY_THREADS", threads);
    }
    let (worker, address) = Process::start_probed(command);
    worker.err.wait_for("ready");
    (worker, address)
}

/// Counts tokio's worker threads, which do not include the main thread of the process.
#[cfg(target_os = "linux")]
fn threads_beside(worker: &Process) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap();
    let names =
        tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("tokio-rt-worker")).count()
}

#[cfg(target_os = "linux")]
#[test]
fn async_activities_use_the_configured_threads_one_of_which_is_the_workers_own() {
    let world = World::new();
    for (given, beside) in [(None, 0), (Some("1"), 0), (Some("3"), 3)] {
        let (worker, _) = activity_worker(&world, given);
        assert_eq!(threads_beside(&worker), beside, "{given:?}");
    }
}

#[test]
fn cpu_bound_activities_run_in_parallel_in_a_worker_with_one_thread() {
    let world = World::new();
    let _workflows = Process::start(world.fleet(["worker", "--role", "workflow-worker"]));
    let (_worker, address) = activity_worker(&world, Some("1"));
    // Each activity takes seconds, so that the second one has to start while the first one runs.
    let load = r#"{"parallel": 2, "activity_iterations": 300000000}"#;
    let mut starter = Process::start(world.fleet([
        "starter",
        "-n",
        "1",
        "--workflow-type",
        "LoadWorkflow",
        "--input",
        load,
    ]));
    eventually("both activities run", || {
        let (_, status) = get(&address, "/status").unwrap();
        serde_json::from_str::<Value>(&status).unwrap()["activities_in_hand"] == 2
    });
    assert_eq!(starter.exit_code(), 0);
}
