//! Workflows across languages, with the real Python SDK from PyPI: Python's starter with fleet workers,
//! the fleet's starter with Python workers, and both kinds of worker on the same task queues.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    collector::{Collector, Span},
    support::{Process, World, labels, program, run},
};

/// The Python SDK. The build folder keeps the packages that pip installs, for the next run.
const PYTHON_SDK: &str = "temporalio[opentelemetry]==1.35.0";

fn python_sdk() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = temporary.join(PYTHON_SDK);
        if !folder.exists() {
            let fetched = tempfile::TempDir::new_in(temporary).unwrap();
            let mut pip = program("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .arg("--target")
                .arg(fetched.path())
                .arg(PYTHON_SDK);
            run(pip).success();
            // If another run was quicker, its folder exists already and is used.
            let _ = fs::rename(fetched.path(), &folder);
        }
        folder
    })
}

/// Returns a command for the Python sample in this world.
fn python(world: &World, arguments: &[&str]) -> std::process::Command {
    python_script(world, "sample.py", arguments)
}

/// A script of the folder `python` in this world.
pub(crate) fn python_script(
    world: &World,
    script: &str,
    arguments: &[&str],
) -> std::process::Command {
    let script = format!("{}/tests/it/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let arguments = [&[script.as_str()], arguments].concat();
    let mut python = world.at_home("python3", arguments);
    python.env("PYTHONPATH", python_sdk()).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

#[test]
fn the_python_starter_completes_50_workflows_on_both_fleet_workers() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up"]));
    let results = run(python(&world, &["starter", "50"])).success();
    assert_eq!(results.len(), 50);
    let workers: BTreeSet<_> = results.iter().map(|line| labels(line)[2].clone()).collect();
    assert_eq!(workers.len(), 2, "{results:#?}");
}

#[test]
fn the_fleet_starter_completes_workflows_on_python_workers() {
    let world = World::new();
    let workflows = Process::start(python(&world, &["workflow-worker"]));
    let activities = Process::start(python(&world, &["activity-worker"]));
    let results = run(world.fleet(["starter", "-n", "10"])).success();
    assert_eq!(results.len(), 10);
    for line in &results {
        let expected = [workflows.pid(), activities.pid(), workflows.pid()];
        assert_eq!(labels(line), expected.map(|pid| pid.to_string()), "{line}");
    }
}

#[test]
fn workers_of_both_languages_share_the_same_queues() {
    let world = World::new();
    let theirs = [
        Process::start(python(&world, &["workflow-worker"])),
        Process::start(python(&world, &["activity-worker"])),
    ];
    let ours = [
        Process::start(world.fleet(["worker", "--role", "workflow-worker"])),
        Process::start(world.fleet(["worker", "--role", "activity-worker"])),
    ];
    for worker in &theirs {
        worker.out.wait_count(1);
    }
    for worker in &ours {
        worker.err.wait_for("worker starts polling");
    }
    let pids = |index: usize| [&theirs, &ours].map(|workers| workers[index].pid().to_string());
    let (workflow_pids, activity_pids) = (BTreeSet::from(pids(0)), BTreeSet::from(pids(1)));
    // The server chooses the worker for each task, so the test runs batches until every worker has had
    // some.
    let (mut workflows, mut activities) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..20 {
        for line in run(world.fleet(["starter", "-n", "20"])).success() {
            let [start, activity, end] = labels(&line);
            assert_eq!(start, end, "{line}");
            workflows.insert(end);
            activities.insert(activity);
        }
        if (&workflows, &activities) == (&workflow_pids, &activity_pids) {
            break;
        }
    }
    assert_eq!(workflows, workflow_pids);
    assert_eq!(activities, activity_pids);
}

/// Returns the spans that Python wrote to a file: name, trace, id and parent.
fn spans_of_python(file: &Path) -> Vec<[String; 4]> {
    let lines = fs::read_to_string(file).unwrap();
    let read = |line: &str| {
        let span: Value = serde_json::from_str(line).unwrap();
        let text =
            |value: &Value| value.as_str().unwrap_or_default().trim_start_matches("0x").to_owned();
        let context = &span["context"];
        [&span["name"], &context["trace_id"], &context["span_id"], &span["parent_id"]].map(text)
    };
    lines.lines().map(read).collect()
}

fn ours(spans: &[Span]) -> Vec<[String; 4]> {
    let all = spans.iter();
    all.map(|span| [&span.name, &span.trace, &span.id, &span.parent].map(Clone::clone)).collect()
}

#[track_caller]
fn assert_chain(spans: &[[String; 4]], names: &[&str]) {
    let mut parent = String::new();
    for name in names {
        let found: Vec<_> = spans.iter().filter(|span| span[0] == *name).collect();
        assert_eq!(found.len(), 1, "{name}: {spans:#?}");
        let [_, trace, id, above] = found[0];
        assert_eq!(*above, parent, "{name}: {spans:#?}");
        assert_eq!(*trace, spans[0][1], "{name}: {spans:#?}");
        parent.clone_from(id);
    }
}

#[test]
fn a_trace_started_by_python_continues_in_fleet_workers() {
    let (world, collector) = (World::new(), Collector::grpc());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("starter");
    let mut up = world.fleet(["up", "-w", "1"]);
    up.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let mut up = Process::start_ready(up);
    let mut starter = python(&world, &["starter", "1"]);
    starter.env("SPANS", &file);
    run(starter).success();
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
    let spans = [spans_of_python(&file), ours(&collector.spans())].concat();
    assert_chain(
        &spans,
        &[
            "StartWorkflow:ParallelizedWorkflow",
            "RunWorkflow:ParallelizedWorkflow",
            "StartActivity:echo_pid_activity",
            "RunActivity:echo_pid_activity",
        ],
    );
}

#[test]
fn a_trace_started_by_the_fleet_continues_in_python_workers_and_back() {
    let (world, collector) = (World::new(), Collector::grpc());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("workflows");
    let mut workflows = python(&world, &["workflow-worker"]);
    workflows.env("SPANS", &file);
    let _workflows = Process::start(workflows);
    let with = |mut command: std::process::Command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
        command
    };
    let mut activities = Process::start(with(world.fleet(["worker", "--role", "activity-worker"])));
    run(with(world.fleet(["starter", "-n", "1"]))).success();
    activities.signal(Signal::TERM);
    assert_eq!(activities.exit_code(), 0);
    let spans = [spans_of_python(&file), ours(&collector.spans())].concat();
    // Python's span of a workflow run has no duration. The spans of its activities are its siblings,
    // below the span of the start.
    let above = ["fleet starter", "StartWorkflow:ParallelizedWorkflow"];
    let run = ["RunWorkflow:ParallelizedWorkflow"];
    let activity = ["StartActivity:echo_pid_activity", "RunActivity:echo_pid_activity"];
    assert_chain(&spans, &[above.as_slice(), &run].concat());
    assert_chain(&spans, &[above.as_slice(), &activity].concat());
}
