//! `fleet trace` of workflows that have ended: how they spent their time, and why they failed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{assert_agrees_with_the_history, finished, printed, rows, traced};
use crate::{
    server::{self, pid_of},
    support::{Process, World, example, held_order, labels, on_a_terminal, run},
};

#[test]
fn the_timeline_of_a_sample_workflow_names_its_workers_and_agrees_with_the_history() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "2"]));
    let started = run(world.fleet(["starter", "-n", "1", "--output", "json"])).success();
    let workflow: Value = serde_json::from_str(&started[0]).unwrap();
    let id = workflow["workflow_id"].as_str().unwrap();
    let timeline = traced(world.fleet([]), id);
    assert_agrees_with_the_history(&timeline);
    assert_eq!(
        (&timeline["status"], &timeline["waits_for"]),
        (&"completed".into(), &Value::Array(vec![]))
    );
    assert_eq!(timeline["other_events"], serde_json::json!({}));

    let [started, activity, ended] = labels(workflow["result"].as_str().unwrap());
    let pid = |row: &Value| pid_of(row["worker"].as_str().unwrap()).to_string();
    let tasks = rows(&timeline, "workflow_task");
    assert_eq!((pid(tasks[0]), pid(tasks[1])), (started, ended));
    assert_eq!(pid(rows(&timeline, "activity")[0]), activity);
    let workers: BTreeSet<_> = timeline["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["identity"].as_str().unwrap().to_owned())
        .collect();
    let text = printed(world.fleet([]), id);
    for worker in &workers {
        assert!(text.contains(worker), "{worker}: {text}");
    }
    assert!(text.contains("completed after") && text.contains('█'), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let mut coloured = world.fleet(["trace", id]);
    coloured.env_remove("NO_COLOR");
    let coloured = on_a_terminal(coloured);
    assert!(coloured.contains("\u{1b}[32m█"), "{coloured:?}");
    let mut plain = world.fleet(["trace", id]);
    plain.env("NO_COLOR", "1");
    let plain = on_a_terminal(plain);
    assert!(plain.contains('█') && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_retried_activity_shows_why_its_last_attempt_failed() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let flaky = r#"{"id": "1", "items": ["a"], "hold_ms": 300, "pack_ms": 50}"#;
    let id = finished(world.orders([]), &["--input", flaky]);
    let timeline = traced(world.orders([]), &id);
    assert_agrees_with_the_history(&timeline);
    let charge = rows(&timeline, "activity")[0];
    assert_eq!((&charge["name"], &charge["attempt"]), (&"Warehouse::charge".into(), &2.into()));
    assert_eq!(charge["last_failure"], "the card network is busy");
    let timer = rows(&timeline, "timer")[0];
    assert!(timer["duration_ms"].as_f64().unwrap() >= 300.0, "{timer}");
    assert!(timeline["time_ms"]["retries"].as_f64().unwrap() > 0.0, "{timeline}");
    let text = printed(world.orders([]), &id);
    assert!(text.contains("\n  attempt 2; attempt 1 failed: the card network is busy\n"), "{text}");
    assert!(text.contains('▒') && text.contains('─'), "{text}");
}

#[test]
fn a_failed_workflow_shows_why_and_which_activity_failed() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let stolen = r#"{"id": "1", "items": [], "card": "stolen"}"#;
    let id = finished(world.orders([]), &["--input", stolen]);
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["status"], "failed");
    assert_eq!(timeline["failure"], "activity Warehouse::charge: the card is stolen");
    let charge = rows(&timeline, "activity")[0];
    assert_eq!(
        (&charge["status"], &charge["failure"]),
        (&"failed".into(), &"the card is stolen".into())
    );
    assert!(charge["execution_ms"].as_f64().unwrap() > 0.0, "{charge}");
    let text = printed(world.orders([]), &id);
    assert!(text.contains("\n  failed: the card is stolen\n"), "{text}");
}

#[test]
fn a_terminated_workflow_shows_the_reason_and_waits_for_nothing() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held_order(&world);
    server::terminate(&id, "the customer is gone");
    assert_eq!(starter.exit_code(), 1);
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["status"], "terminated");
    assert_eq!(timeline["failure"], "the customer is gone");
    let client = timeline["terminated_by"].as_str().unwrap();
    assert!(!client.is_empty());
    assert!(printed(world.orders([]), &id).contains(&format!("terminated by {client}")));
    assert_eq!(rows(&timeline, "timer")[0]["status"], "abandoned");
    assert_eq!(timeline["waits_for"], Value::Array(vec![]));
    assert!(!printed(world.orders([]), &id).contains("waits for"));
}

#[test]
fn a_cancelled_workflow_shows_the_reason_and_its_cancelled_timer() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held_order(&world);
    server::cancel(&id, "the customer changed their mind");
    assert_eq!(starter.exit_code(), 1);
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["status"], "cancelled");
    assert_eq!(timeline["failure"], "the customer changed their mind");
    assert_eq!(rows(&timeline, "cancel_request").len(), 1);
    assert_eq!(rows(&timeline, "timer")[0]["status"], "cancelled");
}

#[test]
fn a_local_activity_is_shown_inside_its_workflow_task() {
    let world = World::new();
    let local =
        |arguments: &[&str]| world.at_home(example("local_activity"), arguments.iter().copied());
    let _up = Process::start_ready(local(&["up", "-w", "0", "-a", "0", "--num-workers", "1"]));
    let id = finished(local(&[]), &[]);
    let timeline = traced(local(&[]), &id);
    assert_agrees_with_the_history(&timeline);
    let [activity] = rows(&timeline, "local_activity")[..] else { panic!("{timeline}") };
    let task = rows(&timeline, "workflow_task")[0];
    assert_eq!(
        (&activity["name"], &activity["worker"]),
        (&"Whereabouts::am_i".into(), &task["worker"])
    );
    assert_eq!(activity["queue_wait_ms"], Value::Null);
    assert!(activity["execution_ms"].as_f64().unwrap() > 0.0, "{activity}");
    let at = |row: &Value, what: &str| row[what].as_str().unwrap().to_owned();
    assert!(at(task, "started") <= at(activity, "started"), "{timeline}");
    assert!(at(activity, "ended") <= at(task, "ended"), "{timeline}");
}
