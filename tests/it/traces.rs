//! Real exports of real processes: what is sent, to where, and what becomes of a collector that is
//! away.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use rustix::process::Signal;
use serde_json::Value;
use temporal_fleet::{
    Fleet, FleetWorker, Role,
    parallelized::{EchoActivities, ParallelizedWorkflow},
};
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::{
    collector::{Collector, Span, black_hole},
    server::{self, pid_of},
    support::{Process, World, eventually, example, free_port, program, run},
};

const STARTER: &str = "fleet starter";
const START: &str = "StartWorkflow:ParallelizedWorkflow";
const RUN: &str = "RunWorkflow:ParallelizedWorkflow";
const SCHEDULE: &str = "StartActivity:echo_pid_activity";
const ACTIVITY: &str = "RunActivity:echo_pid_activity";
/// From the root down.
const TREE: [&str; 5] = [STARTER, START, RUN, SCHEDULE, ACTIVITY];

fn to(mut command: Command, endpoint: &str) -> Command {
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    command
}

/// The spans of each trace.
fn by_trace(spans: &[Span]) -> BTreeMap<String, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<_>>::new();
    for span in spans {
        traces.entry(span.trace.clone()).or_default().push(span.clone());
    }
    traces
}

/// Asserts that the spans are the tree of one of the sample's workflows, below `above`.
#[track_caller]
fn assert_tree(spans: &[Span], above: &str) {
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let mut expected = TREE;
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "{spans:#?}");
    let mut parent = above.to_owned();
    for name in TREE {
        let span = named(spans, name);
        assert_eq!(span.parent, parent, "{name}: {spans:#?}");
        parent.clone_from(&span.id);
    }
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

#[test]
fn each_workflow_is_one_trace_through_three_roles() {
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
    let ids: BTreeSet<_> = spans.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), 25, "no span twice");

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
fn over_http_with_headers_and_compression_it_is_the_same() {
    for compression in [None, Some("gzip")] {
        let (world, collector) = (World::new(), Collector::http());
        let with = |mut command: Command| {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint() + "/otlp")
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .envs(compression.map(|it| ("OTEL_EXPORTER_OTLP_COMPRESSION", it)))
                .env("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b,X-Other=c");
            command
        };
        let mut up = Process::start_ready(with(world.fleet(["up", "-w", "1"])));
        run(with(world.fleet(["starter", "-n", "1"]))).success();
        up.signal(Signal::TERM);
        assert_eq!(up.exit_code(), 0);
        assert_tree(&collector.spans(), "");
        let headers = collector.headers();
        assert_eq!(headers[":path"], "/otlp/v1/traces");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!((headers["x-token"].as_str(), headers["x-other"].as_str()), ("a b", "c"));
    }
}

#[test]
fn over_grpc_headers_and_compression_arrive_and_the_service_can_be_named() {
    let (world, collector) = (World::new(), Collector::grpc());
    let mut starter = world.fleet(["starter", "-n", "1", "--timeout", "1s"]);
    starter
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-token=secret")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_SERVICE_NAME", "orders");
    assert_eq!(run(starter).code, 1, "nobody works");
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(spans.iter().all(|it| it.service() == "orders"), "{spans:#?}");
    let headers = collector.headers();
    assert_eq!(
        (headers["x-token"].as_str(), headers["grpc-encoding"].as_str()),
        ("secret", "gzip")
    );
}

#[test]
fn the_callers_trace_goes_on() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let mut up = Process::start_ready(to(world.fleet(["up", "-w", "1"]), &endpoint));
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let mut starter = to(world.fleet(["starter", "-n", "2"]), &endpoint);
    starter.env("TRACEPARENT", format!("00-{trace}-{parent}-01"));
    run(starter).success();
    // One whose caller does not sample is not sampled in any process.
    let mut unsampled = to(world.fleet(["starter", "-n", "1"]), &endpoint);
    unsampled.env("TRACEPARENT", format!("00-{}-{parent}-00", trace.replace('4', "5")));
    run(unsampled).success();
    up.ctrl_c();
    assert_eq!(up.exit_code(), 0);
    let spans = collector.spans();
    assert_eq!(spans.len(), 10, "{spans:#?}");
    assert!(spans.iter().all(|it| it.trace == trace), "{spans:#?}");
    let workflows: BTreeSet<_> =
        spans.iter().map(|it| &it.attributes["temporalWorkflowID"]).collect();
    assert_eq!(workflows.len(), 2);
    for id in workflows {
        let of: Vec<_> =
            spans.iter().filter(|it| it.attributes["temporalWorkflowID"] == *id).cloned().collect();
        assert_tree(&of, parent);
    }
}

