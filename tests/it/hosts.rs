//! Hosts as they are: terminals that close, signals without a meaning here, and few open files.

use std::{os::unix::process::CommandExt, process::Stdio};

use rustix::process::Signal;
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::{
    server::{self, activity_attempts, count_events, history},
    support::{FLEET, Process, World, children_of, eventually, kill, program, run},
};

/// An order whose packing takes two seconds.
const ORDER: &str =
    r#"{"id": "1", "items": ["a"], "pack_ms": 2000, "hold_ms": 1, "card": "valid"}"#;

#[test]
fn sighup_lets_a_running_activity_complete_at_its_first_attempt() {
    let world = World::new();
    let mut up = Process::start(world.orders(["up", "-w", "1", "-a", "1"]));
    let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", ORDER]));
    let (workflow, _) = server::packing(&world.workflow_queue());
    // A service manager may signal each process of a service.
    for (worker, _) in children_of(up.pid()) {
        kill(worker, Signal::HUP);
    }
    up.signal(Signal::HUP);
    assert_eq!(up.exit_code(), 0, "{:?}", up.err.so_far());
    let history = history(&workflow);
    let completed = count_events(&history, EventType::ActivityTaskCompleted);
    assert_eq!(completed, 2, "charged and packed");
    let attempts = activity_attempts(&history);
    assert!(attempts.iter().all(|(_, attempt)| *attempt == 1), "{attempts:?}");
}

#[test]
fn a_terminal_that_closes_lets_a_running_activity_complete_at_its_first_attempt() {
    let world = World::new();
    let worker = world.orders(["worker", "--role", "worker"]);
    let mut python = program("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/close_terminal.py"));
    python.arg(worker.get_program()).args(worker.get_args());
    python.envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut python = python.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let python = python.as_mut().unwrap();
    let _starter = Process::start(world.orders(["starter", "-n", "1", "--input", ORDER]));
    let (workflow, _) = server::packing(&world.workflow_queue());
    drop(python.stdin.take());
    python.wait().unwrap();
    eventually("the order is charged and packed", || {
        count_events(&history(&workflow), EventType::ActivityTaskCompleted) == 2
    });
    let attempts = activity_attempts(&history(&workflow));
    assert!(attempts.iter().all(|(_, attempt)| *attempt == 1), "{attempts:?}");
}

#[test]
fn sighup_interrupts_a_starter_with_129_and_the_command_that_continues_it() {
    let world = World::new();
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", ORDER]));
    eventually("the order is started", || server::workflow_ids(&world.workflow_queue()).len() == 1);
    starter.signal(Signal::HUP);
    assert_eq!(starter.exit_code(), 129);
    starter.err.wait_for("to continue: ");
}

#[test]
fn signals_for_users_end_no_process_of_a_fleet() {
    let world = World::new();
    let mut up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    let workers = children_of(up.pid());
    for signal in [Signal::USR1, Signal::USR2] {
        up.signal(signal);
        for (worker, _) in &workers {
            kill(*worker, signal);
        }
    }
    assert_eq!(run(world.fleet(["starter", "-n", "2"])).success().len(), 2);
    assert_eq!(children_of(up.pid()), workers, "no worker was replaced");
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_fleet_under_nohup_outlives_its_terminal() {
    let world = World::new();
    let up = world.fleet(["up", "-w", "1", "-a", "1"]);
    // What nohup does.
    let mut shell = program("sh");
    shell.args(["-c", r#"trap "" HUP; exec "$@""#, "sh", FLEET]).args(up.get_args());
    shell.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut up = Process::start_ready(shell);
    up.signal(Signal::HUP);
    assert_eq!(run(world.fleet(["starter", "-n", "2"])).success().len(), 2);
    assert!(up.ended().is_none());
}

/// A command under a limit of open files.
fn limited(flag: &str, files: u64, arguments: &[&str]) -> std::process::Command {
    let mut shell = program("sh");
    shell
        .args(["-c", &format!(r#"ulimit {flag} {files}; exec "$@""#), "sh", FLEET])
        .args(arguments);
    shell.env("TEMPORAL_ADDRESS", server::address());
    shell
}

#[test]
fn too_few_open_files_are_reported_in_one_line_with_78() {
    let worker = ["worker", "--role", "worker"];
    for (files, arguments, needed) in
        [(16, &worker[..], 32), (40, &["up", "-w", "9", "-a", "1"], 52), (16, &["demo"], 32)]
    {
        let finished = run(limited("-n", files, arguments));
        assert_eq!(finished.code, 78, "{finished:#?}");
        let expected = format!(
            "error: this process may open only {files} files at a time, and needs {needed}: raise the \
             limit (`ulimit -n`, LimitNOFILE in systemd, --ulimit nofile in Docker)"
        );
        assert_eq!(finished.err, [expected]);
        assert_eq!(finished.out, [""; 0]);
    }
}

#[test]
fn a_low_limit_of_open_files_is_raised_where_the_machine_allows_it() {
    let world = World::new();
    let worker = limited("-S -n", 16, &["worker", "--role", "worker"]);
    let mut command = worker;
    command.env("FLEET_WORKFLOW_TASK_QUEUE", world.workflow_queue());
    let _worker = Process::start_ready(command);
    let starter = run(world.fleet(["starter", "-n", "2"]));
    assert_eq!(starter.success().len(), 2);
}
