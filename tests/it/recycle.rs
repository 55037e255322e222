//! A worker that replaces its SDK worker: during the replacement, no activity is lost, late or
//! repeated.

use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use temporalio_common::protos::temporal::api::{enums::v1::EventType, history::v1::HistoryEvent};

use crate::{
    server::{self, activity_attempts, history},
    support::{Process, World, eventually, get},
};

/// The upper limit for an activity's wait. If polling paused, tasks would be lost, and a lost task
/// waits for ten seconds.
const NO_PAUSE: Duration = Duration::from_secs(8);

#[test]
fn activities_run_once_and_on_time_while_the_sdk_worker_is_replaced() {
    const WORKFLOWS: usize = 300;
    let world = World::new();
    let mut worker = world.fleet(["worker", "--role", "activity-worker"]);
    worker.env("FLEET_ACTIVITIES_PER_SDK_WORKER", "25");
    let (worker, health) = Process::start_probed(worker);
    eventually("the worker is ready", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    let _workflows = Process::start(world.fleet(["worker", "--role", "workflow-worker"]));
    let batch = ["starter", "-n", &WORKFLOWS.to_string(), "--concurrency", "30"];
    let mut starter = Process::start(world.fleet(batch));
    eventually("the batch is done", || {
        assert_eq!(get(&health, "/readyz").map(|(code, _)| code), Some(200));
        starter.ended().is_some()
    });
    assert_eq!(starter.exit_code(), 0, "{:#?}", starter.err.so_far());
    assert_eq!(
        starter.out.wait_end().iter().filter(|line| line.starts_with("wf-")).count(),
        WORKFLOWS
    );

    // An SDK worker that is being replaced can run a few more than its 25 activities, in slots that
    // it still has.
    let (_, metrics) = get(&health, "/metrics").unwrap();
    let count =
        metrics.lines().find_map(|line| line.strip_prefix("fleet_sdk_worker_replacements_total"));
    let count = count.unwrap().rsplit(' ').next().unwrap().parse::<usize>().unwrap();
    assert!((4..=WORKFLOWS / 25).contains(&count), "{count} replacements");
    assert_eq!(replacements(&worker), count);
    // The last SDK workers may still have polls open.
    let ends = worker
        .err
        .so_far()
        .iter()
        .filter(|line| line.contains("finished its work and stops"))
        .count();
    assert!(ends + 2 >= count, "{ends} of {count} have ended");
    for history in server::histories(&world.workflow_queue()) {
        assert_all_at_first_attempt(&history);
        let waited = waited(&history);
        assert!(waited < NO_PAUSE, "an activity waited for {waited:?}");
    }
}

#[test]
fn a_worker_of_both_kinds_replaces_its_sdk_worker_too() {
    const WORKFLOWS: usize = 120;
    let world = World::new();
    let mut worker = world.fleet(["worker", "--role", "worker"]);
    worker.env("FLEET_ACTIVITIES_PER_SDK_WORKER", "20");
    let worker = Process::start_ready(worker);
    let batch = ["starter", "-n", &WORKFLOWS.to_string(), "--concurrency", "20"];
    let mut starter = Process::start(world.fleet(batch));
    assert_eq!(starter.exit_code(), 0, "{:#?}", starter.err.so_far());
    assert!(replacements(&worker) >= 2, "{:#?}", worker.err.so_far());
    let histories = server::histories(&world.workflow_queue());
    assert_eq!(histories.len(), WORKFLOWS);
    let timeouts: usize = histories
        .iter()
        .map(|history| {
            assert_all_at_first_attempt(history);
            server::count_events(history, EventType::WorkflowTaskTimedOut)
        })
        .sum();
    // The same limit as in `drain.rs`: a replacement loses workflow tasks for the same reason.
    assert!(timeouts <= 12, "{timeouts} workflow tasks timed out");
}

#[test]
fn an_activity_in_flight_during_a_replacement_is_neither_cancelled_nor_repeated() {
    let world = World::new();
    let (worker, workflow, mut starter, _workflows) = packing(&world, 10_000, "500ms");
    replace(&world, &worker, 2);
    assert_eq!(server::pending_activities(&workflow).len(), 1, "the activity is still running");
    assert_eq!(starter.exit_code(), 0, "{:#?}", starter.err.so_far());
    assert!(starter.out.wait_end()[0].contains("packed 1 item(s) at attempt 1, shipped"));
    assert_all_at_first_attempt(&history(&workflow));
}

#[test]
fn sigterm_drains_the_replaced_sdk_worker_and_the_new_one() {
    let world = World::new();
    let (mut worker, workflow, _starter, _workflows) = packing(&world, 6_000, "15s");
    replace(&world, &worker, 1);
    worker.signal(Signal::TERM);
    assert_eq!(server::pending_activities(&workflow).len(), 1, "the activity is still running");
    assert_eq!(worker.exit_code(), 0, "{:#?}", worker.err.so_far());
    worker.err.wait_for("drained");
    let history = history(&workflow);
    let done = server::count_events(&history, EventType::ActivityTaskCompleted);
    assert_eq!(done, 2, "both activities, charge and pack, completed");
    assert_all_at_first_attempt(&history);
}

/// Starts an order whose packing takes `pack_ms`. Returns its activity worker, its workflow id, its
/// starter and its workflow worker. The activity worker replaces its SDK worker after every three
/// activities.
fn packing(world: &World, pack_ms: u32, grace: &str) -> (Process, String, Process, Process) {
    let mut worker = world.orders(["worker", "--role", "activity-worker"]);
    worker.env("FLEET_ACTIVITIES_PER_SDK_WORKER", "3").env("FLEET_ACTIVITY_GRACE", grace);
    let worker = Process::start_ready(worker);
    let workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    let starter = start(world, 1, pack_ms);
    let (workflow, _) = server::packing(&world.workflow_queue());
    (worker, workflow, starter, workflows)
}

fn start(world: &World, count: usize, pack_ms: u32) -> Process {
    let order = format!(
        r#"{{"id": "1", "items": ["a"], "pack_ms": {pack_ms}, "hold_ms": 1, "card": "valid"}}"#
    );
    Process::start(world.orders(["starter", "-n", &count.to_string(), "--input", &order]))
}

/// Starts more orders until the worker has replaced its SDK worker `times` times.
fn replace(world: &World, worker: &Process, times: usize) {
    assert_eq!(start(world, 2 * times, 1).exit_code(), 0);
    eventually("SDK workers are replaced", || replacements(worker) >= times);
}

fn replacements(worker: &Process) -> usize {
    worker.err.so_far().iter().filter(|line| line.contains("replaced the SDK worker")).count()
}

#[track_caller]
fn assert_all_at_first_attempt(history: &[HistoryEvent]) {
    let attempts = activity_attempts(history);
    assert!(attempts.iter().all(|(_, attempt)| *attempt == 1), "{attempts:?}");
}

/// Returns how long the activity of a history waited for a worker.
fn waited(history: &[HistoryEvent]) -> Duration {
    let at = |of: EventType| {
        let event = history.iter().find(|event| event.event_type() == of).unwrap();
        SystemTime::try_from(event.event_time.unwrap()).unwrap()
    };
    let (scheduled, started) =
        (at(EventType::ActivityTaskScheduled), at(EventType::ActivityTaskStarted));
    started.duration_since(scheduled).unwrap_or_default()
}
