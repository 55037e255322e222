//! `fleet trace`: what it says of real workflows, held against the server's own history.

use std::{collections::BTreeSet, process::Command, time::SystemTime};

use rustix::process::Signal;
use serde_json::Value;
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};

use crate::{
    server::{self, pending_activities, pending_timers, pid_of, workflow_ids},
    support::{Process, World, eventually, example, kill, labels, on_a_terminal, run},
};

/// What `trace --output json` says.
#[track_caller]
fn traced(mut command: Command, workflow_id: &str) -> Value {
    command.args(["trace", workflow_id, "--output", "json"]);
    let out = run(command).success();
    let [line] = &out[..] else { panic!("{out:#?}") };
    serde_json::from_str(line).unwrap()
}

/// What `trace` says to people.
#[track_caller]
fn told(mut command: Command, workflow_id: &str) -> String {
    command.args(["trace", workflow_id]);
    run(command).success().join("\n")
}

/// Runs a starter of one workflow to its end and returns the workflow's id.
#[track_caller]
fn finished(mut program: Command, more: &[&str]) -> String {
    program.args(["starter", "-n", "1", "--output", "json"]).args(more);
    let workflow: Value = serde_json::from_str(&run(program).out[0]).unwrap();
    workflow["workflow_id"].as_str().unwrap().to_owned()
}

/// The id of the one workflow on a queue, once it is known.
#[track_caller]
fn the_workflow(queue: &str) -> String {
    let mut ids = Vec::new();
    eventually("the workflow is there", || {
        ids = workflow_ids(queue);
        !ids.is_empty()
    });
    ids.remove(0)
}

fn rows<'a>(timeline: &'a Value, kind: &str) -> Vec<&'a Value> {
    timeline["rows"].as_array().unwrap().iter().filter(|row| row["kind"] == kind).collect()
}

fn time(event: &HistoryEvent) -> SystemTime {
    event.event_time.unwrap().try_into().unwrap()
}

/// The event with that id.
fn nth(history: &[HistoryEvent], id: i64) -> &HistoryEvent {
    history.iter().find(|event| event.event_id == id).unwrap()
}

fn millis(from: &HistoryEvent, to: &HistoryEvent) -> f64 {
    time(to).duration_since(time(from)).unwrap().as_secs_f64() * 1000.0
}

fn is_about(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 0.002)
}

/// The times of `trace` against those that the history's events have, and all of the run's time
/// accounted for.
#[track_caller]
fn assert_agrees_with_the_history(timeline: &Value) {
    let history = server::history(timeline["workflow_id"].as_str().unwrap());
    let mut activities = rows(timeline, "activity").into_iter();
    let mut workflow_tasks = rows(timeline, "workflow_task").into_iter();
    for closed in &history {
        let (row, scheduled, started, worker) = match closed.attributes.as_ref().unwrap() {
            Attributes::WorkflowTaskCompletedEventAttributes(it) => {
                (&mut workflow_tasks, it.scheduled_event_id, it.started_event_id, &it.identity)
            }
            Attributes::ActivityTaskCompletedEventAttributes(it) => {
                (&mut activities, it.scheduled_event_id, it.started_event_id, &it.identity)
            }
            _ => continue,
        };
        let row = row.next().unwrap();
        assert_eq!(row["event_id"], scheduled, "{row}");
        assert_eq!(
            (&row["worker"], &row["status"]),
            (&worker.as_str().into(), &"completed".into())
        );
        let (scheduled, started) = (nth(&history, scheduled), nth(&history, started));
        let waited = millis(scheduled, started);
        if row["attempt"] == 1 {
            assert!(is_about(&row["queue_wait_ms"], waited), "{row}");
            assert_eq!(row["retries_ms"], 0.0, "{row}");
        } else {
            assert_eq!(row["queue_wait_ms"], Value::Null, "{row}");
            assert!(is_about(&row["retries_ms"], waited), "{row}");
        }
        assert!(is_about(&row["execution_ms"], millis(started, closed)), "{row}");
    }
    assert_eq!((activities.next(), workflow_tasks.next()), (None, None));
    let duration = millis(&history[0], history.last().unwrap());
    assert!(is_about(&timeline["duration_ms"], duration), "{timeline}");
    assert_eq!(timeline["events"], history.len());
    assert_all_time_is_accounted_for(timeline);
}

#[track_caller]
fn assert_all_time_is_accounted_for(timeline: &Value) {
    let shares = timeline["time_ms"].as_object().unwrap().values();
    let sum: f64 = shares.map(|share| share.as_f64().unwrap()).sum();
    let duration = timeline["duration_ms"].as_f64().unwrap();
    assert!((sum - duration).abs() < 0.02, "{sum} of {duration}");
}

