//! Help, and wrong input: each message is clear, the exit code is right, no command panics, and no
//! secret is printed.

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

/// All commands that users see; `None` stands for the program without a command.
const COMMANDS: [Option<&str>; 12] = [
    None,
    Some("worker"),
    Some("up"),
    Some("starter"),
    Some("bench"),
    Some("chaos"),
    Some("demo"),
    Some("health"),
    Some("status"),
    Some("trace"),
    Some("config"),
    Some("completions"),
];
const HELP_FLAGS: [&str; 2] = ["-h", "--help"];

/// Returns the name of the snapshot of a command's help.
fn help_snapshot(command: Option<&str>, flag: &str) -> String {
    let short = if flag == "-h" { "_short" } else { "" };
    format!("help_{}{short}", command.unwrap_or("fleet"))
}

/// Returns the names of the snapshots of the help of all commands.
pub(crate) fn help_snapshots() -> impl Iterator<Item = String> {
    COMMANDS.into_iter().flat_map(|command| HELP_FLAGS.map(|flag| help_snapshot(command, flag)))
}

/// The arguments and the environment of a command.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

/// Runs commands with wrong input, and returns their output. Asserts that each is refused without a panic
/// and without showing a secret.
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
    for command in COMMANDS {
        for flag in HELP_FLAGS {
            let arguments: Vec<_> = command.into_iter().chain([flag]).collect();
            let help = run(fleet(&arguments)).success().join("\n");
            assert!(help.contains("Examples:\n  "), "{arguments:?}: {help}");
            assert!(help.contains("fleet"), "{arguments:?}: {help}");
            assert_snapshot!(exact help_snapshot(command, flag), help);
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
        finished.err.iter().filter(|line| line.ends_with("the card is stolen")).collect();
    assert_eq!(failures.len(), 2, "{finished:#?}");
    assert!(failures.iter().all(|line| line.starts_with("orders-")), "{finished:#?}");
}
