//! What the starter and the bench say: what was not started, what a workflow waits for, which runs count.

use std::{fs, process::Command, sync::Arc, time::Duration, time::Instant};

use serde_json::Value;
use temporal_fleet::{Environment, Fleet, FleetWorker, Role, activity_task_queue};
use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{WorkflowExecutionStartedEventAttributes, history_event::Attributes},
    workflowservice::v1::ResetWorkflowExecutionRequest,
};
use temporalio_sdk::{
    ActivityOptions, ContinueAsNewOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};
use tokio::sync::Notify;

use crate::{
    proxy::{PollTrap, RefusingPort},
    server::{self, OwnServer, the_workflow, workflow_ids},
    support::{FLEET, Finished, Process, World, eventually, free_port, held_order, program, run},
};

/// Longer than an id may be, with what the starter adds.
const TOO_LONG: usize = 1000;

/// Makes of a command one that the server refuses.
type Change<'a> = Box<dyn Fn(&mut Command) + 'a>;

/// The last line of JSON on stdout.
#[track_caller]
fn summary(finished: &Finished) -> Value {
    serde_json::from_str(finished.out.last().unwrap()).unwrap()
}

/// What a workflow was started with, as its history has it.
pub(crate) fn started(workflow_id: &str) -> WorkflowExecutionStartedEventAttributes {
    match server::history(workflow_id).remove(0).attributes.unwrap() {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => started,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_server_refuses_counts_as_not_started() {
    let world = World::new();
    let long = "x".repeat(TOO_LONG);
    let port = RefusingPort::open(server::address());
    let changes: [(&str, Change<'_>, i32); 3] = [
        ("id too long", Box::new(|it| _ = it.args(["--workflow-id-prefix", &long])), 70),
        ("unknown attribute", Box::new(|it| _ = it.args(["--search-attribute", "No=1"])), 70),
        ("no permission", Box::new(|it| _ = it.env("TEMPORAL_ADDRESS", &port.address)), 78),
    ];
    for (what, change, code) in changes {
        let with = |arguments: &[&str]| {
            let mut command = world.fleet(arguments.iter().copied());
            change(&mut command);
            run(command)
        };
        let finished = with(&["starter", "-n", "5", "--output", "json"]);
        assert_eq!(finished.code, code, "{what}: {finished:#?}");
        assert!(finished.err.contains(&"not started: 5".to_owned()), "{what}: {finished:#?}");
        assert!(!finished.err.iter().any(|it| it.contains("run:")), "{what}: {finished:#?}");
        let json = summary(&finished);
        assert_eq!((&json["not_started"], &json["running"]), (&5.into(), &Value::Array(vec![])));
        assert_eq!(json["may_run"], Value::Array(vec![]), "{what}");

        let finished = with(&["bench", "--count", "3", "--output", "json"]);
        assert_eq!(finished.code, code, "{what}: {finished:#?}");
        let json = summary(&finished);
        assert_eq!((&json["not_started"], &json["under_way"]), (&3.into(), &0.into()), "{what}");
    }
    assert!(workflow_ids(&world.workflow_queue()).is_empty());
}

#[test]
fn a_rate_limit_that_lasts_ends_the_starter_and_nothing_was_started() {
    let world = World::new();
    let port = RefusingPort::without_starts(server::address());
    for (more, code) in [(&["--connect-timeout", "1s"][..], 69), (&["--timeout", "2s"], 1)] {
        let mut starter = world.fleet([&["starter", "-n", "5", "--output", "json"], more].concat());
        starter.env("TEMPORAL_ADDRESS", &port.address);
        let finished = run(starter);
        assert_eq!(finished.code, code, "{finished:#?}");
        assert!(finished.err.contains(&"not started: 5".to_owned()), "{finished:#?}");
        let json = summary(&finished);
        assert_eq!((&json["not_started"], &json["may_run"]), (&5.into(), &Value::Array(vec![])));
        assert!(json["rate_limited"].as_u64().unwrap() >= 5, "{json}");
        let words = "RESOURCE_EXHAUSTED: namespace rate limit exceeded";
        assert!(finished.err.iter().any(|it| it.contains(words)), "{finished:#?}");
    }
    let mut bench = world.fleet(["bench", "--count", "3", "--timeout", "2s", "--output", "json"]);
    bench.env("TEMPORAL_ADDRESS", &port.address);
    let json = summary(&run(bench));
    assert_eq!((&json["not_started"], &json["under_way"]), (&3.into(), &0.into()), "{json}");
}

#[test]
fn only_a_workflow_whose_start_was_not_answered_may_run() {
    let world = World::new();
    let port = PollTrap::losing(server::address(), "StartWorkflowExecution");
    let mut starter = world.fleet(["starter", "-n", "2", "--timeout", "2s", "--output", "json"]);
    starter.env("TEMPORAL_ADDRESS", &port.address);
    let finished = run(starter);
    assert_eq!(finished.code, 1, "{finished:#?}");
    let may_run = "1 may run (the server did not answer):".to_owned();
    assert!(finished.err.contains(&may_run), "{finished:#?}");
    let json = summary(&finished);
    let count = |list: &str| json[list].as_array().unwrap().len();
    assert_eq!((count("running"), count("may_run")), (1, 1), "{json}");
    assert_eq!(json["not_started"], 0);
}

#[test]
fn an_input_that_is_too_large_was_not_started_and_is_refused_at_once() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.json");
    fs::write(&path, format!("\"{}\"", "x".repeat(5_000_000))).unwrap();
    let input = format!("@{}", path.display());
    let finished = run(world.fleet(["starter", "-n", "2", "--input", &input]));
    assert_eq!(finished.code, 70, "{finished:#?}");
    assert!(finished.err.contains(&"not started: 2".to_owned()), "{finished:#?}");
    assert!(finished.err.last().unwrap().contains("message larger than max"), "{finished:#?}");
}

#[test]
fn a_workflow_that_is_reset_is_awaited_in_its_new_run() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (mut starter, id) = held_order(&world);
    let before = started(&id).original_execution_run_id;
    server::ask(async |mut client| {
        let request = ResetWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: id.clone(),
                ..Default::default()
            }),
            reason: "redo".into(),
            workflow_task_finish_event_id: 4,
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        client.reset_workflow_execution(request.into_request()).await.unwrap();
    });
    let line = starter.err.wait_for(&format!("{id} was reset: waiting for its run "));
    assert!(!line.contains(&before), "{line}");
    eventually("the new run is held", || server::pending_timers(&id) == 1);
    server::signal(&id, "expedite");
    assert_eq!(starter.exit_code(), 0, "{:#?}", starter.err.so_far());
    let err = starter.err.wait_end();
    assert!(err.iter().any(|it| it.starts_with("1 completed, 0 failed in ")), "{err:#?}");
    // The charge of the run before the reset counts once: the new run's history has it.
    let activities = err.iter().find(|it| it.starts_with("activities ")).unwrap();
    assert!(activities.contains(" 3  activity-worker@"), "{err:#?}");
}