#[test]
fn the_samples_timeline_names_its_workers_and_agrees_with_the_history() {
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

    let [begun, activity, ended] = labels(workflow["result"].as_str().unwrap());
    let pid = |row: &Value| pid_of(row["worker"].as_str().unwrap()).to_string();
    let tasks = rows(&timeline, "workflow_task");
    assert_eq!((pid(tasks[0]), pid(tasks[1])), (begun, ended));
    assert_eq!(pid(rows(&timeline, "activity")[0]), activity);
    let workers: BTreeSet<_> = timeline["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["identity"].as_str().unwrap().to_owned())
        .collect();
    let text = told(world.fleet([]), id);
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
fn a_retried_activity_tells_why_and_a_failed_workflow_too() {
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
    let text = told(world.orders([]), &id);
    assert!(text.contains("\n  attempt 2; attempt 1 failed: the card network is busy\n"), "{text}");
    assert!(text.contains('▒') && text.contains('─'), "{text}");

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
    let text = told(world.orders([]), &id);
    assert!(text.contains("\n  failed: the card is stolen\n"), "{text}");
}

/// Orders that wait a minute for changes, unless they are expedited.
const HELD: &str = r#"{"id": "1", "items": ["a"], "hold_ms": 60000, "card": "valid"}"#;

/// Starts one that is held, and returns the starter and the id.
fn held(world: &World) -> (Process, String) {
    let mut starter = world.orders(["starter", "-n", "1", "--input", HELD]);
    starter.args(["--workflow-id-prefix", &world.id()]);
    let starter = Process::start(starter);
    let id = the_workflow(&world.workflow_queue());
    eventually("it is held", || pending_timers(&id) == 1);
    (starter, id)
}

#[test]
fn a_workflow_that_waits_for_a_timer_says_so_and_one_that_somebody_ended_why() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held(&world);
    let timeline = traced(world.orders([]), &id);
    assert_eq!((&timeline["status"], &timeline["closed"]), (&"running".into(), &Value::Null));
    assert_all_time_is_accounted_for(&timeline);
    let [wait] = &timeline["waits_for"].as_array().unwrap()[..] else { panic!("{timeline}") };
    assert_eq!((&wait["kind"], &wait["unserved"]), (&"timer".into(), &false.into()));
    assert!(wait["text"].as_str().unwrap().starts_with("timer 1m 00s: fires in "), "{wait}");
    let timer = rows(&timeline, "timer")[0];
    assert_eq!((&timer["status"], &timer["scheduled"]), (&"open".into(), &wait["since"]));
    let text = told(world.orders([]), &id);
    assert!(text.contains("\nwaits for\n  timer 1m 00s: fires in "), "{text}");

    server::terminate(&id, "the customer is gone");
    assert_eq!(starter.exit_code(), 1);
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["status"], "terminated");
    assert_eq!(timeline["failure"], "the customer is gone");
    assert_eq!(rows(&timeline, "timer")[0]["status"], "abandoned");
    assert_eq!(timeline["waits_for"], Value::Array(vec![]));
    assert!(!told(world.orders([]), &id).contains("waits for"));

    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held(&world);
    server::cancel(&id, "the customer changed their mind");
    assert_eq!(starter.exit_code(), 1);
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["status"], "cancelled");
    assert_eq!(timeline["failure"], "the customer changed their mind");
    assert_eq!(rows(&timeline, "cancel_request").len(), 1);
    assert_eq!(rows(&timeline, "timer")[0]["status"], "cancelled");
}

#[test]
fn an_activity_whose_worker_was_killed_is_told_while_it_is_tried_again_and_afterwards() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1", "-a", "1"]));
    let mut starter = world.orders(["starter", "-n", "1", "--input"]);
    starter.arg(
        r#"{"id": "1", "items": ["a", "b", "c"], "hold_ms": 1, "pack_ms": 1500, "card": "valid"}"#,
    );
    let mut starter = Process::start(starter);
    let (id, killed) = server::packing(&world.workflow_queue());
    let timeline = traced(world.orders([]), &id);
    let pack = rows(&timeline, "activity").pop().unwrap();
    assert_eq!((&pack["status"], &pack["worker"]), (&"running".into(), &killed.as_str().into()));
    assert!(pack["execution_ms"].as_f64().unwrap() > 0.0, "{pack}");
    let wait = timeline["waits_for"][0]["text"].as_str().unwrap();
    assert!(wait.contains(&format!(" in {killed}")), "{wait}");

    kill(pid_of(&killed), Signal::KILL);
    eventually("it is tried again", || pending_activities(&id).iter().any(|it| it.attempt == 2));
    let timeline = traced(world.orders([]), &id);
    let wait = timeline["waits_for"][0]["text"].as_str().unwrap();
    assert!(wait.contains("Warehouse::pack (id 2), attempt 2: "), "{wait}");
    assert!(wait.ends_with("; attempt 1 failed: activity Heartbeat timeout"), "{wait}");

    assert_eq!(starter.exit_code(), 0);
    let timeline = traced(world.orders([]), &id);
    assert_agrees_with_the_history(&timeline);
    let pack = rows(&timeline, "activity")[1];
    assert_eq!((&pack["attempt"], &pack["status"]), (&2.into(), &"completed".into()));
    assert_ne!(pack["worker"], killed.as_str());
    // The heartbeat's timeout and the pause after it.
    assert!(pack["retries_ms"].as_f64().unwrap() > 2000.0, "{pack}");
}