#[test]
fn nothing_is_sent_where_traces_are_off() {
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let (world, collector) = (World::new(), Collector::grpc());
        let off = |mut command: Command| {
            command.env(name, value);
            to(command, &collector.endpoint())
        };
        let mut up = Process::start_ready(off(world.fleet(["up", "-w", "1"])));
        run(off(world.fleet(["starter", "-n", "1"]))).success();
        up.ctrl_c();
        assert_eq!(up.exit_code(), 0);
        assert_eq!(collector.spans().len(), 0, "{name}");
    }
}

#[test]
fn what_is_wrong_is_refused_by_every_command_and_no_secret_shown() {
    for arguments in
        [vec!["starter"], vec!["up"], vec!["worker", "--role", "worker"], vec!["config"]]
    {
        let mut command = World::new().fleet(arguments);
        command
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "secret");
        let finished = run(command);
        assert_eq!(finished.code, 78, "{finished:#?}");
        let expected = [
            "error: OTEL_EXPORTER_OTLP_PROTOCOL=\"http/json\" (environment): expected grpc or \
             http/protobuf",
            "error: OTEL_EXPORTER_OTLP_HEADERS (environment): expected name=value pairs with commas \
             between them (the values are not shown)",
        ];
        assert_eq!(finished.err, expected);
    }
}

