//! The spans of one workflow form one tree, even if its workers are killed or replay it.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use rustix::process::Signal;
use serde_json::Value;
use temporal_fleet::{
    Fleet, FleetWorker, Role,
    parallelized::{EchoActivities, ParallelizedWorkflow},
};

use super::{STARTER, TREE, assert_tree, by_trace, named, to};
use crate::{
    collector::Collector,
    server::{self, pid_of},
    support::{FLEET, Process, World, eventually, example, program, run},
};

#[test]
fn each_workflow_is_one_trace_across_three_roles() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let mut up = Process::start_ready(to(world.fleet(["up", "-w", "2"]), &endpoint));
    let mut starter = to(world.fleet(["starter", "-n", "5"]), &endpoint);
    starter.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,a=b%20c");
    run(starter).success();
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());

    let spans = collector.spans();
    let traces = by_trace(&spans);
    assert_eq!(traces.len(), 5, "{spans:#?}");
    for trace in traces.values() {
        assert_tree(trace, "");
    }
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), 25, "each span is exported once");

    let workflows: BTreeSet<_> =
        server::workflow_ids(&world.workflow_queue()).into_iter().collect();
    for trace in traces.values() {
        let [starter, start, run, schedule, activity] = TREE.map(|name| named(trace, name));
        for (span, role) in [
            (starter, "starter"),
            (start, "starter"),
            (run, "workflow-worker"),
            (schedule, "workflow-worker"),
            (activity, "activity-worker"),
        ] {
            let of = |name: &str| span.resource.get(name).map(String::as_str).unwrap_or_default();
            assert_eq!(span.service(), format!("fleet-{role}"));
            assert_eq!(of("fleet.role"), role);
            assert_eq!(of("service.namespace"), "parallelized");
            assert_eq!(of("service.version"), env!("CARGO_PKG_VERSION"));
            assert_eq!(of("telemetry.sdk.language"), "rust");
            assert!(!of("host.name").is_empty() && !of("deployment.id").is_empty());
            let instance = of("service.instance.id");
            assert!(instance.starts_with(&format!("{role}@")), "{instance}");
            assert_eq!(pid_of(instance).to_string(), of("process.pid"));
            assert!(workflows.contains(&span.attributes["temporalWorkflowID"]), "{span:#?}");
            assert_ne!(span.status, StatusCode::Error, "{span:#?}");
        }
        assert_eq!(starter.resource["deployment.environment.name"], "test");
        assert_eq!(starter.resource["a"], "b c");
        assert_eq!(activity.attributes["temporalActivityAttempt"], "1");
        assert_eq!(activity.attributes["temporalRunID"], run.attributes["temporalRunID"]);
        assert!(activity.attributes.contains_key("temporalActivityID"));
    }
}

#[test]
fn the_callers_trace_is_continued() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let mut up = Process::start_ready(to(world.fleet(["up", "-w", "1"]), &endpoint));
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut starter = to(world.fleet(["starter", "-n", "2"]), &endpoint);
    starter.env("TRACEPARENT", format!("00-{trace}-{parent}-01"));
    run(starter).success();
    // If the caller does not sample its trace, no process does.
    let mut unsampled = to(world.fleet(["starter", "-n", "1"]), &endpoint);
    unsampled.env("TRACEPARENT", format!("00-{}-{parent}-00", trace.replace('4', "5")));
    run(unsampled).success();
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0);
    let spans = collector.spans();
    assert_eq!(spans.len(), 10, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == trace), "{spans:#?}");
    let workflows: BTreeSet<_> =
        spans.iter().map(|span| &span.attributes["temporalWorkflowID"]).collect();
    assert_eq!(workflows.len(), 2);
    for id in workflows {
        let of: Vec<_> = spans
            .iter()
            .filter(|span| span.attributes["temporalWorkflowID"] == *id)
            .cloned()
            .collect();
        assert_tree(&of, parent);
    }
}

#[test]
fn replay_in_another_worker_adds_no_second_span() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let worker = |role| {
        let mut command = to(world.orders(["worker", "--role", role]), &endpoint);
        // Without a workflow cache, each workflow task replays the whole history.
        command.env("FLEET_MAX_CACHED_WORKFLOWS", "0");
        Process::start(command)
    };
    let mut workers =
        [worker("workflow-worker"), worker("workflow-worker"), worker("activity-worker")];
    let order = r#"{"id": "1", "items": ["a"], "pack_ms": 10, "hold_ms": 1, "card": "flaky"}"#;
    run(to(world.orders(["starter", "-n", "1", "--input", order]), &endpoint)).success();
    for worker in &mut workers {
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit_code(), 0);
    }
    let spans = collector.spans();
    assert_eq!(by_trace(&spans).len(), 1, "{spans:#?}");
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "a span is exported twice: {spans:#?}");
    for span in &spans {
        assert!(
            span.parent.is_empty() || ids.contains(&span.parent),
            "a span without its parent: {span:#?}"
        );
    }
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!(count("RunWorkflow:OrderWorkflow"), 1, "{spans:#?}");
    let activities = ["charge", "pack", "ship"]
        .map(|activity| count(&format!("RunActivity:Warehouse::{activity}")));
    assert_eq!(activities, [2, 1, 1], "{spans:#?}");

    let mut charges: Vec<_> =
        spans.iter().filter(|span| span.name == "RunActivity:Warehouse::charge").collect();
    charges.sort_by_key(|span| span.attributes["temporalActivityAttempt"].clone());
    assert_eq!(charges[0].attributes["temporalActivityAttempt"], "1");
    assert_eq!(charges[0].status, StatusCode::Error);
    assert!(charges[0].message.contains("the card network is busy"), "{charges:#?}");
    assert!(charges[0].attributes.contains_key("error.type"));
    assert_eq!(charges[1].attributes["temporalActivityAttempt"], "2");
    assert_ne!(charges[1].status, StatusCode::Error);
}

