//! Help, and bad input: one clear line, the right exit code, no panic, no secret.

use std::process::Command;

use crate::support::{FLEET, Process, World, program, run};

fn fleet(arguments: &[&str]) -> Command {
    let mut command = program(FLEET);
    command.args(arguments);
    command
}

#[test]
fn without_a_command_and_a_role_it_prints_its_help_and_exits_2() {
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

/// Arguments, environment, exit code, what stderr starts with.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn bad_input_gets_one_clear_line_and_its_exit_code() {
    const COUNT: &str = "expected a whole number, 1 or more";
    const DURATION: &str = "expected a duration with its unit, as 500ms, 3s or 2m";
    let roles = "unknown role; expected workflow-worker, activity-worker or worker";
    let table: &[Case<'_>] = &[
        (&["nonsense"], &[], 2, "error: unrecognized subcommand 'nonsense'"),
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
            &["starter", "--batch", " "],
            &[],
            2,
            "error: invalid value ' ' for '--batch <NAME>': expected a name, not empty or blank",
        ),
        (
            &["starter", "--timeout", "10"],
            &[],
            2,
            &format!("error: invalid value '10' for '--timeout <DURATION>': {DURATION}"),
        ),
        (
            &["starter", "--output", "xml"],
            &[],
            2,
            "error: invalid value 'xml' for '--output <FORMAT>'",
        ),
        (
            &["status", "--task-queue", ""],
            &[],
            2,
            "error: invalid value '' for '--task-queue <QUEUE>': expected a name, not empty or blank",
        ),
        (
            &["status", "--watch", "10ms"],
            &[],
            2,
            "error: invalid value '10ms' for '--watch [<INTERVAL>]': expected a duration of 100ms or more",
        ),
        (
            &["status", "--watch", "--check"],
            &[],
            2,
            "error: the argument '--watch [<INTERVAL>]' cannot be used with '--check'",
        ),
        (&["trace"], &[], 2, "error: the following required arguments were not provided:"),
        (
            &["trace", "x", "--run-id", "latest"],
            &[],
            2,
            "error: invalid value 'latest' for '--run-id <RUN_ID>': expected a run id, a UUID",
        ),
        (
            &["trace", "x", "--width", "-1"],
            &[],
            2,
            "error: invalid value '-1' for '--width <N>': expected a whole number from 60 to 1000",
        ),
        (
            &["trace", "x"],
            &[("TEMPORAL_TLS", "yes")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS=\"yes\", which",
        ),
        (
            &["up", "--db-filename", "x.db"],
            &[],
            2,
            "error: the following required arguments were not provided:",
        ),
        (
            &["starter", "--input", "you"],
            &[],
            2,
            "error: invalid value 'you' for '--input <JSON>': not JSON",
        ),
        (
            &["up", "-w", "-1"],
            &[],
            2,
            "error: invalid value '-1' for '--num-workflow-workers <N>': expected a whole number from 0 to 1000",
        ),
        (
            &["up", "--port", "0"],
            &[],
            2,
            "error: the following required arguments were not provided:",
        ),
        (
            &["up", "--drain-timeout", "20"],
            &[],
            2,
            &format!("error: invalid value '20' for '--drain-timeout <DURATION>': {DURATION}"),
        ),
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
        (
            &["worker", "--role", "actvity"],
            &[],
            2,
            &format!("error: invalid value 'actvity' for '--role <ROLE>': {roles}"),
        ),
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
            &format!("error: FLEET_ROLE=\"actvity\" (environment): {roles}"),
        ),
        (
            &["worker"],
            &[("FLEET_ROLE", "Worker")],
            78,
            "error: FLEET_ROLE=\"Worker\" (environment): unknown role",
        ),
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
            "error: FLEET_MAX_CONCURRENT_ACTIVITIES=\"0\" (environment): expected a whole number from \
             1 to 1000000",
        ),
        (
            &["starter"],
            &[("FLEET_WORKER_LABEL", "host")],
            78,
            "error: FLEET_WORKER_LABEL=\"host\" (environment): unknown label style; expected auto, pid or pid@host",
        ),
        (
            &["starter"],
            &[("TEMPORAL_ADDRESS", "http://[::")],
            78,
            "error: the connection to Temporal is misconfigured: address \"http://[::\": \
             expected host:port, or a URL http://host:port or https://host:port",
        ),
        (
            &["starter"],
            &[("TEMPORAL_PROFILE", "nowhere")],
            78,
            "error: the connection to Temporal is misconfigured: ",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "true"), ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere")],
            78,
            "error: the connection to Temporal is misconfigured: ",
        ),
        (
            &["starter"],
            &[("FLEET_DRIAN_TIMEOUT", "20s")],
            78,
            "error: FLEET_DRIAN_TIMEOUT (environment): no such setting; the nearest is \
             FLEET_DRAIN_TIMEOUT",
        ),
        (
            &["worker", "--workflow-task-queue", ""],
            &[],
            2,
            "error: invalid value '' for '--workflow-task-queue <QUEUE>': expected a name, not empty or blank",
        ),
        (
            &["starter"],
            &[("FLEET_WORKFLOW_TASK_QUEUE", "  ")],
            78,
            "error: FLEET_WORKFLOW_TASK_QUEUE=\"  \" (environment): expected a name, not empty or blank",
        ),
        (
            &["starter", "--connect-timeout", "18446744073709551615s"],
            &[],
            2,
            "error: invalid value '18446744073709551615s' for '--connect-timeout <DURATION>': \
             expected a duration of at most a year",
        ),
        (
            &["up"],
            &[("FLEET_DRAIN_TIMEOUT", "0s")],
            78,
            "error: FLEET_DRAIN_TIMEOUT=\"0s\" (environment): must be longer than nothing",
        ),
        (
            &["up"],
            &[("FLEET_MAX_CACHED_WORKFLOWS", "18446744073709551615")],
            78,
            "error: FLEET_MAX_CACHED_WORKFLOWS=\"18446744073709551615\" (environment): expected a \
             whole number from 0 to 1000000",
        ),
        (
            &["up", "-w", "1000000"],
            &[],
            2,
            "error: invalid value '1000000' for '--num-workflow-workers <N>': expected a whole number \
             from 0 to 1000",
        ),
        (
            &["up", "--dev-server", "--port", "4000", "--ui-port", "4000"],
            &[],
            2,
            "error: --port and --ui-port are the same",
        ),
        (
            &["starter"],
            &[("TEMPORAL_ADDRESS", "http://u:s3cr3t@127.0.0.1:1")],
            78,
            "error: the connection to Temporal is misconfigured: the address holds a user name",
        ),
        (
            &["starter"],
            &[("TEMPORAL_ADDRESS", "http://temporal.invalid:7233")],
            78,
            "error: the connection to Temporal is misconfigured: without TLS the API key would be sent",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
        ),
        (
            &["starter"],
            &[("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1")],
            78,
            "error: the connection to Temporal is misconfigured: a codec is set",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "yes")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS=\"yes\", which",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "true"), ("TEMPORAL_ADDRESS", "http://127.0.0.1:1")],
            78,
            "error: the connection to Temporal is misconfigured: TLS is set, but the address says",
        ),
        (
            &["worker", "--health-addr", "x"],
            &[],
            2,
            "error: invalid value 'x' for '--health-addr <IP:PORT>': expected an IP address and a port",
        ),
        (
            &["up", "--dev-server", "--ui-port", "70000"],
            &[],
            2,
            "error: invalid value '70000' for '--ui-port <PORT>': expected a whole number from 0 to 65535",
        ),
        (&["health"], &[], 78, "error: no health address: set FLEET_HEALTH_ADDR or --health-addr"),
        (
            &["worker"],
            &[("FLEET_ROLE", "worker"), ("FLEET_HEALTH_ADDR", "localhost:80")],
            78,
            "error: FLEET_HEALTH_ADDR=\"localhost:80\" (environment): expected an IP address and a \
             port, as 0.0.0.0:8080",
        ),
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
        (
            &["up", "--log", "a=loud"],
            &[],
            2,
            "error: invalid value 'a=loud' for '--log <FILTER>': not a log filter: ",
        ),
        (
            &["--log-format", "xml", "up"],
            &[],
            2,
            "error: invalid value 'xml' for '--log-format <FORMAT>': expected text or json",
        ),
        (
            &["worker"],
            &[("FLEET_ROLE", "worker"), ("TEMPORAL_WORKER_BUILD_ID", "1")],
            78,
            "error: TEMPORAL_WORKER_BUILD_ID=\"1\" (environment): a versioned worker needs \
             TEMPORAL_DEPLOYMENT_NAME too",
        ),
        (&["completions", "cmd"], &[], 2, "error: invalid value 'cmd' for '<SHELL>'"),
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
    ];
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
fn a_setting_that_is_no_unicode_is_refused_and_not_ignored() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let mut command = fleet(&["starter"]);
    command.env("TEMPORAL_ADDRESS", OsStr::from_bytes(b"\xffhost:1"));
    let finished = run(command);
    assert_eq!(finished.code, 78, "{finished:#?}");
    assert_eq!(finished.err, ["error: TEMPORAL_ADDRESS (environment): its value is not Unicode"]);
}

