//! Log records that a collector receives: each line once, with the trace that it belongs to, and
//! without the lines of the export itself.

use std::process::Command;

use rustix::process::Signal;

use crate::{
    collector::{Collector, Log},
    support::{Process, World, example, run},
};

fn to(mut command: Command, collector: &Collector) -> Command {
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    if collector.is_http() {
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    }
    command
}

#[test]
fn each_log_record_is_exported_once_with_its_span_and_its_origin() {
    for collector in [Collector::grpc(), Collector::http()] {
        let world = World::new();
        let fleet = |arguments: &[&'static str]| {
            let mut command = world.at_home(example("traces"), arguments.iter().copied());
            // Without a workflow cache, each workflow task replays the whole history with its log lines.
            command.env("FLEET_MAX_CACHED_WORKFLOWS", "0").env("RUST_LOG", "warn,traces=info");
            command.env("FLEET_LOG_FORMAT", "json");
            to(command, &collector)
        };
        let mut worker = Process::start(fleet(&["worker", "--role", "worker"]));
        run(fleet(&["starter", "-n", "1", "--input", "\"tea\""])).success();
        worker.signal(Signal::TERM);
        assert_eq!(worker.exit_code(), 0);

        let (logs, spans) = (collector.logs(), collector.spans());
        for (text, name) in [
            ("deciding", "RunWorkflow:Breakfast"),
            ("brewing", "RunActivity:Kitchen::brew"),
            ("it boils", "heat"),
            ("decided", "RunWorkflow:Breakfast"),
            ("pressing", "RunActivity:Kitchen::press"),
        ] {
            let found: Vec<_> = logs.iter().filter(|log| log.text == text).collect();
            let [Log { level, target, trace, span, attributes, resource, .. }] = found[..] else {
                panic!("{text}, not once: {logs:#?}")
            };
            let expected = spans.iter().find(|span| span.name == name).unwrap();
            assert_eq!((trace, span), (&expected.trace, &expected.id), "{text}: {spans:#?}");
            assert_eq!((level.as_str(), target.as_str()), ("INFO", "traces"));
            assert_eq!(resource["service.name"], "fleet-worker");
            // The dashboard selects logs by this attribute.
            assert_eq!(resource["fleet.role"], "worker");
            assert_eq!(resource["service.instance.id"], expected.resource["service.instance.id"]);
            let drink = attributes.get("drink").map(String::as_str);
            assert_eq!(drink, (text == "brewing").then_some("tea"));
        }
        // stderr keeps all lines, and there are as many log records.
        let lines = worker.err.wait_end();
        assert_eq!(logs.len(), lines.len(), "{logs:#?} {lines:#?}");
    }
}

#[test]
fn logs_can_be_disabled_and_can_have_their_own_endpoint() {
    let (world, all, own) = (World::new(), Collector::grpc(), Collector::http());
    for (name, value, count) in [
        ("OTEL_LOGS_EXPORTER", "none".to_owned(), 0),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", own.endpoint() + "/v1/logs", 1),
    ] {
        // No worker runs, so the starter soon ends and logs exactly one line.
        let mut starter = to(world.fleet(["starter", "-n", "1", "--timeout", "1s"]), &all);
        starter.env(name, value).env("TRACEPARENT", "nonsense");
        let finished = run(starter);
        assert!(finished.err.iter().any(|line| line.contains("TRACEPARENT")), "{finished:#?}");
        assert_eq!(all.logs().len(), 0, "{name}: {:#?}", all.logs());
        assert_eq!(own.logs().len(), count, "{name}: {:#?}", own.logs());
        assert!(!all.spans().is_empty(), "the other signals are still exported");
    }
}

#[test]
fn log_lines_of_the_export_itself_are_not_exported() {
    for collector in [Collector::grpc(), Collector::http()] {
        let world = World::new();
        let mut starter = to(world.fleet(["starter", "-n", "1", "--timeout", "1s"]), &collector);
        starter.env("RUST_LOG", "trace").env("OTEL_BLRP_SCHEDULE_DELAY", "1");
        let finished = run(starter);
        let port = collector.port.to_string();
        assert!(finished.err.iter().any(|line| line.contains(&port)), "{finished:#?}");
        let logs = collector.logs();
        assert!(logs.iter().any(|log| log.target.starts_with("hyper_util")), "{logs:#?}");
        for log in logs {
            assert!(!log.text.contains(&port), "{log:#?}");
            assert!(!log.attributes.values().any(|value| value.contains(&port)), "{log:#?}");
            assert!(!log.target.starts_with("opentelemetry"), "{log:#?}");
        }
    }
}
