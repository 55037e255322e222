//! The starter loses no workflow: a batch can be interrupted, killed, run again and enlarged, and each
//! of its workflows runs once.

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    server::{self, OwnServer, StoredServer, pending_timers},
    support::{HELD, Process, World, eventually, example, labels, on_a_terminal, run},
};

/// Counts the workflows on a world's task queue, in any state.
fn started(world: &World) -> i64 {
    server::count(&world.workflow_queue(), "WorkflowType IS NOT NULL")
}

/// Returns the name that a starter shows for its batch.
fn batch_name(starter: &Process) -> String {
    let line = starter.err.wait_for("batch ");
    line.strip_prefix("batch ").unwrap().split(':').next().unwrap().to_owned()
}

#[test]
fn a_killed_starter_run_again_completes_its_batch_and_every_workflow_runs_once() {
    let world = World::new();
    let mut killed = Process::start(world.fleet(["starter", "-n", "30", "--concurrency", "12"]));
    let batch = batch_name(&killed);
    eventually("some workflows have started", || started(&world) >= 12);
    killed.signal(Signal::KILL);
    assert_eq!(killed.exit_code(), 128 + 9);
    assert!(killed.out.wait_end().is_empty());

    let _up = Process::start_ready(world.fleet(["up"]));
    let again = run(world.fleet(["starter", "-n", "30", "--batch", &batch]));
    assert!(
        again
            .err
            .iter()
            .any(|line| line.starts_with("30 completed, 0 failed (12 of them begun earlier)")),
        "{again:#?}"
    );
    assert_eq!(again.success().len(), 30);
    assert_eq!(started(&world), 30);

    // A third run reads all results and starts no workflow.
    let read = run(world.fleet(["starter", "-n", "30", "--batch", &batch]));
    assert!(
        read.err
            .iter()
            .any(|line| line.starts_with("30 completed, 0 failed (30 of them begun earlier)")),
        "{read:#?}"
    );
    assert_eq!(read.success().len(), 30);
    assert_eq!(started(&world), 30);
}

#[test]
fn a_batch_can_be_run_again_with_more_workflows_but_not_with_other_settings() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    run(world.fleet(["starter", "-n", "3", "--batch", "b", "--workflow-id-prefix", &world.id()]))
        .success();
    let again = |more: &[&str]| {
        let mut starter = world.fleet(["starter", "-n", "6", "--batch", "b"]);
        starter.args(["--workflow-id-prefix", &world.id()]).args(more);
        run(starter)
    };
    let queue = world.workflow_queue();
    for (changed, words) in [
        (["--workflow-type", "Other"], r#"workflow type "ParallelizedWorkflow", not "Other""#),
        (["--task-queue", "elsewhere"], &format!(r#"task queue "{queue}", not "elsewhere""#)),
        (["--input", r#"{"a": 1}"#], r#"input none, not {"a": 1}"#),
    ] {
        let refused = again(&changed);
        assert_eq!(refused.code, 78, "{refused:#?}");
        let error = refused.err.last().unwrap();
        assert!(
            error.starts_with(&format!("error: batch \"b\" was started with {words}")),
            "{error}"
        );
        assert_eq!(started(&world), 3, "{changed:?}: nothing was started");
    }
    let grown = again(&[]);
    assert!(
        grown
            .err
            .iter()
            .any(|line| line.starts_with("6 completed, 0 failed (3 of them begun earlier)")),
        "{grown:#?}"
    );
    assert_eq!(grown.success().len(), 6);
    assert_eq!(started(&world), 6);
}

#[test]
fn ctrl_c_prints_the_running_workflows_and_the_command_that_continues_the_batch() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "7", "--concurrency", "3"]));
    let hint = starter.err.wait_for("no worker polls");
    assert_eq!(
        hint,
        format!("no worker polls '{}': start one with fleet up", world.workflow_queue())
    );
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
    assert!(starter.out.wait_end().is_empty());
    let err = starter.err.wait_end();
    assert!(err.contains(&"3 still run:".to_owned()), "{err:#?}");
    assert!(err.contains(&"not started: 4".to_owned()), "{err:#?}");
    assert_eq!(started(&world), 3);

    let line = err.iter().find_map(|line| line.strip_prefix("to continue: ")).unwrap();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let finished = run(world.at_home("/bin/sh", ["-c", line]));
    assert_eq!(finished.success().len(), 7);
    assert_eq!(started(&world), 7);
}

#[test]
fn a_timeout_ends_the_starter_with_1_while_the_workflows_keep_running() {
    let world = World::new();
    let finished = run(world.fleet(["starter", "-n", "2", "--timeout", "500ms"]));
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert_eq!(finished.err.last().unwrap(), "error: not done after 500ms (--timeout)");
    assert!(finished.err.contains(&"2 still run:".to_owned()), "{finished:#?}");
    eventually("both workflows keep running", || {
        server::count(&world.workflow_queue(), "ExecutionStatus = 'Running'") == 2
    });
}

