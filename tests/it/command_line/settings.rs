//! Wrong settings, from the environment and from the settings file.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::{DURATION, ROLES, assert_refused, fleet};
use crate::support::run;

#[test]
fn a_missing_or_unknown_role_is_reported_with_the_known_roles() {
    assert_refused(&[
        (
            &["worker"],
            &[],
            78,
            "error: no role: set FLEET_ROLE or --role to workflow-worker, activity-worker or worker",
        ),
        (&["worker"], &[("FLEET_ROLE", "")], 78, "error: no role: set FLEET_ROLE"),
        (
            &[],
            &[("FLEET_ROLE", "actvity")],
            78,
            &format!("error: FLEET_ROLE=\"actvity\" (environment): {ROLES}"),
        ),
        (
            &["worker"],
            &[("FLEET_ROLE", "Worker")],
            78,
            "error: FLEET_ROLE=\"Worker\" (environment): unknown role",
        ),
    ]);
}

#[test]
fn a_wrong_variable_is_reported_with_its_value_and_its_rule() {
    assert_refused(&[
        (
            &["up"],
            &[("FLEET_DRAIN_TIMEOUT", "20")],
            78,
            &format!("error: FLEET_DRAIN_TIMEOUT=\"20\" (environment): {DURATION}"),
        ),
        (
            &["up"],
            &[("FLEET_ACTIVITY_GRACE", "30s")],
            78,
            "error: FLEET_ACTIVITY_GRACE=\"30s\" (environment): must be shorter than the drain timeout (20s)",
        ),
        (
            &["up"],
            &[("FLEET_WORKFLOW_TASK_POLLERS", "1")],
            78,
            "error: FLEET_WORKFLOW_TASK_POLLERS=\"1\" (environment): expected auto or a whole number from 2 to 1000",
        ),
        (
            &["up"],
            &[("FLEET_MAX_CONCURRENT_ACTIVITIES", "0")],
            78,
            "error: FLEET_MAX_CONCURRENT_ACTIVITIES=\"0\" (environment): expected a whole number from 1 to 1000000",
        ),
        (
            &["starter"],
            &[("FLEET_WORKER_LABEL", "host")],
            78,
            "error: FLEET_WORKER_LABEL=\"host\" (environment): unknown label style; expected auto, pid or pid@host",
        ),
        (
            &["starter"],
            &[("FLEET_WORKFLOW_TASK_QUEUE", "  ")],
            78,
            "error: FLEET_WORKFLOW_TASK_QUEUE=\"  \" (environment): expected a name, not empty or blank",
        ),
        (
            &["up"],
            &[("FLEET_DRAIN_TIMEOUT", "0s")],
            78,
            "error: FLEET_DRAIN_TIMEOUT=\"0s\" (environment): must be longer than zero",
        ),
        (
            &["up"],
            &[("FLEET_MAX_CACHED_WORKFLOWS", "18446744073709551615")],
            78,
            "error: FLEET_MAX_CACHED_WORKFLOWS=\"18446744073709551615\" (environment): expected a whole number from 0 to 1000000",
        ),
        (
            &["worker"],
            &[("FLEET_ROLE", "worker"), ("FLEET_HEALTH_ADDR", "localhost:80")],
            78,
            "error: FLEET_HEALTH_ADDR=\"localhost:80\" (environment): expected an IP address and a port, such as 0.0.0.0:8080",
        ),
    ]);
}

#[test]
fn a_misspelled_variable_is_reported_with_the_nearest_name() {
    assert_refused(&[(
        &["starter"],
        &[("FLEET_DRIAN_TIMEOUT", "20s")],
        78,
        "error: FLEET_DRIAN_TIMEOUT (environment): no such setting; the nearest is FLEET_DRAIN_TIMEOUT",
    )]);
}

#[test]
fn a_build_id_without_a_deployment_name_is_refused() {
    assert_refused(&[(
        &["worker"],
        &[("FLEET_ROLE", "worker"), ("TEMPORAL_WORKER_BUILD_ID", "1")],
        78,
        "error: TEMPORAL_WORKER_BUILD_ID=\"1\" (environment): a versioned worker needs TEMPORAL_DEPLOYMENT_NAME too",
    )]);
}

#[test]
fn health_without_an_address_says_how_to_set_one() {
    assert_refused(&[(
        &["health"],
        &[],
        78,
        "error: no health address: set FLEET_HEALTH_ADDR or --health-addr",
    )]);
}

#[test]
fn a_missing_settings_file_is_reported_by_every_command() {
    assert_refused(&[
        (
            &["config", "--config", "/nowhere/f.toml"],
            &[],
            78,
            "error: /nowhere/f.toml (file): No such file or directory",
        ),
        (
            &["--config", "/nowhere/f.toml", "up"],
            &[],
            78,
            "error: /nowhere/f.toml (file): No such file or directory",
        ),
    ]);
}

#[test]
fn a_temporal_cli_that_does_not_run_is_reported() {
    assert_refused(&[
        (
            &["demo", "--temporal-cli", "/nowhere"],
            &[],
            69,
            "error: the Temporal CLI named by --temporal-cli or FLEET_TEMPORAL_CLI does not work: /nowhere: No such file",
        ),
        (
            &["up", "--dev-server"],
            &[("FLEET_TEMPORAL_CLI", "/bin/false")],
            69,
            "error: the Temporal CLI named by --temporal-cli or FLEET_TEMPORAL_CLI does not work: /bin/false: ",
        ),
    ]);
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
