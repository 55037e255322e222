//! Workers whose thread is blocked by workflow code, or that are stopped: they are named, and replaced.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    server,
    support::{Process, World, children_of, eventually, get, kill, program, run},
};

/// A workflow task that never ends.
const ENDLESS: [&str; 7] = [
    "starter",
    "-n",
    "1",
    "--workflow-type",
    "LoadWorkflow",
    "--input",
    r#"{"workflow_iterations":1000000000000000000}"#,
];

/// The id in a line that names a run of `LoadWorkflow`.
fn workflow_id(line: &str) -> String {
    let (_, name) = line.split_once("LoadWorkflow ").unwrap_or_else(|| panic!("no name: {line}"));
    name.split(' ').next().unwrap().to_owned()
}

/// The sum of a metric's samples, which are whole numbers.
fn metric(address: &str, name: &str) -> u64 {
    let text = get(address, "/metrics").unwrap().1;
    let samples = text.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_workflow_task_that_never_ends_is_named_its_worker_replaced_and_others_complete_meanwhile() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "3", "-a", "0", "--output", "json"]);
    up.env("FLEET_STUCK_TIMEOUT", "5s");
    let (up, health) = Process::start_probed(up);
    up.out.wait_for("fleet_ready");
    let mut endless = Process::start(world.fleet(ENDLESS));
    let event: Value = serde_json::from_str(&up.out.wait_for("worker_stuck")).unwrap();
    // The other workers work.
    let mut others = world.fleet(["starter", "-n", "100", "--workflow-type", "LoadWorkflow"]);
    others.args(["--input", r#"{"activities":0}"#]);
    assert_eq!(run(others).success().len(), 100);

    let running = &event["running"];
    assert_eq!(
        (&event["silent_for_ms"], &running["workflow_type"]),
        (&5000.into(), &"LoadWorkflow".into())
    );
    let id = running["workflow_id"].as_str().unwrap();
    assert!(!running["run_id"].as_str().unwrap().is_empty(), "{event}");
    assert!(endless.ended().is_none(), "the workflow still runs");
    let warned = up.err.wait_for("potential deadlock: the code of workflow LoadWorkflow ");
    assert_eq!(workflow_id(&warned), id);
    server::terminate(id, "it never ends");
    endless.exit_code();

    let is_exit = |line: &&String| line.contains(r#""worker_exited""#);
    let exited: Value = up.out.so_far().iter().find(is_exit).unwrap().parse().unwrap();
    assert_eq!((&exited["pid"], &exited["signal"]), (&event["pid"], &9.into()));
    eventually("all workers are ready again", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    assert!(metric(&health, "fleet_worker_stuck_total{") >= 1);
}

#[test]
fn a_worker_that_was_stopped_by_a_signal_is_replaced() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "0", "-a", "1"]);
    up.env("FLEET_STUCK_TIMEOUT", "5s");
    let mut up = Process::start_ready(up);
    let (worker, _) = children_of(up.pid()).remove(0);
    kill(worker, Signal::STOP);
    let line = up.err.wait_for("ERROR: worker stuck: ");
    let stuck =
        "ERROR: worker stuck: activity-worker:0 gave no sign of life for 5s and is replaced: ";
    assert!(line.starts_with(stuck), "{line}");
    eventually("another process works in its place", || {
        let workers = children_of(up.pid());
        workers.first().is_some_and(|(pid, _)| *pid != worker)
    });
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
}

#[test]
fn a_workflow_that_ends_worker_after_worker_is_named_after_the_third_and_the_fleet_goes_on() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "1", "-a", "0"]);
    up.env("FLEET_STUCK_TIMEOUT", "0");
    let (mut up, health) = Process::start_probed(up);
    eventually("the fleet is ready", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    let mut endless = world.fleet(ENDLESS);
    // Each worker gets the task a second after the one before it has lost it.
    endless.args(["--task-timeout", "1s"]);
    let mut endless = Process::start(endless);
    let deadlocks = || {
        let err = up.err.so_far();
        err.into_iter().filter(|line| line.contains("potential deadlock: ")).collect::<Vec<_>>()
    };
    for nth in 1..=5 {
        eventually("a worker runs the code", || deadlocks().len() == nth);
        assert_eq!(metric(&health, "fleet_workflow_poison_total{"), u64::from(nth > 3));
        // As code does that aborts.
        kill(children_of(up.pid())[0].0, Signal::ABORT);
    }
    let id = workflow_id(&deadlocks()[0]);
    let line = up.err.wait_for("has ended or blocked its worker 3 times");
    assert_eq!(workflow_id(&line), id);
    let stop = format!("`fleet trace {id}`; to stop it: `temporal workflow terminate -w {id}`");
    assert!(line.ends_with(&stop), "{line}");
    server::terminate(&id, "it ends workers");
    endless.exit_code();
    let mut others = world.fleet(["starter", "-n", "5", "--workflow-type", "LoadWorkflow"]);
    others.args(["--input", r#"{"activities":0}"#]);
    assert_eq!(run(others).success().len(), 5);
    let named = up.err.so_far().iter().filter(|line| line.contains("to stop it")).count();
    assert_eq!(named, 1);
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
}

/// A process that uses a core as long as the value lives.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        let mut shell = program("sh");
        // It ends with this test even if the test is killed.
        shell.args(["-c", "while kill -0 $PPID; do :; done"]).stderr(Stdio::null());
        Self(shell.spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn busy_workers_on_a_busy_machine_are_not_taken_for_stuck() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "2", "-a", "0"]);
    up.env("FLEET_STUCK_TIMEOUT", "5s").env("FLEET_MAX_CONCURRENT_WORKFLOW_TASKS", "20");
    let mut up = Process::start_ready(up);
    let _busy: Vec<_> = (0..4).map(|_| Busy::start()).collect();
    let start = Instant::now();
    // Each worker computes without a pause, for longer than it may be silent.
    while start.elapsed() < Duration::from_secs(12) {
        let load = r#"{"workflow_iterations":3000000,"activities":0}"#;
        let mut starter = world.fleet(["starter", "-n", "100", "--concurrency", "100"]);
        starter.args(["--workflow-type", "LoadWorkflow", "--input", load]);
        run(starter).success();
    }
    let err = up.err.so_far();
    assert!(!err.iter().any(|line| line.contains("stuck")), "{err:#?}");
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
}

