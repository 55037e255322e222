//! Wrong settings in the environment and in the settings file, and how they are reported.

use std::{ffi::OsStr, fs::OpenOptions, os::unix::ffi::OsStrExt};

use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};

use super::{fleet, refusals};
use crate::{
    snapshot::{assert_snapshot, transcript},
    support::{Process, run},
};

#[test]
fn a_missing_or_unknown_role_is_reported_with_the_known_roles() {
    assert_snapshot!(exact refusals(&[
        (&["worker"], &[]),
        (&["worker"], &[("FLEET_ROLE", "")]),
        (&[], &[("FLEET_ROLE", "actvity")]),
        (&["worker"], &[("FLEET_ROLE", "Worker")]),
    ]));
}

#[test]
fn a_wrong_variable_is_reported_with_its_value_and_its_rule() {
    assert_snapshot!(exact refusals(&[
        (&["up"], &[("FLEET_DRAIN_TIMEOUT", "20")]),
        (&["up"], &[("FLEET_ACTIVITY_GRACE", "30s")]),
        (&["up"], &[("FLEET_WORKFLOW_TASK_POLLERS", "1")]),
        (&["up"], &[("FLEET_MAX_CONCURRENT_ACTIVITIES", "0")]),
        (&["starter"], &[("FLEET_WORKER_LABEL", "host")]),
        (&["starter"], &[("FLEET_WORKFLOW_TASK_QUEUE", "  ")]),
        (&["up"], &[("FLEET_DRAIN_TIMEOUT", "0s")]),
        (&["up"], &[("FLEET_MAX_CACHED_WORKFLOWS", "18446744073709551615")]),
        (&["worker"], &[("FLEET_ROLE", "worker"), ("FLEET_HEALTH_ADDR", "localhost:80")]),
    ]));
}

#[test]
fn a_misspelled_variable_is_reported_with_the_nearest_name() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("FLEET_DRIAN_TIMEOUT", "20s")]),
    ]));
}

#[test]
fn a_build_id_without_a_deployment_name_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["worker"], &[("FLEET_ROLE", "worker"), ("TEMPORAL_WORKER_BUILD_ID", "1")]),
    ]));
}

#[test]
fn health_without_an_address_says_how_to_set_one() {
    assert_snapshot!(exact refusals(&[
        (&["health"], &[]),
    ]));
}

#[test]
fn a_missing_settings_file_is_reported_by_every_command() {
    assert_snapshot!(exact refusals(&[
        (&["config", "--config", "/nowhere/f.toml"], &[]),
        (&["--config", "/nowhere/f.toml", "up"], &[]),
    ]));
}

#[test]
fn a_settings_file_without_an_end_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["config", "--config", "/dev/zero"], &[]),
        (&["up"], &[("FLEET_CONFIG", "/dev/zero")]),
        (&["starter"], &[("TEMPORAL_CONFIG_FILE", "/dev/zero")]),
        (&["status"], &[
            ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/dev/zero"),
            ("TEMPORAL_TLS_CLIENT_KEY_PATH", "/dev/zero"),
        ]),
        (&["up"], &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/zero")]),
    ]));
}

#[test]
fn a_stop_is_obeyed_while_a_settings_file_has_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    for (variable, command, code) in [
        ("FLEET_CONFIG", "up", 143),
        ("FLEET_CONFIG", "starter", 143),
        ("TEMPORAL_CONFIG_FILE", "starter", 143),
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "status", 143),
        // The workers read it, and a worker that has nothing in flight has drained.
        ("TEMPORAL_CONFIG_FILE", "up", 0),
    ] {
        let mut fleet = fleet(&[command]);
        fleet.env(variable, &pipe);
        let mut process = Process::start(fleet);
        // Whoever opens the other end waits for a reader.
        let _writer = OpenOptions::new().write(true).open(&pipe).unwrap();
        process.signal(Signal::TERM);
        assert_eq!(process.exit_code(), code, "{variable} {command}");
        let printed = process.err.wait_end();
        assert!(!printed.iter().any(|line| line.contains("error")), "{printed:?}");
    }
}

#[test]
fn a_temporal_cli_that_does_not_run_is_reported() {
    assert_snapshot!(exact refusals(&[
        (&["demo", "--temporal-cli", "/nowhere"], &[]),
        (&["up", "--dev-server"], &[("FLEET_TEMPORAL_CLI", "/bin/false")]),
    ]));
}

#[test]
fn a_variable_that_is_not_unicode_is_refused() {
    let mut command = fleet(&["starter"]);
    command.env("TEMPORAL_ADDRESS", OsStr::from_bytes(b"\xffhost:1"));
    let finished = run(command);
    assert_eq!(finished.code, 78, "{finished:#?}");
    assert_eq!(finished.err, ["error: TEMPORAL_ADDRESS (environment): its value is not Unicode"]);
}

#[test]
fn two_wrong_settings_are_reported_in_two_lines() {
    let mut command = fleet(&["worker"]);
    command.env("FLEET_ROLE", "actvity").env("FLEET_DRAIN_TIMEOUT", "20");
    let finished = run(command);
    assert_eq!(finished.code, 78);
    assert_eq!(finished.err.len(), 2, "{finished:#?}");
    assert!(finished.err[0].starts_with("error: FLEET_ROLE=\"actvity\""), "{finished:#?}");
    assert!(finished.err[1].starts_with("error: FLEET_DRAIN_TIMEOUT=\"20\""), "{finished:#?}");
}

#[test]
fn every_wrong_setting_is_reported_at_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = "drain_timeout = 20\nmax_cached_workflow = 1\nworker_label = [1]\n";
    std::fs::write(folder.path().join("fleet.toml"), file).unwrap();
    let mut command = fleet(&["up"]);
    command
        .current_dir(folder.path())
        .env("FLEET_WORKFLOW_TASK_POLLERS", "1")
        .env("FLEET_ROLES", "worker")
        .env("TEMPORAL_DEPLOYMENT_NAME", "d")
        .env("RUST_LOG", "a=loud");
    for (name, value) in WRONG_OTEL_SETTINGS {
        command.env(name, value);
    }
    assert_snapshot!(exact transcript(command));
}

/// One wrong setting for each rule.
const WRONG_OTEL_SETTINGS: [(&str, &str); 12] = [
    ("OTEL_SDK_DISABLED", "maybe"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "nope"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "s3cr3t"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "x"),
    ("OTEL_RESOURCE_ATTRIBUTES", "q"),
    ("OTEL_TRACES_SAMPLER", "some"),
    ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
];

#[test]
fn a_settings_file_that_is_not_toml_is_reported_in_one_line() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("fleet.toml"), "role = ").unwrap();
    let mut command = fleet(&["up"]);
    command.current_dir(folder.path());
    assert_snapshot!(exact transcript(command));
}
