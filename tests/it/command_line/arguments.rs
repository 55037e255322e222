//! Wrong arguments, and how they are reported.

use super::refusals;
use crate::snapshot::assert_snapshot;

#[test]
fn an_unknown_command_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["nonsense"], &[]),
    ]));
}

#[test]
fn a_wrong_number_is_reported_with_the_accepted_range() {
    assert_snapshot!(exact refusals(&[
        (&["starter", "-n", "-5"], &[]),
        (&["starter", "-n", "0"], &[]),
        (&["starter", "-n", "many"], &[]),
        (&["starter", "--concurrency", "0"], &[]),
        (&["trace", "x", "--width", "-1"], &[]),
        (&["up", "-w", "-1"], &[]),
        (&["up", "-w", "1000000"], &[]),
        (&["up", "--dev-server", "--ui-port", "70000"], &[]),
    ]));
}

#[test]
fn a_blank_name_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter", "--batch", " "], &[]),
        (&["status", "--task-queue", ""], &[]),
        (&["worker", "--workflow-task-queue", ""], &[]),
    ]));
}

#[test]
fn a_wrong_duration_is_reported_with_the_expected_form() {
    assert_snapshot!(exact refusals(&[
        (&["starter", "--timeout", "10"], &[]),
        (&["up", "--drain-timeout", "20"], &[]),
        (&["status", "--watch", "10ms"], &[]),
        (&["starter", "--connect-timeout", "18446744073709551615s"], &[]),
    ]));
}

#[test]
fn an_unknown_choice_is_reported_with_the_known_ones() {
    assert_snapshot!(exact refusals(&[
        (&["starter", "--output", "xml"], &[]),
        (&["worker", "--role", "actvity"], &[]),
        (&["--log-format", "xml", "up"], &[]),
        (&["completions", "cmd"], &[]),
    ]));
}

#[test]
fn a_value_in_the_wrong_form_is_reported_with_the_expected_form() {
    assert_snapshot!(exact refusals(&[
        (&["trace", "x", "--run-id", "latest"], &[]),
        (&["starter", "--input", "you"], &[]),
        (&["worker", "--health-addr", "x"], &[]),
        (&["up", "--log", "a=loud"], &[]),
    ]));
}

#[test]
fn missing_and_conflicting_arguments_are_reported() {
    assert_snapshot!(exact refusals(&[
        (&["status", "--watch", "--check"], &[]),
        (&["trace"], &[]),
        (&["up", "--db-filename", "x.db"], &[]),
        (&["up", "--port", "0"], &[]),
        (&["up", "--dev-server", "--port", "4000", "--ui-port", "4000"], &[]),
    ]));
}

#[test]
fn a_fleet_without_workers_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["up", "-w", "0", "-a", "0"], &[]),
        (&["demo", "-w", "0"], &[]),
    ]));
}

#[test]
fn a_trial_that_cannot_be_carried_out_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["chaos", "--kill", "50ms"], &[]),
        (&["chaos", "--stop", "1"], &[]),
        (&["chaos", "--duration", "0s"], &[]),
        (&["chaos", "--duration", "2days"], &[]),
        (&["chaos", "--patience", "25h"], &[]),
        (&["chaos", "--workflows", "0"], &[]),
        (&["chaos", "--seed", "-1"], &[]),
        (&["chaos", "-w", "0"], &[]),
        (&["chaos", "--task-queue", "q"], &[]),
        (&["chaos", "--fleet", "127.0.0.1:1", "-a", "1"], &[]),
        (&["chaos", "--fleet", "nonsense"], &[]),
        (&["chaos", "--fleet", "127.0.0.1:1"], &[]),
        (&["chaos", "--fleet", "192.0.2.1:80"], &[]),
    ]));
}
