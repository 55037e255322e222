//! `fleet trace` of running workflows: what they wait for.

use rustix::process::Signal;
use serde_json::Value;

use super::{
    assert_agrees_with_the_history, assert_all_time_is_accounted_for, printed, rows, traced,
};
use crate::{
    server::{self, pending_activities, pid_of, the_workflow},
    support::{Process, World, eventually, held_order, kill},
};

#[test]
fn a_workflow_that_waits_for_a_timer_shows_when_the_timer_fires() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (_starter, id) = held_order(&world);
    let timeline = traced(world.orders([]), &id);
    assert_eq!((&timeline["status"], &timeline["closed"]), (&"running".into(), &Value::Null));
    assert_all_time_is_accounted_for(&timeline);
    let [wait] = &timeline["waits_for"].as_array().unwrap()[..] else { panic!("{timeline}") };
    assert_eq!((&wait["kind"], &wait["unserved"]), (&"timer".into(), &false.into()));
    assert!(wait["text"].as_str().unwrap().starts_with("timer 1m 00s: fires in "), "{wait}");
    let timer = rows(&timeline, "timer")[0];
    assert_eq!((&timer["status"], &timer["scheduled"]), (&"open".into(), &wait["since"]));
    let text = printed(world.orders([]), &id);
    assert!(text.contains("\nwaits for\n  timer 1m 00s: fires in "), "{text}");
}

#[test]
fn an_activity_of_a_killed_worker_is_shown_during_its_retry_and_afterwards() {
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
    eventually("the activity is retried", || {
        pending_activities(&id).iter().any(|activity| activity.attempt == 2)
    });
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
    // The retry took the heartbeat timeout and the pause after it.
    assert!(pack["retries_ms"].as_f64().unwrap() > 2000.0, "{pack}");
}

#[test]
fn a_workflow_task_without_a_worker_shows_its_queue_and_since_when_it_waits() {
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

    // Now a worker polls the task queue.
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
fn a_task_that_waited_for_a_killed_workflow_worker_names_that_worker() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held_order(&world);
    let killed = server::workflow_task_workers(&server::history(&id)).remove(0);
    kill(pid_of(&killed), Signal::KILL);
    server::signal(&id, "expedite");
    let timeline = traced(world.orders([]), &id);
    let wait = timeline["waits_for"].as_array().unwrap().last().unwrap();
    // The task waits in the killed worker's sticky queue, or the server delivered it before it noticed
    // the kill.
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
    // In the first case the SDK's timeout passes, in the second case the server's.
    assert!(time("queue_wait_ms") + time("execution_ms") >= 9_900.0, "{timed_out}");
    let share = |what: &str| timeline["time_ms"][what].as_f64().unwrap();
    assert!(share("queues") + share("retries") >= 9_900.0, "{timeline}");
    assert_eq!(rows(&timeline, "signal")[0]["name"], "expedite");
}
