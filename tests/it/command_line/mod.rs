//! Help, and wrong input: a clear message, the right exit code, no panic, no secret.

mod arguments;
mod connection_settings;
mod effective_settings;
mod profiles;
mod settings;

use std::process::Command;

use crate::{
    snapshot::{assert_snapshot, command_line, shown_with},
    support::{FLEET, Process, World, program, run},
};

fn fleet(arguments: &[&str]) -> Command {
    let mut command = program(FLEET);
    command.args(arguments).env("COLUMNS", "100");
    command
}

/// Arguments and environment.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

/// Runs each command, which has to be refused without a panic and without showing a secret, and returns
/// what they printed.
#[track_caller]
fn refusals(cases: &[Case<'_>]) -> String {
    let transcripts = cases.iter().map(|(arguments, environment)| {
        let mut command = fleet(arguments);
        command.env("TEMPORAL_API_KEY", "s3cr3t").envs(environment.iter().copied());
        let variables = environment
            .iter()
            .map(|(name, value)| format!("{name}={} ", shlex::try_quote(value).unwrap()));
        let shown = variables.collect::<String>() + &command_line(&command);
        let finished = run(command);
        let case = format!("{shown}: {finished:#?}");
        assert_ne!(finished.code, 0, "{case}");
        assert!(finished.out.is_empty(), "{case}");
        let printed = finished.err.join("\n");
        assert!(!printed.contains("panicked") && !printed.contains("s3cr3t"), "{case}");
        shown_with(&shown, &finished)
    });
    transcripts.collect::<Vec<_>>().join("\n")
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
            let short = if flag == "-h" { "_short" } else { "" };
            let name = format!("help_{}{short}", command.first().unwrap_or(&"fleet"));
            assert_snapshot!(exact name, help);
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
