//! Workers that start before their server or namespace exists, or with a wrong address.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;
use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::workflowservice::v1::RegisterNamespaceRequest;
use uuid::Uuid;

use crate::{
    server::{self, OwnServer},
    support::{FLEET, Process, World, eventually, free_port, kill, labels, program, run},
};

#[test]
fn workers_started_before_the_server_wait_for_it() {
    let world = World::new();
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let at_address = |mut command: Command| {
        command.env("TEMPORAL_ADDRESS", &address);
        command
    };
    let up = Process::start(at_address(world.fleet(["up"])));
    let waiting = up.err.wait_for("trying again");
    assert!(waiting.contains(&format!("cannot reach Temporal at http://{address}")), "{waiting}");

    let _server = OwnServer::start(&port, &[]);
    let results = run(at_address(world.fleet(["starter", "-n", "4"]))).success();
    assert_eq!(results.len(), 4);
    for line in &results {
        labels(line);
    }
}

/// Besides the ports that it is given, a dev server picks free ports for itself. On a busy machine an
/// outgoing connection can take such a port between the server's check and its use. Three parts of
/// the server then report it, each in its own format; the script below imitates their messages.
#[test]
fn a_dev_server_is_started_again_if_another_program_took_its_port() {
    let cli = OwnServer::start("0", &[]).cli;
    let folder = TempDir::new().unwrap();
    let (script, tried) = (folder.path().join("temporal"), folder.path().join("tried"));
    let the_cli = "Error: failed listening for HTTP API: bind: address already in use";
    let the_ui = r#"{"level":"FATAL","message":"listen tcp: bind: address already in use"}"#;
    let the_server = r#"level=ERROR msg="no listener" error="bind: address already in use""#;
    let unlucky = |times: u32| {
        let text = format!(
            "#!/bin/sh
             [ \"$1\" = server ] || exec '{cli}' \"$@\"
             echo >>'{tried}'
             tried=$(wc -l <'{tried}')
             [ $tried -gt {times} ] && exec '{cli}' \"$@\"
             case $tried in
             1) echo '{the_cli}' >&2; exit 1 ;;
             2) echo '{the_ui}'; exit 1 ;;
             esac
             echo 'Temporal CLI 1.9.1'
             echo 'level=ERROR msg=\"something else\"' >&2
             echo '{the_server}' >&2
             echo 'panic: runtime error: invalid memory address' >&2
             exit 2\n",
            tried = tried.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(&tried);
    };
    unlucky(2);
    OwnServer::start("0", &["--temporal-cli".as_ref(), script.as_os_str()]);

    unlucky(3);
    let mut command = program(FLEET);
    command.args(["up", "--dev-server", "--port", "0", "--temporal-cli"]).arg(&script);
    let finished = run(command);
    assert_eq!(finished.code, 70, "{finished:#?}");
    assert_eq!(
        finished.err,
        [format!(
            "error: the Temporal dev server ended while starting (exit code: 2): {the_server}"
        )]
    );
}

#[test]
fn a_wrong_address_exits_with_69_and_one_error_line() {
    for arguments in [&["worker", "--role", "activity-worker"][..], &["starter", "-n", "1"]] {
        let mut command = program(FLEET);
        command
            .args(arguments)
            .env("TEMPORAL_ADDRESS", "127.0.0.1:1")
            .env("FLEET_CONNECT_TIMEOUT", "1s");
        let finished = run(command);
        assert_eq!(finished.code, 69, "{finished:#?}");
        let errors: Vec<_> = finished.err.iter().filter(|line| line.starts_with("error")).collect();
        let [error] = errors[..] else { panic!("{finished:#?}") };
        let expected = "error: cannot reach Temporal at http://127.0.0.1:1 (tried for 1s): ";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("refused"), "{error}");
        assert!(finished.out.is_empty(), "{finished:#?}");
    }
}

#[test]
fn up_exits_with_the_code_of_workers_that_never_reach_their_server() {
    let mut command = program(FLEET);
    command.arg("up").env("TEMPORAL_ADDRESS", "127.0.0.1:1").env("FLEET_CONNECT_TIMEOUT", "1s");
    let finished = run(command);
    assert_eq!(finished.code, 69, "{finished:#?}");
    assert!(
        finished.err.iter().any(|line| line.contains("cannot reach Temporal")),
        "{finished:#?}"
    );
}

#[test]
fn a_worker_waits_for_a_missing_namespace_and_then_exits_with_78() {
    let world = World::new();
    let mut command = world.fleet(["worker", "--role", "workflow-worker"]);
    command.env("TEMPORAL_NAMESPACE", "nowhere").env("FLEET_CONNECT_TIMEOUT", "1s");
    let finished = run(command);
    assert_eq!(finished.code, 78, "{finished:#?}");
    assert!(finished.err.iter().any(|line| line.contains("trying again")), "{finished:#?}");
    let error = finished.err.last().unwrap();
    let expected = format!(
        "error: namespace \"nowhere\" does not exist at http://{}: create it or set \
         TEMPORAL_NAMESPACE",
        server::address()
    );
    assert_eq!(error, &expected);
}

#[test]
fn a_namespace_that_is_created_late_is_found() {
    let world = World::new();
    let namespace = format!("late-{}", Uuid::new_v4());
    let in_namespace = |mut command: Command| {
        command.env("TEMPORAL_NAMESPACE", &namespace);
        command
    };
    let up = Process::start(in_namespace(world.fleet(["up"])));
    let waiting = up.err.wait_for("trying again");
    assert!(waiting.contains(&format!("namespace \"{namespace}\" does not exist")), "{waiting}");
    server::ask(async |client| {
        let request = RegisterNamespaceRequest {
            namespace: namespace.clone(),
            workflow_execution_retention_period: Duration::from_hours(24).try_into().ok(),
            ..Default::default()
        };
        assert_eq!(client.namespace(), "default");
        let mut client = client;
        client.register_namespace(request.into_request()).await.unwrap();
    });
    let results = run(in_namespace(world.fleet(["starter", "-n", "2"]))).success();
    assert_eq!(results.len(), 2);
}

#[test]
fn a_fleet_that_was_ready_survives_a_server_outage_even_if_a_worker_dies() {
    let world = World::new();
    let port = free_port().to_string();
    let at_address = |mut command: Command| {
        command
            .env("TEMPORAL_ADDRESS", format!("127.0.0.1:{port}"))
            .env("FLEET_CONNECT_TIMEOUT", "1s");
        command
    };
    let mut server = OwnServer::start(&port, &[]);
    let up = Process::start_ready(at_address(world.fleet(["up", "-w", "1", "-a", "1"])));
    let results = run(at_address(world.fleet(["starter", "-n", "1"]))).success();

    server.up.signal(Signal::TERM);
    assert_eq!(server.up.exit_code(), 0);
    kill(labels(&results[0])[0].parse().unwrap(), Signal::KILL);
    // Two replacements of the killed worker find no server.
    up.err.wait_for("workflow-worker:0 (signal: 9)");
    eventually("two replacements give up", || {
        let lines = up.err.so_far();
        lines.iter().filter(|line| line.contains("workflow-worker:0 (exit code: 69)")).count() >= 2
    });
    let _server = OwnServer::start(&port, &[]);
    run(at_address(world.fleet(["starter", "-n", "2", "--connect-timeout", "60s"]))).success();
}
