//! Panics of workflow and activity code are lines of the log.

use rustix::process::Signal;
use serde_json::Value;

use super::{assert_harmless, hostile};
use crate::{
    collector::Collector,
    server::{self, the_workflow},
    support::{Process, World, example, run},
};

fn input(what: &str, text: &str) -> String {
    serde_json::json!({ "what": what, "text": text }).to_string()
}

/// Starts a worker of the `misbehaving` example and has it run one workflow, which fails or goes on for ever.
fn misbehave(what: &str, variables: &[(&str, &str)]) -> (World, Vec<String>) {
    let world = World::new();
    let of = |arguments: &[&str]| {
        let mut command = world.at_home(example("misbehaving"), arguments.iter().copied());
        command.envs(variables.iter().copied()).env("RUST_BACKTRACE", "0");
        command.envs(variables.iter().copied());
        command
    };
    let mut up = Process::start_ready(of(&["up", "-w", "0", "-a", "0", "--num-workers", "1"]));
    let text = hostile("boom");
    let timeout = if what == "workflow" { "3s" } else { "60s" };
    run(of(&["starter", "-n", "1", "--input", &input(what, &text), "--timeout", timeout]));
    up.err.wait_for("boom");
    if what == "workflow" {
        server::terminate(&the_workflow(&world.workflow_queue()), "the test is over");
    }
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
    (world, up.err.wait_end())
}

#[test]
fn a_panic_of_workflow_or_activity_code_is_one_line_of_the_log_with_the_workers_mark() {
    for what in ["workflow", "activity", "log"] {
        // A panic is logged whatever the filter says; a value that is not logged cannot panic.
        let filter = if what == "log" { "misbehaving=warn" } else { "off" };
        let (_, lines) = misbehave(what, &[("RUST_LOG", filter)]);
        assert_harmless(what, &lines);
        let panics: Vec<_> = lines.iter().filter(|line| line.contains("panicked: boom")).collect();
        assert_eq!(panics.len(), lines.len(), "{what}: {lines:#?}");
        if what != "workflow" {
            assert_eq!(panics.len(), 1, "{what}: {lines:#?}");
        }
        assert!(panics[0].starts_with("worker:0 | "), "{panics:#?}");
        assert!(panics[0].contains("location=\"examples/misbehaving.rs:"), "{panics:#?}");
        assert!(!panics[0].contains("backtrace"), "{panics:#?}");
    }
}

#[test]
fn a_panic_is_json_in_a_log_of_json_and_has_a_backtrace_where_that_is_asked_for() {
    let (_, lines) =
        misbehave("activity", &[("FLEET_LOG_FORMAT", "json"), ("RUST_BACKTRACE", "1")]);
    assert_harmless("a log in JSON", &lines);
    let events: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let panic = events.iter().find(|event| event["target"] == "temporal_fleet::panic").unwrap();
    assert_eq!(panic["message"], format!("panicked: {}", hostile("boom")));
    assert_eq!((&panic["level"], &panic["worker"]), (&"ERROR".into(), &"worker:0".into()));
    assert!(panic["backtrace"].as_str().unwrap().contains("misbehaving"), "{panic}");
}

#[test]
fn a_panic_is_exported_as_a_log_record() {
    let collector = Collector::grpc();
    misbehave("activity", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let logs = collector.logs();
    let panics: Vec<_> = logs.iter().filter(|log| log.text.starts_with("panicked: boom")).collect();
    assert_eq!(panics.len(), 1, "{logs:#?}");
    assert_eq!(panics[0].level, "ERROR");
}
