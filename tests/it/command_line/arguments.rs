//! Wrong arguments.

use super::{COUNT, DURATION, ROLES, assert_refused};

#[test]
fn an_unknown_command_is_refused() {
    assert_refused(&[(&["nonsense"], &[], 2, "error: unrecognized subcommand 'nonsense'")]);
}

#[test]
fn a_wrong_number_is_reported_with_the_accepted_range() {
    assert_refused(&[
        (
            &["starter", "-n", "-5"],
            &[],
            2,
            &format!("error: invalid value '-5' for '--num-workflows <N>': {COUNT}"),
        ),
        (
            &["starter", "-n", "0"],
            &[],
            2,
            &format!("error: invalid value '0' for '--num-workflows <N>': {COUNT}"),
        ),
        (
            &["starter", "-n", "many"],
            &[],
            2,
            &format!("error: invalid value 'many' for '--num-workflows <N>': {COUNT}"),
        ),
        (
            &["starter", "--concurrency", "0"],
            &[],
            2,
            "error: invalid value '0' for '--concurrency <N>': expected a whole number from 1 to 10000",
        ),
        (
            &["trace", "x", "--width", "-1"],
            &[],
            2,
            "error: invalid value '-1' for '--width <N>': expected a whole number from 60 to 1000",
        ),
        (
            &["up", "-w", "-1"],
            &[],
            2,
            "error: invalid value '-1' for '--num-workflow-workers <N>': expected a whole number from 0 to 1000",
        ),
        (
            &["up", "-w", "1000000"],
            &[],
            2,
            "error: invalid value '1000000' for '--num-workflow-workers <N>': expected a whole number from 0 to 1000",
        ),
        (
            &["up", "--dev-server", "--ui-port", "70000"],
            &[],
            2,
            "error: invalid value '70000' for '--ui-port <PORT>': expected a whole number from 0 to 65535",
        ),
    ]);
}

#[test]
fn a_blank_name_is_refused() {
    assert_refused(&[
        (
            &["starter", "--batch", " "],
            &[],
            2,
            "error: invalid value ' ' for '--batch <NAME>': expected a name, not empty or blank",
        ),
        (
            &["status", "--task-queue", ""],
            &[],
            2,
            "error: invalid value '' for '--task-queue <QUEUE>': expected a name, not empty or blank",
        ),
        (
            &["worker", "--workflow-task-queue", ""],
            &[],
            2,
            "error: invalid value '' for '--workflow-task-queue <QUEUE>': expected a name, not empty or blank",
        ),
    ]);
}

#[test]
fn a_wrong_duration_is_reported_with_the_expected_form() {
    assert_refused(&[
        (
            &["starter", "--timeout", "10"],
            &[],
            2,
            &format!("error: invalid value '10' for '--timeout <DURATION>': {DURATION}"),
        ),
        (
            &["up", "--drain-timeout", "20"],
            &[],
            2,
            &format!("error: invalid value '20' for '--drain-timeout <DURATION>': {DURATION}"),
        ),
        (
            &["status", "--watch", "10ms"],
            &[],
            2,
            "error: invalid value '10ms' for '--watch [<INTERVAL>]': expected a duration of 100ms or more",
        ),
        (
            &["starter", "--connect-timeout", "18446744073709551615s"],
            &[],
            2,
            "error: invalid value '18446744073709551615s' for '--connect-timeout <DURATION>': expected a duration of at most a year",
        ),
    ]);
}

#[test]
fn an_unknown_choice_is_reported_with_the_known_ones() {
    assert_refused(&[
        (
            &["starter", "--output", "xml"],
            &[],
            2,
            "error: invalid value 'xml' for '--output <FORMAT>'",
        ),
        (
            &["worker", "--role", "actvity"],
            &[],
            2,
            &format!("error: invalid value 'actvity' for '--role <ROLE>': {ROLES}"),
        ),
        (
            &["--log-format", "xml", "up"],
            &[],
            2,
            "error: invalid value 'xml' for '--log-format <FORMAT>': expected text or json",
        ),
        (&["completions", "cmd"], &[], 2, "error: invalid value 'cmd' for '<SHELL>'"),
    ]);
}

#[test]
fn a_value_in_the_wrong_form_is_reported_with_the_expected_form() {
    assert_refused(&[
        (
            &["trace", "x", "--run-id", "latest"],
            &[],
            2,
            "error: invalid value 'latest' for '--run-id <RUN_ID>': expected a run id, a UUID",
        ),
        (
            &["starter", "--input", "you"],
            &[],
            2,
            "error: invalid value 'you' for '--input <JSON>': not JSON",
        ),
        (
            &["worker", "--health-addr", "x"],
            &[],
            2,
            "error: invalid value 'x' for '--health-addr <IP:PORT>': expected an IP address and a port",
        ),
        (
            &["up", "--log", "a=loud"],
            &[],
            2,
            "error: invalid value 'a=loud' for '--log <FILTER>': not a log filter: ",
        ),
    ]);
}

#[test]
fn missing_and_conflicting_arguments_are_reported() {
    assert_refused(&[
        (
            &["status", "--watch", "--check"],
            &[],
            2,
            "error: the argument '--watch [<INTERVAL>]' cannot be used with '--check'",
        ),
        (&["trace"], &[], 2, "error: the following required arguments were not provided:"),
        (
            &["up", "--db-filename", "x.db"],
            &[],
            2,
            "error: the following required arguments were not provided:",
        ),
        (
            &["up", "--port", "0"],
            &[],
            2,
            "error: the following required arguments were not provided:",
        ),
        (
            &["up", "--dev-server", "--port", "4000", "--ui-port", "4000"],
            &[],
            2,
            "error: --port and --ui-port are the same",
        ),
    ]);
}

#[test]
fn a_fleet_without_workers_is_refused() {
    assert_refused(&[
        (
            &["up", "-w", "0", "-a", "0"],
            &[],
            2,
            "error: no worker to run, and no --dev-server either",
        ),
        (
            &["demo", "-w", "0"],
            &[],
            2,
            "error: no worker would run the workflows: see -w and --num-workers",
        ),
    ]);
}
