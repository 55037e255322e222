//! Each variable with a wrong value, and what is reported about it.

use super::Settings;

fn read(environment: &str) -> (Settings, Vec<String>) {
    let (settings, problems) = Settings::read(&environment.parse().unwrap());
    (settings, problems.into_iter().map(|(what, rule)| format!("{what}: {rule}")).collect())
}

#[test]
fn every_wrong_value_is_named_with_its_rule_and_no_secret() {
    for (variable, problem) in [
        ("OTEL_SDK_DISABLED=yes", "OTEL_SDK_DISABLED=\"yes\": expected true or false"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317",
            "OTEL_EXPORTER_OTLP_ENDPOINT=\"localhost:4317\": expected a URL, such as http://localhost:4317",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@a:1",
            "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://***@a:1/\": holds a user name or password: see \
             OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
            "OTEL_EXPORTER_OTLP_PROTOCOL=\"http/json\": expected grpc or http/protobuf",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS=secret",
            "OTEL_EXPORTER_OTLP_HEADERS: expected name=value pairs with commas between them (the \
             values are not shown)",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=10s",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=\"10s\": expected a whole number of milliseconds, \
             from 1 to 3600000",
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
            "OTEL_EXPORTER_OTLP_COMPRESSION=\"zstd\": expected gzip",
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere",
            "OTEL_EXPORTER_OTLP_CERTIFICATE=\"/nowhere\": cannot read it: No such file or \
             directory (os error 2)",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPONT=http://a",
            "OTEL_EXPORTER_OTLP_ENDPONT: no such setting; the nearest is \
             OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            "OTEL_EXPORTER_OTLP_INSECURE=true",
            "OTEL_EXPORTER_OTLP_INSECURE: give the endpoint with http:// or https:// instead",
        ),
        ("OTEL_TRACES_EXPORTER=zipkin", "OTEL_TRACES_EXPORTER=\"zipkin\": expected otlp or none"),
        ("OTEL_METRICS_EXPORTER=statsd", "OTEL_METRICS_EXPORTER=\"statsd\": expected otlp or none"),
        (
            "OTEL_RESOURCE_ATTRIBUTES=a",
            "OTEL_RESOURCE_ATTRIBUTES=\"a\": expected name=value pairs with commas between them",
        ),
        (
            "OTEL_TRACES_SAMPLER=xray",
            "OTEL_TRACES_SAMPLER=\"xray\": expected always_on, always_off, traceidratio, \
             parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
        ),
        (
            "OTEL_TRACES_SAMPLER_ARG=2",
            "OTEL_TRACES_SAMPLER_ARG=\"2\": expected a number from 0.0 to 1.0",
        ),
        (
            "OTEL_PROPAGATORS=b3",
            "OTEL_PROPAGATORS=\"b3\": expected tracecontext, baggage, both with a comma, or none",
        ),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=\"4000\": must not be above OTEL_BSP_MAX_QUEUE_SIZE \
             (2048)",
        ),
        (
            "OTEL_SPAN_EVENT_COUNT_LIMIT=-1",
            "OTEL_SPAN_EVENT_COUNT_LIMIT=\"-1\": expected a whole number, 0 or more",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://a/b\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://a/b\": over grpc an endpoint has no path: see \
             OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
    ] {
        assert_eq!(read(variable).1, [problem], "{variable}");
    }
}

#[test]
fn so_is_every_wrong_value_for_logs() {
    for (variable, problem) in [
        ("OTEL_LOGS_EXPORTER=console", "OTEL_LOGS_EXPORTER=\"console\": expected otlp or none"),
        (
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=0",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=\"0\": expected a whole number of milliseconds, \
             from 1 to 3600000",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPONT=http://a",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPONT: no such setting; the nearest is \
             OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ),
        (
            "OTEL_LOGS_EXPORT=otlp",
            "OTEL_LOGS_EXPORT: no such setting; the nearest is OTEL_LOGS_EXPORTER",
        ),
        (
            "OTEL_BLRP_EXPORT_TIMEOUT=1000",
            "OTEL_BLRP_EXPORT_TIMEOUT: see OTEL_EXPORTER_OTLP_TIMEOUT, which bounds the same",
        ),
        (
            "OTEL_BLRP_MAX_QUEUE_SIZE=100\nOTEL_BLRP_MAX_EXPORT_BATCH_SIZE=101",
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=\"101\": must not be above \
             OTEL_BLRP_MAX_QUEUE_SIZE (100)",
        ),
    ] {
        assert_eq!(read(variable).1, [problem], "{variable}");
    }
}

#[test]
fn what_is_switched_off_is_not_looked_at() {
    let (settings, problems) = read("OTEL_SDK_DISABLED=true\nOTEL_TRACES_EXPORTER=zipkin");
    assert!(settings.traces.is_none() && problems.is_empty(), "{problems:#?}");
}
