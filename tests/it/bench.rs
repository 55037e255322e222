//! `fleet bench`: what it measures with real workflows, and which exit codes it returns.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::workflowservice::v1::CountWorkflowExecutionsRequest;

use crate::{
    server::{self, OwnServer, ask_at},
    support::{Process, World, eventually, on_a_terminal, run},
};

/// Returns a `fleet bench` command in this world.
fn bench(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.fleet(["bench"]);
    command.args(arguments);
    command
}

/// Returns the single line of JSON that a bench printed.
#[track_caller]
fn only_line(out: &[String]) -> Value {
    let [line] = out else { panic!("{out:#?}") };
    serde_json::from_str(line).unwrap()
}

/// Runs a bench, asserts that it reached its goals, and returns its JSON.
#[track_caller]
fn measured(world: &World, arguments: &[&str]) -> Value {
    let mut command = bench(world, arguments);
    command.args(["--output", "json"]);
    only_line(&run(command).success())
}

const STAGES: [&str; 5] = [
    "end_to_end",
    "workflow_task_schedule_to_start",
    "workflow_task_execution",
    "activity_schedule_to_start",
    "activity_execution",
];

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Asserts that each stage has its quantiles, in ascending order.
#[track_caller]
fn assert_has_all_stages(summary: &Value) {
    for stage in STAGES {
        let spread = &summary["latency_ms"][stage];
        let quantiles = ["p50", "p90", "p99", "p999", "max"].map(|name| number(&spread[name]));
        assert!(quantiles.is_sorted(), "{stage}: {spread}");
        assert!(quantiles[0] > 0.0, "{stage}: {spread}");
    }
}

#[test]
fn an_open_loop_keeps_its_rate_and_measures_every_stage() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let summary = measured(&world, &["--rate", "10/s", "--duration", "3s", "--warmup", "500ms"]);
    assert_eq!(summary["completed"], 30, "{summary}");
    assert_eq!(summary["errors"], 0);
    assert_eq!(summary["interrupted"], false);
    assert_eq!(summary["rate_per_s"], 10.0);
    assert_eq!(summary["histories_sampled"], 30);
    assert_has_all_stages(&summary);
    // The last workflow is due after 2.9 s and ends a little later.
    let rate = number(&summary["throughput_per_s"]);
    assert!(rate > 1.0 && rate < 30.0 / 2.9, "{summary}");
    assert_eq!(summary["latency_ms"]["end_to_end"]["count"], 30);
    assert_eq!(summary["latency_ms"]["activity_execution"]["count"], 30);
    // The workflows of the warm-up were run too.
    eventually("the server counts all workflows", || {
        server::count(&world.workflow_queue(), "ExecutionStatus = 'Completed'") == 35
    });
}

#[test]
fn a_closed_loop_runs_the_load_that_its_flags_describe() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let shape = ["--activities", "2", "--parallel", "3", "--payload-bytes", "100"];
    let cpu = ["--workflow-cpu", "20ms", "--activity-cpu", "20ms"];
    let more = ["--count", "12", "--concurrency", "3", "--sample", "5"];
    let summary = measured(&world, &[&shape[..], &cpu, &more].concat());
    assert_eq!(summary["completed"], 12, "{summary}");
    assert_eq!(summary["concurrency"], 3);
    assert_eq!(summary["histories_sampled"], 5);
    assert_has_all_stages(&summary);
    let latency = &summary["latency_ms"];
    assert_eq!(latency["activity_execution"]["count"], 5 * 6);
    // The amount of work was calibrated for this machine and this build; the machine is busier now.
    assert!(number(&latency["activity_execution"]["p50"]) > 10.0, "{summary}");
    assert!(number(&latency["workflow_task_execution"]["p99"]) > 10.0, "{summary}");
    // The workflow's own three computations alone take this long.
    assert!(number(&latency["end_to_end"]["p50"]) > 40.0, "{summary}");
    let load = &summary["input"];
    assert_eq!((&load["activities"], &load["parallel"]), (&2.into(), &3.into()));
    assert_eq!(server::workflow_ids(&world.workflow_queue()).len(), 12);
}

