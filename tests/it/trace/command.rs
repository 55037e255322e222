//! The `fleet trace` command itself: unknown workflows, long histories, and `--follow`.

use serde_json::Value;

use super::{printed, rows, traced};
use crate::{
    server::{self, the_workflow},
    support::{Process, World, held_order, on_a_terminal, run},
};

#[test]
fn an_unknown_workflow_is_reported_in_one_line_with_exit_code_1() {
    let world = World::new();
    let id = world.id();
    let missing = run(world.fleet(["trace", &id]));
    assert_eq!((missing.code, missing.out.len()), (1, 0), "{missing:#?}");
    let address = server::address();
    let line = format!("error: no workflow \"{id}\" in namespace \"default\" at http://{address}");
    assert_eq!(missing.err, [line]);
    let run_id = "4b1f5ff2-5ff9-4aab-a6a4-e7b0f5ac6a1c";
    let missing = run(world.fleet(["trace", &id, "--run-id", run_id]));
    assert_eq!(missing.code, 1, "{missing:#?}");
    assert!(missing.err[0].contains(&format!("{id:?} with run {run_id} in")), "{missing:#?}");

    let mut away = world.fleet(["trace", &id, "--connect-timeout", "1s"]);
    away.env("TEMPORAL_ADDRESS", "127.0.0.1:1");
    let away = run(away);
    assert_eq!(away.code, 69, "{away:#?}");
}

#[test]
fn a_long_history_is_read_completely_and_its_text_counts_the_rows_left_out() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "1"]));
    let id = the_workflow(&world.workflow_queue());
    server::signal_often(&id, "again", 1100);
    let timeline = traced(world.fleet([]), &id);
    // The history is longer than one page of the server's answers.
    assert_eq!(rows(&timeline, "signal").len(), 1100);
    assert_eq!(timeline["events"], 1102);
    let text = printed(world.fleet([]), &id);
    assert_eq!(text.lines().filter(|line| line.starts_with("signal again")).count(), 199);
    assert!(text.contains("… 901 others, from "), "{text}");
    let mut command = world.fleet(["trace", &id, "--all", "--width", "120"]);
    command.env("NO_COLOR", "1");
    let all = run(command).success();
    assert_eq!(all.iter().filter(|line| line.starts_with("signal again")).count(), 1100);
    assert!(all.iter().any(|line| line.chars().count() == 120), "{all:#?}");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn follow_prints_each_change_until_the_workflow_closes() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held_order(&world);
    let mut follow = Process::start(world.orders(["trace", &id, "-f", "--output", "json"]));
    let mut interrupted = Process::start(world.orders(["trace", &id, "--follow"]));
    let first: Value = serde_json::from_str(&follow.out.wait_count(1)[0]).unwrap();
    assert_eq!(first["status"], "running");
    interrupted.out.wait_for("waits for");
    interrupted.ctrl_c();
    assert_eq!(interrupted.exit_code(), 130);
    // The command prints a new event, but not the mere passing of time.
    let clock = Process::start(world.orders(["status", "--watch", "1s", "--output", "json"]));
    clock.out.wait_count(4);
    assert_eq!(follow.out.so_far().len(), 1, "{:#?}", follow.out.so_far());
    server::signal(&id, "no such signal");
    let second: Value = serde_json::from_str(&follow.out.wait_count(2)[1]).unwrap();
    assert_eq!((&second["status"], rows(&second, "signal").len()), (&"running".into(), 1));
    server::signal(&id, "expedite");
    assert_eq!(follow.exit_code(), 0);
    let lines = follow.out.wait_end();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((&last["status"], &last["run_id"]), (&"completed".into(), &first["run_id"]));
    assert_eq!(starter.exit_code(), 0);

    let seen = on_a_terminal(world.orders(["trace", &id, "-f"]));
    assert!(seen.contains("completed") && seen.contains("where "), "{seen:?}");
    // The workflow had already ended, so the command drew its timeline only once.
    assert!(!seen.contains("\u{1b}[?25l"), "{seen:?}");
}