#[test]
fn a_trace_keeps_its_one_root_when_a_worker_is_killed() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let start = |role| Process::start(to(world.orders(["worker", "--role", role]), &endpoint));
    let (first, _activities) = (start("workflow-worker"), start("activity-worker"));
    let order =
        r#"{"id": "1", "items": ["a", "b"], "pack_ms": 800, "hold_ms": 1, "card": "valid"}"#;
    let mut starter =
        Process::start(to(world.orders(["starter", "-n", "1", "--input", order]), &endpoint));
    server::packing(&world.workflow_queue());
    first.signal(Signal::KILL);
    let mut second = start("workflow-worker");
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    second.signal(Signal::TERM);
    assert_eq!(second.exit_code(), 0);
    eventually("the last activity's span is exported", || {
        collector.spans().iter().any(|span| span.name == "RunActivity:Warehouse::ship")
    });
    let spans = collector.spans();
    assert_eq!(by_trace(&spans).len(), 1, "{spans:#?}");
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!(roots[0].name, STARTER);
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "a span is exported twice: {spans:#?}");
}

#[test]
fn user_spans_events_and_logs_join_the_trace_once_despite_replay() {
    let (world, collector) = (World::new(), Collector::grpc());
    let fleet = |arguments: &[&'static str]| {
        let mut command = world.at_home(example("traces"), arguments.iter().copied());
        command.env("FLEET_MAX_CACHED_WORKFLOWS", "0").env("FLEET_LOG_FORMAT", "json");
        command.env("RUST_LOG", "warn,traces=info");
        to(command, &collector.endpoint())
    };
    let mut worker = Process::start(fleet(&["worker", "--role", "worker"]));
    run(fleet(&["starter", "-n", "1", "--input", "\"tea\""])).success();
    worker.signal(Signal::TERM);
    assert_eq!(worker.exit_code(), 0);

    let spans = collector.spans();
    assert_eq!(by_trace(&spans).len(), 1, "{spans:#?}");
    let brew = named(&spans, "RunActivity:Kitchen::brew");
    let press = named(&spans, "RunActivity:Kitchen::press");
    let heat = named(&spans, "heat");
    let squeeze = named(&spans, "squeeze");
    let decide = named(&spans, "decide");
    let workflow = named(&spans, "RunWorkflow:Breakfast");
    assert_eq!(heat.parent, brew.id, "{spans:#?}");
    assert_eq!(squeeze.parent, press.id, "{spans:#?}");
    assert_eq!(decide.parent, workflow.id, "{spans:#?}");
    assert_eq!(heat.attributes["degrees"], "90");
    for (span, event) in [(brew, "brewing"), (heat, "it boils")] {
        let has = |(name, attributes): &(String, BTreeMap<String, String>)| {
            name.contains(event) || attributes.values().any(|value| value.contains(event))
        };
        assert!(span.events.iter().any(has), "no {event}: {span:#?}");
    }
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count("decide"), count("RunWorkflow:Breakfast")), (1, 1), "{spans:#?}");

    let lines = worker.err.wait_end();
    let logs: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (message, span) in [
        ("brewing", brew),
        ("it boils", heat),
        ("pressing", press),
        ("deciding", workflow),
        ("decided", workflow),
    ] {
        let said: Vec<_> = logs.iter().filter(|log| log["message"] == message).collect();
        assert_eq!(said.len(), 1, "{message}: {lines:#?}");
        assert_eq!(said[0]["trace_id"], span.trace, "{message}: {lines:#?}");
        assert_eq!(said[0]["span_id"], span.id, "{message}: {lines:#?}");
    }
}

#[test]
fn an_embedded_worker_exports_traces_without_global_state_or_exports_none() {
    let sample =
        || Fleet::new("embedded").workflow::<ParallelizedWorkflow>().activities(EchoActivities);
    for (fleet, count) in [(sample(), 3), (sample().without_traces(), 0)] {
        let (world, collector) = (World::new(), Collector::grpc());
        let environment = format!(
            "TEMPORAL_ADDRESS={}\nFLEET_WORKFLOW_TASK_QUEUE={}\nOTEL_EXPORTER_OTLP_ENDPOINT={}",
            server::address(),
            world.workflow_queue(),
            collector.endpoint()
        );
        let config = fleet.config(environment.parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let starter = world.fleet(["starter", "-n", "1"]);
        runtime.block_on(async {
            let worker = FleetWorker::build(&fleet, &config, Role::Worker).await.unwrap();
            let results = tokio::task::spawn_blocking(|| run(starter).success());
            worker.run(async { drop(results.await.unwrap()) }).await.unwrap();
        });
        assert_eq!(collector.spans().len(), count, "{:#?}", collector.spans());
    }
    assert!(!tracing::dispatcher::has_been_set(), "the program has no global dispatcher");
}

#[test]
fn the_dev_server_does_not_trace_itself() {
    let collector = Collector::grpc();
    let mut demo = to(program(FLEET), &collector.endpoint());
    demo.args(["demo", "-n", "2"]).env("OTEL_TRACES_EXPORTER", "otlp");
    run(demo).success();
    let spans = collector.spans();
    assert_eq!((by_trace(&spans).len(), spans.len()), (2, 10), "{spans:#?}");
}