#[test]
fn a_stall_counts_as_latency_of_every_workflow_that_it_delays() {
    let world = World::new();
    let worker = Process::start_ready(world.fleet(["worker", "--role", "worker"]));
    // At most two workflows are in flight, so that the stall delays the starts of all others.
    let rate = ["--rate", "20/s", "--count", "80", "--max-under-way", "2", "--output", "json"];
    let mut bench = Process::start(bench(&world, &rate));
    eventually("the bench runs", || {
        server::count(&world.workflow_queue(), "ExecutionStatus = 'Completed'") > 5
    });
    worker.signal(Signal::STOP);
    // The stall itself, during which 30 workflows are due.
    let start = Instant::now();
    thread::sleep(Duration::from_millis(1500));
    worker.signal(Signal::CONT);
    let stall = start.elapsed().as_secs_f64() * 1000.0;

    assert_eq!(bench.exit_code(), 0, "{:#?}", bench.err.so_far());
    let summary = only_line(&bench.out.wait_end());
    assert_eq!(summary["completed"], 80);
    let latency = &summary["latency_ms"]["end_to_end"];
    assert!(number(&latency["max"]) > stall * 0.8, "{stall} {summary}");
    // If latency counted from the actual starts, only two of 80 workflows would have been slow.
    assert!(number(&latency["p90"]) > stall * 0.4, "{stall} {summary}");
    assert!(number(&summary["behind_schedule_ms"]) > stall * 0.6, "{stall} {summary}");
}

#[test]
fn each_missed_goal_is_one_line_and_sets_the_exit_code() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let count = ["--count", "4", "--concurrency", "2"];
    let met = ["--slo", "p99=1h", "--slo", "activity_execution.max=1h"];
    let finished = run(bench(&world, &[&count[..], &met].concat()));
    let shown = finished.success().join("\n");
    assert!(shown.contains("goal p99=1h: met, "), "{shown}");
    assert!(shown.contains("4 completed, 0 failed, 0 unfinished in "), "{shown}");

    let missed = ["--slo", "p50=1us", "--slo", "p99=1h", "--slo", "activity_execution.p99=0s"];
    let finished = run(bench(&world, &[&count[..], &missed].concat()));
    assert_eq!(finished.code, 1, "{finished:#?}");
    let errors: Vec<_> = finished.err.iter().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("error: end_to_end p50 is "), "{errors:#?}");
    assert!(errors[0].ends_with(" ms, above 1us (--slo)"), "{errors:#?}");
    assert!(errors[1].starts_with("error: activity_execution p99 is "), "{errors:#?}");
    assert!(finished.out.iter().any(|line| line.starts_with("goal p50=1us: missed, ")));
}

#[test]
fn workflows_that_fail_use_up_the_error_budget() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let stolen = r#"{"id": "1", "items": [], "hold_ms": 0, "card": "stolen"}"#;
    let failing = |budget: &str| {
        let mut command = world.orders(["bench", "--count", "3", "--concurrency", "3"]);
        command.args(["--workflow-type", "OrderWorkflow", "--input", stolen]);
        run_json(command, &["--max-errors", budget])
    };
    let (code, summary, err) = failing("50%");
    assert_eq!(code, 1);
    assert_eq!((&summary["completed"], &summary["errors"]), (&0.into(), &3.into()), "{summary}");
    let (cause, count) = summary["causes"].as_object().unwrap().iter().next().unwrap();
    assert!(cause.contains("the card is stolen") && *count == 3, "{summary}");
    assert!(summary["latency_ms"]["end_to_end"].is_null(), "{summary}");
    let last = "error: 3 of 3 workflows did not complete, more than 50% (--max-errors)";
    assert_eq!(err.last().unwrap(), last);
    assert_eq!(failing("3").0, 0);
}

/// Runs a bench and returns its exit code, its JSON and its stderr.
#[track_caller]
fn run_json(mut command: Command, more: &[&str]) -> (i32, Value, Vec<String>) {
    command.args(more).args(["--output", "json"]);
    let finished = run(command);
    assert!(!finished.out.is_empty(), "{finished:#?}");
    (finished.code, only_line(&finished.out), finished.err)
}

#[test]
fn bench_does_not_run_a_fleets_own_workflows_by_default() {
    let world = World::new();
    let finished = run(world.orders(["bench", "--count", "1"]));
    assert_eq!(finished.code, 78, "{finished:#?}");
    assert_eq!(
        finished.err,
        [
            "error: this fleet does not register LoadWorkflow (Fleet::load_workload): name a workflow \
          with --workflow-type"
        ]
    );
}