#[test]
fn a_starter_of_a_silent_server_exits_with_69_and_still_obeys_ctrl_c() {
    let world = World::new();
    let server = OwnServer::start("0", &[]);
    let starter = |more: &[&str]| {
        let mut command = world.fleet(["starter", "-n", "2", "--connect-timeout", "2s"]);
        command.args(more).env("TEMPORAL_ADDRESS", &server.address);
        Process::start(command)
    };
    let (mut waiting, mut interrupted) = (starter(&[]), starter(&[]));
    for starter in [&waiting, &interrupted] {
        starter.err.wait_for("no worker polls");
    }
    // This starter will ask a silent server for the task queue's pollers.
    let mut asking = starter(&["--timeout", "15s"]);
    asking.err.wait_for("batch ");
    server.signal(Signal::STOP);
    let start = Instant::now();
    interrupted.ctrl_c();
    assert_eq!(interrupted.exit_code(), 130);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(asking.exit_code(), 1);
    assert_eq!(asking.err.wait_end().last().unwrap(), "error: not done after 15s (--timeout)");

    // The transport notices the silent server after 45 seconds.
    assert_eq!(waiting.exit_code(), 69);
    let err = waiting.err.wait_end();
    assert!(err.last().unwrap().starts_with("error: cannot reach Temporal at "), "{err:#?}");
    assert!(err.iter().any(|line| line.starts_with("to continue: ")), "{err:#?}");
}

#[test]
fn a_starter_whose_output_nobody_reads_still_exits_after_its_timeout() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    // The results of these workflows exceed the capacity of a pipe. The workflows have already ended, so
    // that the starter reads their results quickly.
    run(world.fleet(["starter", "-n", "300", "--batch", &world.id()])).success();
    let mut command = world.fleet(["starter", "-n", "300", "--batch", &world.id()]);
    command.args(["--output", "json", "--timeout", "3s"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let (reader, writer) = std::io::pipe().unwrap();
    let mut starter = command.stdout(writer).spawn().unwrap();
    drop(command);
    eventually("the starter exits", || starter.try_wait().unwrap().is_some());
    drop(reader);
}

#[test]
#[cfg(target_os = "linux")]
fn large_results_that_nobody_reads_are_not_all_fetched() {
    let world = World::new();
    let misbehaving =
        |arguments: &[&str]| world.at_home(example("misbehaving"), arguments.iter().copied());
    let _up = Process::start_ready(misbehaving(&["up", "-w", "1", "-a", "0"]));
    // All results together have 190 MB.
    let mut command = misbehaving(&["starter", "-n", "100", "--concurrency", "4"]);
    command.args(["--input", r#"{"what": "large", "text": ""}"#, "--timeout", "15s"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let (reader, writer) = std::io::pipe().unwrap();
    let mut starter = command.stdout(writer).spawn().unwrap();
    drop(command);
    let status = format!("/proc/{}/status", starter.id());
    let mut peak = 0;
    eventually("the starter exits", || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or_default());
        starter.try_wait().unwrap().is_some()
    });
    assert!((10_000..110_000).contains(&peak), "{peak} kB");
    drop(reader);
}

#[test]
fn each_failed_workflow_is_one_line_with_its_cause_and_the_others_complete() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let prefix = world.id();
    // The starter has no flag for a run timeout, so the test starts one of the batch's workflows itself.
    let namespace = Uuid::from_u128(0x6c1f_5a0e_3d94_4f0b_9c52_7d1e_a8b4_60f3);
    let id =
        |index| format!("{prefix}-{}", Uuid::new_v5(&namespace, format!("b/{index}").as_bytes()));
    server::start_with_run_timeout(&id(3), "OrderWorkflow", &world.workflow_queue(), HELD);

    let mut starter = world.orders(["starter", "-n", "4", "--batch", "b", "--input", HELD]);
    starter.args(["--workflow-id-prefix", &prefix, "--output", "json"]);
    let mut starter = Process::start(starter);
    for index in 0..3 {
        eventually("the order is held", || pending_timers(&id(index)) == 1);
    }
    server::terminate(&id(0), "the customer is gone");
    server::cancel(&id(1), "the customer changed their mind");
    server::signal(&id(2), "expedite");

    assert_eq!(starter.exit_code(), 1);
    let err = starter.err.wait_end();
    for line in [
        format!("{}: terminated: the customer is gone", id(0)),
        format!("{}: cancelled: the customer changed their mind", id(1)),
        format!("{}: timed out", id(3)),
    ] {
        assert!(err.contains(&line), "{line}: {err:#?}");
    }
    assert!(
        err.iter().any(|line| line.starts_with("1 completed, 3 failed (1 of them begun earlier)")),
        "{err:#?}"
    );
    let lines: Vec<Value> =
        starter.out.wait_end().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: BTreeSet<_> = lines[..4]
        .iter()
        .map(|result| (result["index"].as_u64().unwrap(), result["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        statuses,
        [(0, "terminated"), (1, "cancelled"), (2, "completed"), (3, "timed out")].into()
    );
    assert_eq!(lines[4]["failed"], 3);
}

#[test]
fn the_line_of_a_failed_workflow_ends_with_the_activitys_own_message() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let input = r#"{"id": "1", "items": [], "card": "stolen"}"#;
    let failed = run(world.orders(["starter", "-n", "2", "--input", input]));
    assert_eq!(failed.code, 1, "{failed:#?}");
    assert!(failed.out.is_empty());
    let words = ": failed: activity Warehouse::charge: the card is stolen";
    let lines: Vec<_> = failed.err.iter().filter(|line| line.ends_with(words)).collect();
    assert_eq!(lines.len(), 2, "{failed:#?}");
    assert!(lines.iter().all(|line| line.starts_with("orders-")), "{lines:#?}");
}

#[test]
fn json_output_is_one_object_for_each_workflow_and_a_matching_summary() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "2"]));
    let mut finished = run(world.fleet(["starter", "-n", "20", "--output", "json"]));
    let summary: Value = serde_json::from_str(&finished.out.pop().unwrap()).unwrap();
    assert_eq!(finished.out.len(), 20);
    let mut ended_in = BTreeSet::new();
    for line in &finished.out {
        let workflow: Value = serde_json::from_str(line).unwrap();
        assert_eq!(workflow["type"], "workflow");
        assert_eq!(workflow["status"], "completed");
        assert!(workflow["latency_ms"].as_f64().unwrap() > 0.0);
        ended_in.insert(labels(workflow["result"].as_str().unwrap())[2].clone());
    }
    assert_eq!(summary["type"], "summary");
    assert_eq!((&summary["completed"], &summary["failed"]), (&20.into(), &0.into()));
    assert_eq!(summary["running"], Value::Array(vec![]));
    let latency = |name: &str| summary["latency_ms"][name].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("max"), "{summary}");
    let workflows = summary["workers"]["workflows"].as_object().unwrap();
    let pids: BTreeSet<_> =
        workflows.keys().map(|identity| server::pid_of(identity).to_string()).collect();
    assert_eq!(pids, ended_in, "the server names the same workers");
    assert_eq!(workflows.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 20);
    let activities = summary["workers"]["activities"].as_object().unwrap();
    assert_eq!(activities.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 20);
}

