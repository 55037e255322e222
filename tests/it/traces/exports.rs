//! Where and in which form spans are exported, and when no spans are exported.

use std::process::Command;

use rustix::process::Signal;

use super::{assert_tree, to};
use crate::{
    collector::Collector,
    support::{Process, World, run},
};

#[test]
fn traces_over_http_carry_headers_and_compression() {
    for compression in [None, Some("gzip")] {
        let (world, collector) = (World::new(), Collector::http());
        let with = |mut command: Command| {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint() + "/otlp")
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .envs(
                    compression.map(|compression| ("OTEL_EXPORTER_OTLP_COMPRESSION", compression)),
                )
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
fn traces_over_grpc_carry_headers_compression_and_the_service_name() {
    let (world, collector) = (World::new(), Collector::grpc());
    let mut starter = world.fleet(["starter", "-n", "1", "--timeout", "1s"]);
    starter
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-token=secret")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_SERVICE_NAME", "orders");
    assert_eq!(run(starter).code, 1, "no worker runs");
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(spans.iter().all(|span| span.service() == "orders"), "{spans:#?}");
    let headers = collector.headers();
    assert_eq!(
        (headers["x-token"].as_str(), headers["grpc-encoding"].as_str()),
        ("secret", "gzip")
    );
}

#[test]
fn nothing_is_exported_when_traces_are_off() {
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
fn wrong_otel_settings_are_refused_by_every_command_without_showing_secrets() {
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
fn config_shows_the_traces_endpoint_and_masks_headers() {
    let mut command = World::new().fleet(["config"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret");
    let shown = run(command).success().join("\n");
    assert!(shown.contains("#   traces = \"grpc to http://collector:4317/\""), "{shown}");
    assert!(shown.contains("#   OTEL_EXPORTER_OTLP_HEADERS = \"***\""), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}