#[test]
fn config_shows_where_traces_go_and_masks_headers() {
    let mut command = World::new().fleet(["config"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret");
    let shown = run(command).success().join("\n");
    assert!(shown.contains("#   traces = \"grpc to http://collector:4317/\""), "{shown}");
    assert!(shown.contains("#   OTEL_EXPORTER_OTLP_HEADERS = \"***\""), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

/// The log lines that tell of the export.
fn told(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains("telemetry ")).collect()
}

#[test]
fn without_a_collector_all_work_is_done_and_one_line_says_so() {
    let hole = black_hole();
    let endpoints =
        [free_port(), hole.local_addr().unwrap().port()].map(|it| format!("http://127.0.0.1:{it}"));
    for endpoint in endpoints {
        let world = World::new();
        let impatient = |arguments: &[&'static str]| {
            let mut command = to(world.fleet(arguments.iter().copied()), &endpoint);
            // So that all three signals fail again and again while there is work.
            command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
            command.env("OTEL_METRIC_EXPORT_INTERVAL", "500");
            command
        };
        let [mut workflows, mut activities] = ["workflow-worker", "activity-worker"]
            .map(|role| Process::start(impatient(&["worker", "--role", role])));
        let finished = run(impatient(&["starter", "-n", "500"]));
        assert_eq!((finished.code, finished.out.len()), (0, 500), "{finished:#?}");
        assert_eq!(told(&finished.err).len(), 1, "{endpoint}: {finished:#?}");
        for worker in [&mut workflows, &mut activities] {
            let begun = Instant::now();
            worker.signal(Signal::TERM);
            assert_eq!(worker.exit_code(), 0);
            assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
            let lines = worker.err.wait_end();
            assert_eq!(told(&lines).len(), 1, "{endpoint}: {lines:#?}");
            assert!(
                lines.iter().any(|it| it.contains("WARN") && it.contains("cannot be exported"))
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
fn a_collector_that_goes_and_comes_back_is_told_in_a_line_each() {
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
    // What the collector's absence kept waiting comes too, for it was short.
    collector.wait(3 * 51);
    assert_eq!(told(&workflows.err.so_far()).len(), 2, "{:#?}", workflows.err.so_far());
}

#[test]
fn a_workflow_that_replays_in_another_worker_is_in_the_trace_once() {
    let (world, collector) = (World::new(), Collector::grpc());
    let endpoint = collector.endpoint();
    let worker = |role| {
        let mut command = to(world.orders(["worker", "--role", role]), &endpoint);
        // Nothing is cached: each task replays all that was before.
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
    let ids: BTreeSet<_> = spans.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), spans.len(), "a span twice: {spans:#?}");
    for span in &spans {
        assert!(span.parent.is_empty() || ids.contains(&span.parent), "an orphan: {span:#?}");
    }
    let count = |name: &str| spans.iter().filter(|it| it.name == name).count();
    assert_eq!(count("RunWorkflow:OrderWorkflow"), 1, "{spans:#?}");
    let activities =
        ["charge", "pack", "ship"].map(|it| count(&format!("RunActivity:Warehouse::{it}")));
    assert_eq!(activities, [2, 1, 1], "{spans:#?}");

    let mut charges: Vec<_> =
        spans.iter().filter(|it| it.name == "RunActivity:Warehouse::charge").collect();
    charges.sort_by_key(|it| it.attributes["temporalActivityAttempt"].clone());
    assert_eq!(charges[0].attributes["temporalActivityAttempt"], "1");
    assert_eq!(charges[0].status, StatusCode::Error);
    assert!(charges[0].message.contains("the card network is busy"), "{charges:#?}");
    assert!(charges[0].attributes.contains_key("error.type"));
    assert_eq!(charges[1].attributes["temporalActivityAttempt"], "2");
    assert_ne!(charges[1].status, StatusCode::Error);
}

#[test]
fn a_killed_worker_leaves_a_trace_with_its_root() {
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
    eventually("the last activity's span is there", || {
        collector.spans().iter().any(|it| it.name == "RunActivity:Warehouse::ship")
    });
    let spans = collector.spans();
    assert_eq!(by_trace(&spans).len(), 1, "{spans:#?}");
    let roots: Vec<_> = spans.iter().filter(|it| it.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!(roots[0].name, STARTER);
    let ids: BTreeSet<_> = spans.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), spans.len(), "a span twice: {spans:#?}");
}

#[test]
fn users_spans_events_and_logs_join_and_are_not_repeated_on_replay() {
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
            name.contains(event) || attributes.values().any(|it| it.contains(event))
        };
        assert!(span.events.iter().any(has), "no {event}: {span:#?}");
    }
    let count = |name: &str| spans.iter().filter(|it| it.name == name).count();
    assert_eq!((count("decide"), count("RunWorkflow:Breakfast")), (1, 1), "{spans:#?}");

    let lines = worker.err.wait_end();
    let logs: Vec<Value> = lines.iter().filter_map(|it| serde_json::from_str(it).ok()).collect();
    for (message, span) in [
        ("brewing", brew),
        ("it boils", heat),
        ("pressing", press),
        ("deciding", workflow),
        ("decided", workflow),
    ] {
        let said: Vec<_> = logs.iter().filter(|it| it["message"] == message).collect();
        assert_eq!(said.len(), 1, "{message}: {lines:#?}");
        assert_eq!(said[0]["trace_id"], span.trace, "{message}: {lines:#?}");
        assert_eq!(said[0]["span_id"], span.id, "{message}: {lines:#?}");
    }
}

#[test]
fn an_embedded_workers_traces_are_sent_with_nothing_global_or_not_at_all() {
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
    assert!(!tracing::dispatcher::has_been_set(), "the program's own");
}

#[test]
fn a_dev_server_does_not_trace_itself() {
    let collector = Collector::grpc();
    let mut demo = to(program(crate::support::FLEET), &collector.endpoint());
    demo.args(["demo", "-n", "2"]).env("OTEL_TRACES_EXPORTER", "otlp");
    run(demo).success();
    let spans = collector.spans();
    assert_eq!((by_trace(&spans).len(), spans.len()), (2, 10), "{spans:#?}");
}
