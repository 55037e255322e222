//! The sample as a whole: its output, its names, and how its workflows spread over the workers.

use std::collections::BTreeSet;

use crate::{
    server::{self, activity_queues, history},
    support::{Process, World, children_of, labels, run},
};

#[test]
fn up_prints_the_samples_lines_and_each_worker_is_its_own_process() {
    let world = World::new();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "2", "-a", "1"]));
    let results = run(world.fleet(["starter", "-n", "25"])).success();
    assert_eq!(results.len(), 25);
    let lines: Vec<_> = results.iter().map(|line| labels(line)).collect();
    let started: BTreeSet<_> = lines.iter().map(|[start, ..]| start.clone()).collect();
    let acted: BTreeSet<_> = lines.iter().map(|[_, activity, _]| activity.clone()).collect();
    assert_eq!(started.len(), 2, "both workflow workers took part: {results:#?}");
    assert_eq!(acted.len(), 1, "{results:#?}");
    assert!(started.is_disjoint(&acted), "{results:#?}");
    for [start, _, end] in &lines {
        assert_eq!(start, end, "no worker died, so each workflow ends where it started");
        assert!(start.parse::<u32>().is_ok_and(|pid| pid != up.pid()), "{start}");
    }

    let children: BTreeSet<_> =
        children_of(up.pid()).into_iter().map(|(pid, _)| pid.to_string()).collect();
    assert_eq!(children, &started | &acted, "each worker is a direct child");

    up.ctrl_c();
    assert_eq!(up.exit_code(), 0);
    let out = up.out.wait_end();
    assert_eq!(
        out[..2],
        [
            "starting 2 workflow worker(s) and 1 activity worker(s)",
            "waiting for keyboard interrupt or for all workers to exit",
        ]
    );
    let workers = ["activity-worker:0", "workflow-worker:0", "workflow-worker:1"];
    for (lines, what) in [(&out[2..5], "starting"), (&out[5..], "shutting down")] {
        let mut lines = lines.to_vec();
        lines.sort();
        assert_eq!(lines, workers.map(|worker| format!("{worker} {what}")));
    }
    assert_eq!(up.err.wait_end(), [""; 0]);
}

#[test]
fn the_server_knows_the_workflow_by_the_samples_names() {
    let world = World::new();
    let _up = Process::start(world.fleet(["up", "-w", "1"]));
    run(world.fleet(["starter", "-n", "1"])).success();
    let ids = server::workflow_ids(&world.workflow_queue());
    let [id] = &ids[..] else { panic!("{ids:?}") };
    let uuid = id.strip_prefix("greeting-workflow-id-").unwrap();
    assert!(uuid::Uuid::parse_str(uuid).is_ok(), "{id}");
    assert_eq!(server::count(&world.workflow_queue(), "WorkflowType = 'ParallelizedWorkflow'"), 1);
    assert_eq!(activity_queues(&history(id)), [world.activity_queue()].into());
    let workers = server::workflow_task_workers(&history(id));
    assert!(workers.iter().all(|identity| identity.starts_with("workflow-worker@")), "{workers:?}");
}

#[test]
fn one_hundred_workflows_spread_over_both_workflow_workers() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up"]));
    let results = run(world.fleet(["starter", "-n", "100"])).success();
    let mut shares = std::collections::BTreeMap::<_, usize>::new();
    for line in &results {
        *shares.entry(labels(line)[2].clone()).or_default() += 1;
    }
    assert_eq!(shares.values().sum::<usize>(), 100);
    assert!(shares.len() == 2 && shares.values().all(|share| *share >= 20), "{shares:?}");
}

#[test]
fn the_starter_prints_results_on_stdout_and_the_summary_on_stderr() {
    let world = World::new();
    let _up = Process::start(world.fleet(["up", "-w", "1"]));
    let finished = run(world.fleet(["starter", "-n", "3"]));
    assert_eq!(finished.out.len(), 3, "{finished:#?}");
    assert!(finished.out.iter().all(|line| labels(line).len() == 3));
    let summary = finished.err.join("\n");
    for part in [
        "\n3 completed, 0 failed in ",
        "workflows/s",
        "latency p50",
        "\nworkflows       3  workflow-worker@",
        "\nactivities      3  activity-worker@",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[test]
fn a_worker_label_can_include_the_host() {
    let world = World::new();
    let mut up = world.fleet(["up", "-w", "1"]);
    up.env("FLEET_WORKER_LABEL", "pid@host");
    let _up = Process::start(up);
    let results = run(world.fleet(["starter", "-n", "1"])).success();
    let host = gethostname::gethostname();
    for label in labels(&results[0]) {
        let (pid, at) = label.split_once('@').unwrap();
        assert!(pid.parse::<u32>().is_ok(), "{label}");
        assert_eq!(at, host.to_str().unwrap());
    }
}