#[test]
fn a_workflow_task_that_nobody_takes_is_told_with_its_queue_and_since_when() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "1"]));
    let queue = world.workflow_queue();
    let id = the_workflow(&queue);
    let timeline = traced(world.fleet([]), &id);
    let [task] = rows(&timeline, "workflow_task")[..] else { panic!("{timeline}") };
    assert_eq!((&task["status"], &task["worker"]), (&"queued".into(), &Value::Null));
    assert_eq!(task["task_queue"], queue);
    assert!(task["queue_wait_ms"].as_f64().unwrap() > 0.0, "{task}");
    let [wait] = &timeline["waits_for"].as_array().unwrap()[..] else { panic!("{timeline}") };
    assert_eq!((&wait["unserved"], &wait["since"]), (&true.into(), &task["scheduled"]));
    let text = wait["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("workflow task: in queue \"{queue}\" for ")), "{text}");
    assert!(text.ends_with(", and no worker polls it"), "{text}");
    assert_all_time_is_accounted_for(&timeline);

    // Somebody does now.
    let _up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "0"]));
    eventually("its activity waits", || !pending_activities(&id).is_empty());
    let timeline = traced(world.fleet([]), &id);
    let [wait] = &timeline["waits_for"].as_array().unwrap()[..] else { panic!("{timeline}") };
    assert_eq!((&wait["kind"], &wait["unserved"]), (&"activity".into(), &true.into()));
    assert_eq!(rows(&timeline, "workflow_task")[0]["status"], "completed");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn a_task_that_waited_for_a_killed_workflow_worker_names_it() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held(&world);
    let killed = server::workflow_task_workers(&server::history(&id)).remove(0);
    kill(pid_of(&killed), Signal::KILL);
    server::signal(&id, "expedite");
    let timeline = traced(world.orders([]), &id);
    let wait = timeline["waits_for"].as_array().unwrap().last().unwrap();
    // It waits for the dead worker, or was handed to it before the server knew.
    let text = wait["text"].as_str().unwrap();
    assert!(text.starts_with("workflow task: ") && text.contains(&killed), "{text}");

    assert_eq!(starter.exit_code(), 0);
    let timeline = traced(world.orders([]), &id);
    let tasks = rows(&timeline, "workflow_task");
    let timed_out = tasks.iter().find(|task| task["status"] == "timed out").unwrap();
    let time = |what: &str| timed_out[what].as_f64().unwrap_or_default();
    if timed_out["worker"] == Value::Null {
        assert!(timed_out["failure"].as_str().unwrap().starts_with(&killed), "{timed_out}");
    } else {
        assert_eq!(timed_out["worker"], killed.as_str());
    }
    // The SDK's limit for the one, and the server's for the other.
    assert!(time("queue_wait_ms") + time("execution_ms") >= 9_900.0, "{timed_out}");
    let share = |what: &str| timeline["time_ms"][what].as_f64().unwrap();
    assert!(share("queues") + share("retries") >= 9_900.0, "{timeline}");
    assert_eq!(rows(&timeline, "signal")[0]["name"], "expedite");
}

#[test]
fn a_local_activity_is_told_inside_its_workflow_task() {
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

#[test]
fn a_workflow_that_is_not_there_is_one_line_and_exit_1() {
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
fn a_long_history_is_read_to_its_end_and_its_text_says_what_it_leaves_out() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "1"]));
    let id = the_workflow(&world.workflow_queue());
    server::signal_often(&id, "again", 1100);
    let timeline = traced(world.fleet([]), &id);
    // More than a page of the server's.
    assert_eq!(rows(&timeline, "signal").len(), 1100);
    assert_eq!(timeline["events"], 1102);
    let text = told(world.fleet([]), &id);
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
fn follow_prints_what_is_new_until_the_workflow_closes() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held(&world);
    let mut follow = Process::start(world.orders(["trace", &id, "-f", "--output", "json"]));
    let mut interrupted = Process::start(world.orders(["trace", &id, "--follow"]));
    let first: Value = serde_json::from_str(&follow.out.wait_count(1)[0]).unwrap();
    assert_eq!(first["status"], "running");
    interrupted.out.wait_for("waits for");
    interrupted.ctrl_c();
    assert_eq!(interrupted.exit_code(), 130);
    // While seconds go by, nothing is said; what happens is.
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
    // It was over at once: nothing was there to be drawn again.
    assert!(!seen.contains("\u{1b}[?25l"), "{seen:?}");
}