#[test]
fn the_summary_counts_workflows_and_activities_of_each_worker() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let input = r#"{"id": "1", "items": ["a"], "hold_ms": 1, "card": "valid"}"#;
    let finished = run(world.orders(["starter", "-n", "2", "--input", input]));
    let line =
        |what: &str| finished.err.iter().find(|line| line.starts_with(what)).unwrap().clone();
    assert!(line("workflows ").contains(" 2  workflow-worker@"), "{finished:#?}");
    assert!(line("activities ").contains(" 6  activity-worker@"), "{finished:#?}");
}

#[test]
fn workers_and_starter_survive_a_server_that_is_killed_and_restarted() {
    let world = World::new();
    let mut server = StoredServer::start();
    let up = Process::start_ready(server.used_by(world.fleet(["up", "-w", "1", "-a", "1"])));
    let starter = server.used_by(world.fleet(["starter", "-n", "60", "--concurrency", "10"]));
    let mut starter = Process::start(starter);
    starter.out.wait_count(5);
    server.kill();
    // The SDK has given up retrying. From here on, the starter retries.
    starter.err.wait_for("does not answer");

    server.start_again();
    assert_eq!(starter.exit_code(), 0, "{:#?}", starter.err.so_far());
    assert_eq!(starter.out.wait_end().len(), 60);
    assert!(up.err.so_far().iter().all(|line| !line.contains("exited")), "{:#?}", up.err.so_far());
}

#[test]
fn a_terminal_shows_progress_and_a_pipe_does_not() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let piped = run(world.fleet(["starter", "-n", "2"]));
    assert!(piped.err.iter().all(|line| !line.contains('\u{1b}')), "{piped:#?}");
    assert!(piped.err.iter().all(|line| !line.contains("2/2 workflows")), "{piped:#?}");

    let seen = on_a_terminal(world.fleet(["starter", "-n", "2"]));
    assert!(seen.contains("/2 workflows"), "{seen:?}");
    assert_eq!(seen.matches("wf-starting-pid:").count(), 2, "{seen:?}");
    assert!(seen.contains("2 completed, 0 failed"), "{seen:?}");
}
