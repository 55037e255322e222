//! A collector that does not exist, or that stops and comes back.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use super::to;
use crate::{
    collector::{Collector, black_hole},
    server,
    support::{Process, World, free_port, run},
};

/// Returns the log lines about the export of telemetry.
fn export_lines(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains("telemetry ")).collect()
}

#[test]
fn without_a_collector_all_workflows_complete_and_one_line_warns() {
    let hole = black_hole();
    let endpoints = [free_port(), hole.local_addr().unwrap().port()]
        .map(|port| format!("http://127.0.0.1:{port}"));
    for endpoint in endpoints {
        let world = World::new();
        let impatient = |arguments: &[&'static str]| {
            let mut command = to(world.fleet(arguments.iter().copied()), &endpoint);
            // Short intervals make all three signals fail repeatedly while workflows run.
            command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
            command.env("OTEL_METRIC_EXPORT_INTERVAL", "500");
            command
        };
        let [mut workflows, mut activities] = ["workflow-worker", "activity-worker"]
            .map(|role| Process::start(impatient(&["worker", "--role", role])));
        let finished = run(impatient(&["starter", "-n", "500"]));
        assert_eq!((finished.code, finished.out.len()), (0, 500), "{finished:#?}");
        assert_eq!(export_lines(&finished.err).len(), 1, "{endpoint}: {finished:#?}");
        for worker in [&mut workflows, &mut activities] {
            let start = Instant::now();
            worker.signal(Signal::TERM);
            assert_eq!(worker.exit_code(), 0);
            assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
            let lines = worker.err.wait_end();
            assert_eq!(export_lines(&lines).len(), 1, "{endpoint}: {lines:#?}");
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains("WARN") && line.contains("cannot be exported"))
            );
        }
        let queue = world.workflow_queue();
        assert_eq!(server::count(&queue, "ExecutionStatus != 'Completed'"), 0);
        let histories = server::histories(&queue);
        assert_eq!(histories.len(), 500);
        for history in &histories {
            let late = server::count_events(history, EventType::WorkflowTaskTimedOut);
            assert_eq!(late, 0, "{history:#?}");
        }
    }
}

#[test]
fn a_collector_outage_and_its_end_are_one_log_line_each() {
    let world = World::new();
    let collector = Collector::grpc();
    let (port, endpoint) = (collector.port, collector.endpoint());
    let [workflows, _activities] = ["workflow-worker", "activity-worker"]
        .map(|role| Process::start(to(world.fleet(["worker", "--role", role]), &endpoint)));
    run(world.fleet(["starter", "-n", "1"])).success();
    collector.wait(3);
    drop(collector);
    run(world.fleet(["starter", "-n", "50"])).success();
    workflows.err.wait_for("telemetry cannot be exported");
    let collector = Collector::at(port, false);
    workflows.err.wait_for("telemetry is exported again");
    run(world.fleet(["starter", "-n", "1"])).success();
    // The outage was short, so that the spans that waited for its end arrive too.
    collector.wait(3 * 51);
    assert_eq!(export_lines(&workflows.err.so_far()).len(), 2, "{:#?}", workflows.err.so_far());
}