/// Continues as new with an activity in each run, counting down until it is at zero.
#[workflow]
#[derive(Default)]
struct Chain;

#[workflow_methods]
impl Chain {
    #[run(name = "Chain")]
    async fn run(ctx: &mut WorkflowContext<Self>, left: u32) -> WorkflowResult<String> {
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
            .maybe_task_queue(activity_task_queue())
            .build();
        ctx.execute_activity(Links::forge, (), options).await?;
        if left > 0 {
            ctx.continue_as_new(left - 1, ContinueAsNewOptions::default())?;
        }
        Ok("whole".into())
    }
}

struct Links;

#[activities]
impl Links {
    #[activity]
    async fn forge(_ctx: ActivityContext) -> Result<(), ActivityError> {
        Ok(())
    }
}

#[test]
fn every_run_of_a_chain_counts_in_the_summary_and_in_the_stages() {
    let world = World::new();
    let fleet = Fleet::new("chains").workflow::<Chain>().activities(Links);
    let environment: Environment = format!(
        "TEMPORAL_ADDRESS={}\nFLEET_WORKFLOW_TASK_QUEUE={queue}\nFLEET_ACTIVITY_TASK_QUEUE={queue}",
        server::address(),
        queue = world.workflow_queue()
    )
    .parse()
    .unwrap();
    let config = fleet.config(environment).unwrap();
    server::ask(async |_| {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let chain = ["--workflow-type", "Chain", "--input", "3", "--output", "json"];
        let starter = world.fleet([&["starter", "-n", "2"][..], &chain].concat());
        let bench = world.fleet([&["bench", "--count", "2"][..], &chain].concat());
        let both = tokio::task::spawn_blocking(move || {
            let finished = [run(starter), run(bench)];
            stopped.notify_one();
            finished
        });
        let worker = FleetWorker::build(&fleet, &config, Role::Worker).await.unwrap();
        worker.run(stop.notified()).await.unwrap();
        let [starter, bench] = both.await.unwrap();
        let json = summary(&starter);
        let total = |what: &str| -> u64 {
            let shares = json["workers"][what].as_object().unwrap();
            shares.values().map(|it| it.as_u64().unwrap()).sum()
        };
        assert_eq!((total("workflows"), total("activities")), (2, 8), "{json}");
        assert_eq!(json["workers_incomplete"], 0);
        let json = summary(&bench);
        let count = |stage: &str| json["latency_ms"][stage]["count"].as_u64().unwrap();
        assert_eq!(count("activity_execution"), 8, "{json}");
        assert!(count("workflow_task_execution") >= 8, "{json}");
        assert_eq!((&json["histories_sampled"], &json["chains_cut"]), (&8.into(), &0.into()));
    });
}