#[test]
fn ctrl_c_prints_the_results_so_far_and_marks_them_as_partial() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    for (output, code, signal) in [("json", 130, Signal::INT), ("text", 143, Signal::TERM)] {
        let page = tempfile::tempdir().unwrap();
        let page = page.path().join("bench.svg");
        let rate = ["--rate", "20/s", "--duration", "10m", "--slo", "p50=0s", "--output", output];
        let mut command = bench(&world, &rate);
        command.arg("--report").arg(&page);
        let before = server::count(&world.workflow_queue(), "ExecutionStatus = 'Completed'");
        let mut bench = Process::start(command);
        eventually("some workflows have ended", || {
            server::count(&world.workflow_queue(), "ExecutionStatus = 'Completed'") > before + 5
        });
        bench.signal(signal);
        assert_eq!(bench.exit_code(), code);
        let out = bench.out.wait_end();
        if output == "json" {
            let summary = only_line(&out);
            assert_eq!(summary["interrupted"], true, "{summary}");
            assert!(summary["completed"].as_u64().unwrap() > 5, "{summary}");
            assert_has_all_stages(&summary);
        } else {
            assert_eq!(out[0], "INTERRUPTED: these are partial results");
        }
        // No goal counts as missed, because the run was not finished.
        assert!(!bench.err.wait_end().iter().any(|line| line.starts_with("error: ")));
        assert!(std::fs::read_to_string(page).unwrap().contains("(interrupted: partial)"));
    }
}

#[test]
fn an_interrupted_run_reports_workflows_that_were_due_but_not_started() {
    for output in ["json", "text"] {
        let world = World::new();
        // No worker runs, so that the first two workflows never end.
        let pace = ["--rate", "50/s", "--max-under-way", "2", "--duration", "10m"];
        let mut bench = Process::start(bench(&world, &[&pace[..], &["--output", output]].concat()));
        // The bench prints this hint after five seconds without a result.
        bench.err.wait_for("no worker polls");
        bench.signal(Signal::INT);
        assert_eq!(bench.exit_code(), 130);
        let out = bench.out.wait_end();
        if output == "json" {
            let summary = only_line(&out);
            assert_eq!(summary["under_way"], 2, "{summary}");
            assert!(summary["not_started"].as_u64().unwrap() > 50, "{summary}");
            assert!(number(&summary["behind_schedule_ms"]) > 1000.0, "{summary}");
        } else {
            let about = "; the latencies do not include them";
            let is_told = |line: &str| line.starts_with("not started: ") && line.ends_with(about);
            assert!(out.iter().any(|line| is_told(line)), "{out:#?}");
            assert!(
                !out.iter().any(|line| line.contains("which the latencies include")),
                "{out:#?}"
            );
        }
    }
}

#[test]
fn bench_without_workers_reports_that_and_exits() {
    let world = World::new();
    for pace in [&["--rate", "5/s", "--duration", "1s"][..], &["--count", "5"]] {
        let (code, summary, err) = run_json(bench(&world, pace), &["--timeout", "1s"]);
        assert_eq!(code, 1, "{err:#?}");
        assert_eq!(
            (&summary["completed"], &summary["unfinished"]),
            (&0.into(), &5.into()),
            "{summary}"
        );
        // The workflows take longer than the bench waited for them.
        assert!(number(&summary["latency_ms"]["end_to_end"]["p50"]) >= 1000.0, "{summary}");
        let hint = format!("no worker polls '{}': start one with fleet up", world.workflow_queue());
        assert!(err.contains(&hint), "{err:#?}");
        let last = "error: 5 of 5 workflows did not complete, more than 0 (--max-errors)";
        assert_eq!(err.last().unwrap(), last);
    }
}

#[test]
fn the_report_is_a_picture_that_needs_no_other_file() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let folder = tempfile::tempdir().unwrap();
    for name in ["bench.html", "bench.svg"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        let mut command = bench(&world, &["--count", "5"]);
        command.arg("--report").arg(&path);
        run(command).success();
        let report = std::fs::read_to_string(&path).unwrap();
        assert!(report.contains("<svg ") && report.contains("p99: "), "{report}");
        assert!(!report.contains("xx"), "the previous content is gone");
        assert_eq!(report.matches("http").count(), 1, "the SVG's own name space: {report}");
        assert_eq!(name.ends_with("html"), report.contains("5 completed, 0 failed"));
    }
}

