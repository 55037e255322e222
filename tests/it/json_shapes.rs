//! The fields of JSON output and their types, which scripts rely on.

use std::process::Command;

use serde_json::Value;

use crate::{
    server::{self, pending_timers, the_workflow, workflow_ids},
    shape::shape,
    snapshot::{assert_snapshot, undisturbed},
    support::{HELD, Process, STOLEN, World, eventually, get, held_order, run},
};

/// Returns the lines of JSON that a command prints on stdout.
#[track_caller]
fn json_lines(command: Command) -> Vec<Value> {
    let finished = run(command);
    assert!(!finished.out.is_empty(), "{finished:#?}");
    finished.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const TRACE_MAPS: [&str; 1] = [".other_events"];

#[test]
fn the_json_of_trace_keeps_its_shape() {
    let timeline = undisturbed(|world| {
        let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
        run(world.fleet(["starter", "-n", "1"])).success();
        let id = the_workflow(&world.workflow_queue());
        json_lines(world.fleet(["trace", &id, "--output", "json"]))
    });
    assert_snapshot!(exact "json_trace", shape(&timeline, &TRACE_MAPS));
}

#[test]
fn the_json_of_trace_keeps_its_shape_while_a_workflow_runs() {
    let timeline = undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        let (_starter, id) = held_order(world);
        json_lines(world.orders(["trace", &id, "--output", "json"]))
    });
    assert_snapshot!(exact "json_trace_running", shape(&timeline, &TRACE_MAPS));
}

#[test]
fn the_json_of_trace_keeps_its_shape_when_workflows_retried_failed_or_were_terminated() {
    let timelines = undisturbed(|world| {
        let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
        // One order is charged at the second attempt, and terminated while it is held.
        let input = HELD.replace("valid", "flaky");
        let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", &input]));
        let id = the_workflow(&world.workflow_queue());
        eventually("the order is held", || pending_timers(&id) == 1);
        server::terminate(&id, "the customer is gone");
        assert_eq!(starter.exit_code(), 1);
        let failed = world.orders(["starter", "-n", "1", "--input", STOLEN]);
        assert_eq!(run(failed).code, 1);
        let mut ids = Vec::new();
        eventually("the server lists both orders", || {
            ids = workflow_ids(&world.workflow_queue());
            ids.len() == 2
        });
        let traces = ids.iter().map(|id| world.orders(["trace", id, "--output", "json"]));
        traces.flat_map(json_lines).collect::<Vec<_>>()
    });
    assert_snapshot!(exact "json_trace_failed", shape(&timelines, &TRACE_MAPS));
}

#[test]
fn the_json_of_status_keeps_its_shape() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let status = json_lines(world.fleet(["status", "--output", "json"]));
    assert_snapshot!(exact "json_status", shape(&status, &[]));
}

#[test]
fn the_json_of_status_keeps_its_shape_while_tasks_wait() {
    let world = World::new();
    let _starter = Process::start(world.fleet(["starter", "-n", "1"]));
    eventually("the workflow task waits", || run(world.fleet(["status", "--check"])).code == 1);
    let status = json_lines(world.fleet(["status", "--output", "json"]));
    assert_snapshot!(exact "json_status_unserved", shape(&status, &[]));
}

const BENCH_MAPS: [&str; 1] = [".causes"];

#[test]
fn the_json_of_bench_keeps_its_shape() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let arguments = ["bench", "--count", "4", "--slo", "p99=1h", "--output", "json"];
    let closed = |more: &[&str]| {
        let mut command = world.fleet(arguments);
        command.args(more);
        shape(&json_lines(command), &BENCH_MAPS)
    };
    assert_snapshot!(exact "json_bench_closed_loop", closed(&["--concurrency", "2"]));
    assert_snapshot!(exact "json_bench_open_loop", closed(&["--rate", "20/s"]));
}

#[test]
fn the_json_of_bench_keeps_its_shape_when_workflows_fail() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let mut bench = world.orders(["bench", "--count", "2", "--concurrency", "2"]);
    bench.args(["--workflow-type", "OrderWorkflow", "--input", STOLEN, "--output", "json"]);
    // The shape of the input is left out, because it is the caller's own.
    let mut lines = json_lines(bench);
    assert_eq!(lines[0]["input"].take()["card"], "stolen");
    assert_snapshot!(exact "json_bench_failed", shape(&lines, &BENCH_MAPS));
}

/// Returns the shapes of the lines for workflows and of the summary.
fn starter_shapes(starter: Command) -> String {
    let lines = json_lines(starter);
    let (summary, workflows) = lines.split_last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert!(workflows.iter().all(|line| line["type"] == "workflow"), "{lines:#?}");
    let maps = [".workers.workflows", ".workers.activities"];
    format!(
        "each workflow:\n{}\n\nthe summary:\n{}",
        shape(workflows, &maps),
        shape([summary], &maps)
    )
}

#[test]
fn the_json_of_the_starter_keeps_its_shape() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let starter = world.fleet(["starter", "-n", "2", "--output", "json"]);
    assert_snapshot!(exact "json_starter", starter_shapes(starter));
}

#[test]
fn the_json_of_the_starter_keeps_its_shape_when_workflows_fail_or_still_run() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let starter =
        |input| world.orders(["starter", "-n", "2", "--output", "json", "--input", input]);
    assert_snapshot!(exact "json_starter_failed", starter_shapes(starter(STOLEN)));
    let mut running = starter(HELD);
    running.args(["--timeout", "1s"]);
    assert_snapshot!(exact "json_starter_timed_out", starter_shapes(running));
}

#[test]
fn the_json_of_chaos_keeps_its_shape() {
    let world = World::new();
    let (_up, health) = Process::start_probed(world.fleet(["up", "-w", "1", "-a", "2"]));
    eventually("the fleet is ready", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    let mut chaos = world.fleet(["chaos", "--fleet", &health, "--output", "json"]);
    chaos.args(["--duration", "3s", "--workflows", "3", "--stop", "1s", "--freeze", "0"]);
    chaos.args(["--kill", "0", "--input", r#"{"timer_ms": 4000}"#]);
    let mut chaos = Process::start(chaos);
    // One is lost, so that the list of the lost ones has a shape too.
    server::terminate(&the_workflow(&world.workflow_queue()), "a test");
    assert_eq!(chaos.exit_code(), 1, "{:#?}", chaos.err.so_far());
    let account: Value = serde_json::from_str(&chaos.out.wait_end()[0]).unwrap();
    let maps = [".workflow_task_timeouts_by_type", ".workflow_task_failures_by_cause"];
    let account = shape([&account], &maps);
    // Only if there were any.
    let is_rare = |line: &&str| !line.contains("_by_type.*") && !line.contains("_by_cause.*");
    let lines: Vec<_> = account.lines().filter(is_rare).collect();
    assert_snapshot!(exact "json_chaos", lines.join("\n"));
}