#[test]
fn a_server_that_limits_calls_is_reported_within_ten_seconds() {
    let cli = OwnServer::start("0", &[]).cli;
    let port = free_port().to_string();
    let mut limited = program(FLEET);
    limited.args(["guard", "--", &cli, "server", "start-dev", "--headless", "--port", &port]);
    limited.args(["--log-level", "never", "--dynamic-config-value", "frontend.namespaceRPS=5"]);
    let _limited = Process::start(limited);
    let world = World::new();
    let there = |arguments: &[&str]| {
        let mut command = world.fleet(arguments.iter().copied());
        command.env("TEMPORAL_ADDRESS", format!("127.0.0.1:{port}"));
        command
    };
    let words = "rate limit of the server: ";
    let mut starter = Process::start(there(&["starter", "-n", "40", "--output", "json"]));
    starter.err.wait_for("batch ");
    let begun = Instant::now();
    let line = starter.err.wait_for(words);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(line.contains("RESOURCE_EXHAUSTED: namespace rate limit exceeded"), "{line}");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
    let out = starter.out.wait_end();
    let summary: Value = serde_json::from_str(out.last().unwrap()).unwrap();
    assert!(summary["rate_limited"].as_u64().unwrap() > 0, "{summary}");

    let bench = ["bench", "--rate", "20/s", "--duration", "4s", "--timeout", "1s"];
    let bench = run(there(&[&bench[..], &["--output", "json"]].concat()));
    let line: Value = serde_json::from_str(bench.out.last().unwrap()).unwrap();
    assert!(line["rate_limited"].as_u64().unwrap() > 0, "{line}");
    assert!(bench.err.iter().any(|it| it.starts_with(words)), "{bench:#?}");
}

#[test]
fn a_workflow_task_that_fails_is_reported_with_its_reason_and_the_command_that_shows_more() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let mut starter =
        Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "NoSuchType"]));
    let reason = starter.err.wait_for("NoSuchType not found");
    assert!(reason.starts_with("  workflow task, attempt "), "{reason}");
    let id = the_workflow(&world.workflow_queue());
    starter.err.wait_for(&format!("to see more: fleet trace {id}"));
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn a_queue_of_others_that_nobody_polls_is_reported_without_a_command_that_does_not_help() {
    let world = World::new();
    let queue = world.id();
    let mut starter = Process::start(world.fleet(["starter", "-n", "1", "--task-queue", &queue]));
    let line = starter.err.wait_for("no worker polls");
    assert!(line.contains(&format!("no worker polls '{queue}': start a worker for that queue")));
    assert!(line.contains(&format!("fleet up polls '{}'", world.workflow_queue())), "{line}");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn an_input_that_the_workflow_cannot_decode_is_named_by_the_starter_and_in_the_workers_log() {
    let world = World::new();
    let up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let load = ["--workflow-type", "LoadWorkflow", "--input", "\"nonsense\"", "--timeout", "1s"];
    let starter = run(world.fleet([&["starter", "-n", "1"][..], &load].concat()));
    let reason = "cannot decode its input as Load: invalid type: string \"nonsense\", expected struct \
                  Load";
    assert!(
        starter.err.contains(&format!("warning: this fleet's LoadWorkflow {reason}")),
        "{starter:#?}"
    );
    let id = the_workflow(&world.workflow_queue());
    up.err.wait_for(&format!("LoadWorkflow {id} {reason}"));
    // The SDK itself does not say it: if it does one day, this is no longer needed.
    let failed = server::history(&id).into_iter().find_map(|event| match event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
        _ => None,
    });
    let message = failed.unwrap().message;
    assert_eq!(message, "Failed to create workflow: Failed to create workflow execution");
}

#[test]
fn a_large_input_that_the_workflow_cannot_decode_is_named_when_its_workflow_task_comes_again() {
    let world = World::new();
    let up = Process::start_ready(world.fleet(["up", "-w", "1"]));
    let input = format!("\"{}\"", "x".repeat(20_000));
    let load = ["--workflow-type", "LoadWorkflow", "--input", &input, "--timeout", "1s"];
    run(world.fleet([&["starter", "-n", "1"][..], &load].concat()));
    let id = the_workflow(&world.workflow_queue());
    let line = up.err.wait_for(&format!("LoadWorkflow {id} cannot decode its input as Load"));
    assert!(line.contains("invalid type: string \"xxx") && line.len() < 1000, "{line}");
}
