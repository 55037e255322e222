//! Help, and wrong input: a clear message, the right exit code, no panic, no secret.

mod arguments;
mod connection_settings;
mod effective_settings;
mod settings;

use std::process::Command;

use crate::support::{FLEET, Process, World, program, run};

const COUNT: &str = "expected a whole number, 1 or more";
const DURATION: &str = "expected a duration with its unit, such as 500ms, 3s or 2m";
const ROLES: &str = "unknown role; expected workflow-worker, activity-worker or worker";

fn fleet(arguments: &[&str]) -> Command {
    let mut command = program(FLEET);
    command.args(arguments);
    command
}

/// Arguments, environment, exit code, what stderr starts with.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);

#[track_caller]
fn assert_refused(table: &[Case<'_>]) {
    for (arguments, environment, code, message) in table {
        let mut command = fleet(arguments);
        command.env("TEMPORAL_API_KEY", "s3cr3t").envs(environment.iter().copied());
        let finished = run(command);
        let case = format!("{arguments:?} {environment:?}: {finished:#?}");
        assert_eq!(finished.code, *code, "{case}");
        assert!(finished.err[0].starts_with(message), "expected {message}\n{case}");
        assert!(finished.out.is_empty(), "{case}");
        let said = finished.err.join("\n");
        assert!(!said.contains("panicked") && !said.contains("s3cr3t"), "{case}");
    }
}

#[test]
fn without_a_command_and_a_role_fleet_prints_its_help_and_exits_with_2() {
    let finished = run(fleet(&[]));
    assert_eq!(finished.code, 2);
    assert!(finished.out.is_empty(), "{finished:#?}");
    assert!(
        finished.err.iter().any(|line| line == "Usage: fleet [OPTIONS] [COMMAND]"),
        "{finished:#?}"
    );
}

#[test]
fn without_a_command_the_role_decides_what_runs() {
    let world = World::new();
    for role in ["workflow-worker", "activity-worker", "worker"] {
        let mut command = world.fleet([]);
        command.env("FLEET_ROLE", role);
        let worker = Process::start(command);
        let line = worker.err.wait_for("worker starts polling");
        assert!(line.contains(&format!("role={role} ")), "{line}");
    }
}

#[test]
fn every_command_has_help_with_examples() {
    for command in [
        &[][..],
        &["worker"],
        &["up"],
        &["starter"],
        &["bench"],
        &["demo"],
        &["health"],
        &["status"],
        &["trace"],
        &["config"],
        &["completions"],
    ] {
        for flag in ["-h", "--help"] {
            let arguments = [command, &[flag]].concat();
            let help = run(fleet(&arguments)).success().join("\n");
            assert!(help.contains("Examples:\n  "), "{arguments:?}: {help}");
            assert!(help.contains("fleet"), "{arguments:?}: {help}");
        }
    }
}

#[test]
fn completions_name_the_program_and_its_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(fleet(&["completions", shell])).success().join("\n");
        assert!(script.contains("fleet") && script.contains("starter"), "{shell}");
    }
}

#[test]
fn json_logs_of_a_worker_stay_json_under_a_supervisor() {
    let world = World::new();
    let mut up = world.fleet(["--log-format", "json", "up", "-w", "1", "-a", "0", "--log", "info"]);
    up.env("RUST_LOG", "off");
    let up = Process::start(up);
    let line = up.err.wait_for("worker starts polling");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["worker"], "workflow-worker:0");
    assert_eq!(event["message"], "worker starts polling");
    assert_eq!(event["role"], "workflow-worker");
}

#[test]
fn each_failed_workflow_is_one_line_on_stderr_and_the_exit_code_is_1() {
    let world = World::new();
    let _up = Process::start(world.orders(["up"]));
    let order = r#"{"id": "1", "items": [], "card": "stolen"}"#;
    let finished = run(world.orders(["starter", "-n", "2", "--input", order]));
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert!(finished.out.is_empty(), "{finished:#?}");
    let failures: Vec<_> =
        finished.err.iter().filter(|it| it.ends_with("the card is stolen")).collect();
    assert_eq!(failures.len(), 2, "{finished:#?}");
    assert!(failures.iter().all(|it| it.starts_with("orders-")), "{finished:#?}");
}