#[test]
fn wrong_arguments_are_refused_before_any_workflow_is_started() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/bench.html");
    let missing = missing.to_str().unwrap();
    for (arguments, words) in [
        (&["--rate", "0/s"][..], "expected a rate above 0"),
        (&["--rate", "50"], "expected a rate with its unit, as 50/s"),
        (
            &["--rate", "1/s", "--concurrency", "5"],
            "'--rate <RATE>' cannot be used with '--concurrency",
        ),
        (&["--max-under-way", "5"], "--rate <RATE>"),
        (&["--concurrency", "0"], "expected a whole number from 1 to 10000"),
        (&["--count", "5", "--duration", "5s"], "'--duration <DURATION>'"),
        (&["--duration", "0s"], "expected a duration above 0"),
        (&["--duration", "5"], "expected a duration with its unit"),
        (&["--slo", "p98=1s"], "no quantile \"p98\"; expected one of p50, p90, p99, p99.9, max"),
        (&["--slo", "queue.p99=1s"], "no stage \"queue\"; expected one of end_to_end, "),
        (&["--max-errors", "200%"], "expected a share or a number of workflows"),
        (&["--workflow-cpu", "10s"], "a workflow task times out after 10s"),
        (&["--workflow-type", "T", "--parallel", "5"], "cannot be used with"),
        (&["--activities", "100", "--parallel", "100"], "10000 activities: at most 8000"),
        (&["--parallel", "100", "--payload-bytes", "100000"], "10000000 bytes: at most 3000000"),
        (&["--report", "bench.png"], "expected a name that ends in .html or .svg"),
        (&["--report", missing], "cannot write --report"),
    ] {
        let finished = run(bench(&world, arguments));
        assert_eq!(finished.code, 2, "{arguments:?}: {finished:#?}");
        assert!(finished.err[0].starts_with("error: "), "{finished:#?}");
        assert!(finished.err.join("\n").contains(words), "{arguments:?}: {finished:#?}");
        assert!(finished.out.is_empty(), "{finished:#?}");
    }
    assert!(server::workflow_ids(&world.workflow_queue()).is_empty());
}

#[test]
fn a_run_without_results_leaves_no_report_behind() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.svg");
    let mut command = bench(&world, &["--connect-timeout", "100ms"]);
    // No server listens on port 1.
    command.arg("--report").arg(&path).env("TEMPORAL_ADDRESS", "127.0.0.1:1");
    let finished = run(command);
    assert_eq!(finished.code, 69, "{finished:#?}");
    assert!(!path.exists());
}

#[test]
fn bench_shows_its_progress_on_a_terminal() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let shown = on_a_terminal(bench(&world, &["--rate", "10/s", "--duration", "2s"]));
    assert!(shown.contains(" of 2 s: ") && shown.contains(" in flight"), "{shown:?}");
    assert!(shown.contains("20 completed, 0 failed, 0 unfinished"), "{shown:?}");
}

#[test]
fn losing_the_server_ends_the_run_with_the_results_so_far() {
    let world = World::new();
    let server = OwnServer::start("0", &[]);
    let here = |arguments: &[&str]| {
        let mut command = world.fleet(arguments.iter().copied());
        command.env("TEMPORAL_ADDRESS", &server.address);
        command
    };
    let _up = Process::start_ready(here(&["up", "-w", "1"]));
    let pace = ["--rate", "20/s", "--duration", "10m", "--connect-timeout", "1s"];
    let mut bench = Process::start(here(&[&["bench", "--output", "json"][..], &pace].concat()));
    eventually("some workflows have ended", || {
        completed_at(&server.address, &world.workflow_queue()) > 5
    });
    server.signal(Signal::KILL);
    assert_eq!(bench.exit_code(), 69);
    let summary = only_line(&bench.out.wait_end());
    assert_eq!(summary["interrupted"], true, "{summary}");
    assert!(summary["completed"].as_u64().unwrap() > 5, "{summary}");
    assert!(summary["under_way"].as_u64().unwrap() > 0, "{summary}");
    let err = bench.err.wait_end();
    assert!(err.last().unwrap().starts_with("error: cannot reach Temporal at "), "{err:#?}");
    // The bench reports the lost server once, not for each call.
    assert!(err.len() <= 5, "{err:#?}");
}

/// Counts the completed workflows on a task queue of the server at `address`.
fn completed_at(address: &str, queue: &str) -> i64 {
    let query = format!("TaskQueue = '{queue}' AND ExecutionStatus = 'Completed'");
    ask_at(address, async |mut client| {
        let request = CountWorkflowExecutionsRequest { namespace: client.namespace(), query };
        let counted = client.count_workflow_executions(request.into_request()).await;
        counted.unwrap().into_inner().count
    })
}