#[test]
fn a_supervisor_that_was_stopped_for_a_while_replaces_nobody() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    up.env("FLEET_STUCK_TIMEOUT", "5s");
    let mut up = Process::start_ready(up);
    let workers = children_of(up.pid());
    for process in [vec![up.pid()], vec![up.pid(), workers[0].0, workers[1].0]] {
        for pid in &process {
            kill(*pid, Signal::STOP);
        }
        let stopped = Instant::now();
        eventually("it was stopped for longer than a worker may be silent", || {
            stopped.elapsed() > Duration::from_secs(8)
        });
        for pid in &process {
            kill(*pid, Signal::CONT);
        }
        assert_eq!(run(world.fleet(["starter", "-n", "5"])).success().len(), 5);
    }
    assert_eq!(children_of(up.pid()), workers, "{:#?}", up.err.so_far());
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
}

#[test]
fn a_stuck_worker_without_a_supervisor_says_so_in_its_log_and_to_every_probe() {
    let world = World::new();
    let mut worker = world.fleet(["worker", "--role", "workflow-worker"]);
    worker.env("FLEET_STUCK_TIMEOUT", "5s").env("FLEET_DRAIN_TIMEOUT", "1s");
    let (mut worker, health) = Process::start_probed(worker);
    worker.err.wait_for("ready: ");
    let mut endless = Process::start(world.fleet(ENDLESS));
    let warned = worker.err.wait_for("potential deadlock: ");
    // This one waits for the thread, and is not blamed.
    let mut waits = Process::start(world.fleet(["starter", "-n", "1"]));
    let stuck = worker.err.wait_for("this worker is stuck: no sign of life for 5s: ");
    assert_eq!(workflow_id(&warned), workflow_id(&stuck));
    assert!(stuck.ends_with("see FLEET_STUCK_EXIT"), "{stuck}");
    assert_eq!(get(&health, "/livez"), Some((503, "stuck".into())));
    assert_eq!(get(&health, "/readyz"), Some((503, "stuck".into())));
    let status: Value = serde_json::from_str(&get(&health, "/status").unwrap().1).unwrap();
    assert_eq!(status["state"], "stuck");
    assert_eq!(metric(&health, r#"fleet_worker_state{role="workflow-worker",state="stuck"}"#), 1);
    let warnings = worker.err.so_far();
    let warnings: Vec<_> = warnings.iter().filter(|line| line.contains("deadlock")).collect();
    assert_eq!(warnings, [&warned]);
    assert!(worker.ended().is_none());
    server::terminate(&workflow_id(&stuck), "it never ends");
    endless.exit_code();
    waits.signal(Signal::TERM);
    waits.exit_code();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 75);
}

#[test]
fn a_stuck_worker_exits_with_70_where_an_orchestrator_starts_it_again() {
    let world = World::new();
    let mut worker = world.fleet(["worker", "--role", "workflow-worker"]);
    worker.env("FLEET_STUCK_TIMEOUT", "5s").env("FLEET_STUCK_EXIT", "true");
    let mut worker = Process::start(worker);
    worker.err.wait_for("ready: ");
    let mut endless = Process::start(world.fleet(ENDLESS));
    assert_eq!(worker.exit_code(), 70);
    let stuck = worker.err.wait_for("this worker is stuck: no sign of life for 5s: ");
    assert!(stuck.ends_with("does not return; exiting"), "{stuck}");
    server::terminate(&workflow_id(&stuck), "it never ends");
    endless.exit_code();
}