#[test]
fn two_wrong_settings_give_two_lines() {
    let mut command = fleet(&["worker"]);
    command.env("FLEET_ROLE", "actvity").env("FLEET_DRAIN_TIMEOUT", "20");
    let finished = run(command);
    assert_eq!(finished.code, 78);
    assert_eq!(finished.err.len(), 2, "{finished:#?}");
    assert!(finished.err[0].starts_with("error: FLEET_ROLE=\"actvity\""), "{finished:#?}");
    assert!(finished.err[1].starts_with("error: FLEET_DRAIN_TIMEOUT=\"20\""), "{finished:#?}");
}

#[test]
fn config_prints_what_it_can_read_again_and_masks_secrets() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("fleet.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "drain_timeout = \"1m\"\nmax_cached_workflows = 7\n").unwrap();
    let mut command = fleet(&["config", "--config", path]);
    command.env("FLEET_CONNECT_TIMEOUT", "2m").env("TEMPORAL_API_KEY", "s3cr3t");
    let printed = run(command).success();
    for line in [
        &format!("drain_timeout = \"1m\" # {path}"),
        &format!("max_cached_workflows = 7 # {path}"),
        "connect_timeout = \"2m\" # environment",
        "activity_grace = \"55s\" # default",
        "workflow_task_queue = \"workflow-task-queue\" # default",
        "# role is not set",
        "#   address = \"http://localhost:7233\"",
        "#   TEMPORAL_API_KEY = \"***\"",
    ] {
        assert!(printed.iter().any(|printed| printed == line), "no {line} in {printed:#?}");
    }
    assert!(!printed.join("\n").contains("s3cr3t"));

    std::fs::write(&file, printed.join("\n")).unwrap();
    let again = run(fleet(&["--config", path, "config", "--output", "json"])).success();
    let json: serde_json::Value = serde_json::from_str(&again.join("\n")).unwrap();
    assert_eq!(json["settings"]["connect_timeout"]["value"], "2m");
    assert_eq!(json["settings"]["connect_timeout"]["source"], path);
    assert_eq!(json["settings"]["max_cached_workflows"]["value"], "7");
    assert_eq!(json["connection"]["namespace"], "default");
}

#[test]
fn a_fleet_toml_in_the_current_folder_holds_for_up_and_its_workers() {
    let world = World::new();
    let folder = tempfile::TempDir::new().unwrap();
    let queue = world.activity_queue();
    std::fs::write(
        folder.path().join("fleet.toml"),
        format!("activity_task_queue = \"{queue}\"\nworker_label = \"pid@host\"\n"),
    )
    .unwrap();
    let mut up = world.fleet(["up", "-w", "1"]);
    up.env_remove("FLEET_ACTIVITY_TASK_QUEUE").current_dir(folder.path());
    let _up = Process::start(up);
    let results = run(world.fleet(["starter", "-n", "1"])).success();
    assert!(results[0].contains('@'), "{results:?}");
}

#[test]
fn completions_name_the_program_and_its_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(fleet(&["completions", shell])).success().join("\n");
        assert!(script.contains("fleet") && script.contains("starter"), "{shell}");
    }
}

#[test]
fn json_logs_are_json_under_a_supervisor_too() {
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
fn a_workflow_that_fails_is_a_line_on_stderr_and_exit_1() {
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
