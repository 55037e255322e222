//! Names, texts and failures that others have chosen, in the output of every command.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;
use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Request},
};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command as WorkflowCommand, FailWorkflowExecutionCommandAttributes,
        RecordMarkerCommandAttributes, ScheduleActivityTaskCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
        command::Attributes,
    },
    common::v1::{
        ActivityType, Memo, Payload, WorkerVersionCapabilities, WorkflowExecution, WorkflowType,
    },
    enums::v1::{CommandType, EventType, ParentClosePolicy},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    sdk::v1::UserMetadata,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest,
        RespondWorkflowTaskCompletedRequest, SignalWorkflowExecutionRequest,
        StartWorkflowExecutionRequest,
    },
};

use super::{assert_harmless, assert_harmless_on_a_terminal, hostile};
use crate::{
    server::{self, the_workflow},
    support::{Process, World, eventually, on_a_terminal, on_a_terminal_until, run},
};

fn json(text: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: serde_json::to_vec(text).unwrap(),
        ..Default::default()
    }
}

fn task_queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.to_owned(), ..Default::default() }
}

/// A worker of somebody else with a hostile identity and version. It polls both kinds of task until it is
/// dropped, and answers workflow tasks: the first with commands that have hostile names, further ones with a
/// hostile failure.
struct Rogue {
    is_over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Rogue {
    fn start(queue: &str) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let poll = |kind: fn(&str, &AtomicBool)| {
            let (queue, is_over) = (queue.to_owned(), is_over.clone());
            thread::spawn(move || kind(&queue, &is_over))
        };
        Self { threads: vec![poll(poll_workflow_tasks), poll(poll_activities)], is_over }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A request that waits for a task for a few seconds only, so that its thread can end.
fn brief<T>(message: T) -> Request<T> {
    let mut request = message.into_request();
    request.set_timeout(Duration::from_secs(5));
    request
}

fn poll_workflow_tasks(queue: &str, is_over: &AtomicBool) {
    server::ask(async |mut client| {
        while !is_over.load(Relaxed) {
            #[expect(deprecated, reason = "what older SDKs send")]
            let request = PollWorkflowTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(task_queue(queue)),
                identity: hostile("poller"),
                worker_version_capabilities: Some(WorkerVersionCapabilities {
                    build_id: hostile("build"),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let Ok(task) = client.poll_workflow_task_queue(brief(request)).await else { continue };
            let task = task.into_inner();
            if task.task_token.is_empty() {
                continue;
            }
            let events = task.history.unwrap_or_default().events;
            let has = |of| events.iter().any(|event| event.event_type() == of);
            let is_failing = task.workflow_type.is_some_and(|of_type| of_type.name == "Failing")
                || has(EventType::WorkflowExecutionSignaled);
            let commands = if is_failing {
                vec![fail()]
            } else if task.previous_started_event_id == 0 {
                begin(queue)
            } else {
                Vec::new()
            };
            answer(&mut client, task.task_token, commands).await;
        }
    });
}

async fn answer(client: &mut Client, task_token: Vec<u8>, commands: Vec<WorkflowCommand>) {
    let request = RespondWorkflowTaskCompletedRequest {
        namespace: client.namespace(),
        identity: hostile("answer"),
        task_token,
        commands,
        ..Default::default()
    };
    client.respond_workflow_task_completed(request.into_request()).await.unwrap();
}

fn poll_activities(queue: &str, is_over: &AtomicBool) {
    server::ask(async |mut client| {
        while !is_over.load(Relaxed) {
            let request = PollActivityTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(task_queue(queue)),
                identity: hostile("activity poller"),
                ..Default::default()
            };
            // A task that it gets is never answered: the activity is pending, with its identity.
            let _ = client.poll_activity_task_queue(brief(request)).await;
        }
    });
}

fn summarized(of_type: CommandType, attributes: Attributes) -> WorkflowCommand {
    WorkflowCommand {
        command_type: of_type.into(),
        attributes: Some(attributes),
        user_metadata: Some(UserMetadata {
            summary: Some(json(&hostile("summary"))),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn begin(queue: &str) -> Vec<WorkflowCommand> {
    let timer = StartTimerCommandAttributes {
        timer_id: hostile("timer"),
        start_to_fire_timeout: Some("60s".parse().unwrap()),
    };
    let activity = ScheduleActivityTaskCommandAttributes {
        activity_id: hostile("activity id"),
        activity_type: Some(ActivityType { name: hostile("activity") }),
        task_queue: Some(task_queue(queue)),
        start_to_close_timeout: Some("60s".parse().unwrap()),
        ..Default::default()
    };
    let child = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: hostile(&format!("{queue} child")),
        workflow_type: Some(WorkflowType { name: hostile("child type") }),
        task_queue: Some(task_queue(&hostile(&format!("{queue}-kids")))),
        parent_close_policy: ParentClosePolicy::Terminate.into(),
        ..Default::default()
    };
    let marker =
        RecordMarkerCommandAttributes { marker_name: hostile("marker"), ..Default::default() };
    vec![
        summarized(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(timer)),
        summarized(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(activity),
        ),
        summarized(
            CommandType::StartChildWorkflowExecution,
            Attributes::StartChildWorkflowExecutionCommandAttributes(child),
        ),
        summarized(CommandType::RecordMarker, Attributes::RecordMarkerCommandAttributes(marker)),
    ]
}

fn fail() -> WorkflowCommand {
    let info = ApplicationFailureInfo { r#type: hostile("failure type"), ..Default::default() };
    let failure = Failure {
        message: hostile("failure"),
        stack_trace: hostile("stack"),
        source: hostile("source"),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Default::default()
    };
    let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(failure) };
    WorkflowCommand {
        command_type: CommandType::FailWorkflowExecution.into(),
        attributes: Some(Attributes::FailWorkflowExecutionCommandAttributes(attributes)),
        ..Default::default()
    }
}

/// Starts a workflow of which everything is hostile but its id and its task queue.
fn start(workflow_id: &str, of_type: &str, queue: &str) {
    server::ask(async |mut client| {
        let request = StartWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_id: workflow_id.to_owned(),
            workflow_type: Some(WorkflowType { name: of_type.to_owned() }),
            task_queue: Some(task_queue(queue)),
            identity: hostile("starter"),
            request_id: uuid::Uuid::new_v4().to_string(),
            memo: Some(Memo { fields: [(hostile("memo"), json(&hostile("note")))].into() }),
            user_metadata: Some(UserMetadata {
                summary: Some(json(&hostile("workflow summary"))),
                details: Some(json(&hostile("workflow details"))),
            }),
            ..Default::default()
        };
        client.start_workflow_execution(request.into_request()).await.unwrap();
    });
}

fn signal(workflow_id: &str) {
    server::ask(async |mut client| {
        let request = SignalWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                ..Default::default()
            }),
            signal_name: hostile("signal"),
            identity: hostile("signaller"),
            ..Default::default()
        };
        client.signal_workflow_execution(request.into_request()).await.unwrap();
    });
}

/// Whether something that was planted is shown, so that a test cannot pass because nothing was there.
#[track_caller]
fn assert_shown(what: &str, lines: &[String], planted: &[&str]) {
    for planted in planted {
        assert!(
            lines.iter().any(|line| line.contains(planted)),
            "{what}: no {planted}: {lines:#?}"
        );
    }
}

#[test]
fn a_trace_shows_names_and_failures_of_others_without_their_power() {
    let world = World::new();
    let queue = world.workflow_queue();
    let id = hostile(&world.id());
    let rogue = Rogue::start(&queue);
    start(&id, &hostile("workflow type"), &queue);
    let trace = |flags: &[&str]| {
        let mut arguments = vec!["trace", "--width", "200"];
        arguments.extend(flags);
        arguments.extend(["--", id.as_str()]);
        run(world.fleet(arguments))
    };
    let open = [
        "timer",
        "activity",
        "child type",
        "marker",
        "summary",
        "workflow type",
        "starter",
        "poller",
    ];
    eventually("the first task is answered", || trace(&[]).out.iter().any(|l| l.contains("timer")));
    for flags in [&[][..], &["--all"]] {
        let lines = trace(flags).success();
        assert_harmless("an open trace", &lines);
        assert_shown("an open trace", &lines, &open);
    }
    let seen = on_a_terminal(world.fleet(["trace", "--", &id]));
    assert_harmless_on_a_terminal("an open trace", &seen);
    let (seen, _) = on_a_terminal_until(world.fleet(["trace", "--follow", "--", &id]), |seen| {
        seen.contains("timer")
    });
    assert_harmless_on_a_terminal("a followed trace", &seen);

    signal(&id);
    eventually("the workflow has failed", || {
        trace(&[]).out.iter().any(|line| line.contains("failed after"))
    });
    drop(rogue);
    let closed = trace(&["--all"]).success();
    assert_harmless("a closed trace", &closed);
    assert_shown("a closed trace", &closed, &["signal", "failure type", "stack"]);
    assert_harmless_on_a_terminal(
        "a closed trace",
        &on_a_terminal(world.fleet(["trace", "--all", "--", &id])),
    );
    // JSON has the data, in a form that a terminal does not act on either.
    let json = trace(&["--output", "json"]).success();
    assert_harmless("a trace in JSON", &json);
    let document: serde_json::Value = serde_json::from_str(&json.join("\n")).unwrap();
    assert_eq!(document["workflow_id"], id);
}

#[test]
fn status_starter_and_bench_show_pollers_and_failures_of_others_without_their_power() {
    let world = World::new();
    let queue = world.workflow_queue();
    let _rogue = Rogue::start(&queue);
    let status = |flags: &[&str]| {
        let mut arguments = vec!["status", "--task-queue", &queue];
        arguments.extend(flags);
        run(world.fleet(arguments)).success()
    };
    eventually("both pollers are listed", || {
        let lines = status(&[]);
        lines.iter().filter(|line| line.contains("poller")).count() == 2
    });
    assert_harmless("status", &status(&[]));
    assert_harmless("status in JSON", &status(&["--output", "json"]));
    let identity = hostile("poller");
    let document: serde_json::Value =
        serde_json::from_str(&status(&["--output", "json"]).join("\n")).unwrap();
    assert_eq!(document["queues"][0]["pollers"][0]["identity"], identity);
    assert_harmless_on_a_terminal(
        "status",
        &on_a_terminal(world.fleet(["status", "--task-queue", &queue])),
    );
    let watch = world.fleet(["status", "--watch", "100ms", "--task-queue", &queue]);
    let (seen, _) = on_a_terminal_until(watch, |seen| seen.matches("poller").count() > 4);
    assert_harmless_on_a_terminal("status --watch", &seen);

    let starter = ["starter", "-n", "2", "--workflow-type", "Failing", "--timeout", "30s"];
    let finished = run(world.fleet(starter));
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert_harmless("starter", &finished.err);
    assert_shown("starter", &finished.err, &["failure type", "answer"]);
    assert_harmless_on_a_terminal("starter", &on_a_terminal(world.fleet(starter)));
    let finished = run(world.fleet(starter.into_iter().chain(["--output", "json"])));
    assert_harmless("starter in JSON", &[finished.out, finished.err].concat());

    for output in ["text", "json"] {
        let bench = ["bench", "--count", "2", "--workflow-type", "Failing", "--output", output];
        let finished = run(world.fleet(bench.into_iter().chain(["--timeout", "30s"])));
        assert_shown("bench", &finished.out, &["failure"]);
        assert_harmless("bench", &[finished.out, finished.err].concat());
    }
}

#[test]
fn a_hint_quotes_what_a_workflow_waits_for_without_its_power() {
    let world = World::new();
    let _rogue = Rogue::start(&world.workflow_queue());
    let starter = ["starter", "-n", "1", "--workflow-type", "Waiting", "--timeout", "7s"];
    let finished = run(world.fleet(starter));
    assert_shown("the hint", &finished.err, &["waits for", "timer", "trace"]);
    assert_harmless("the hint", &finished.err);
    server::terminate(&the_workflow(&world.workflow_queue()), "the test is over");
}

#[test]
fn a_workers_log_is_one_line_for_each_event_whatever_others_have_written() {
    let hostile_type = hostile("no such type");
    for format in ["text", "json"] {
        let world = World::new();
        let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
        up.env("FLEET_LOG_FORMAT", format);
        let mut up = Process::start_ready(up);
        let id = hostile(&world.id());
        start(&id, &hostile_type, &world.workflow_queue());
        up.err.wait_for("no such type");
        server::terminate(&id, &hostile("reason"));
        up.signal(Signal::TERM);
        assert_eq!(up.exit_code(), 0);
        let lines = up.err.wait_end();
        assert_harmless("a worker's log", &lines);
        for line in &lines {
            match format {
                "text" => assert!(line.starts_with("workflow-worker:0 | "), "{line}"),
                _ => assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"),
            }
        }
    }
    // On a terminal the log has colours.
    let world = World::new();
    let id = hostile(&world.id());
    start(&id, &hostile_type, &world.workflow_queue());
    let (seen, _) = on_a_terminal_until(world.fleet(["up", "-w", "1", "-a", "0"]), |seen| {
        seen.contains("no such type")
    });
    assert_harmless_on_a_terminal("a worker's log", &seen);
    server::terminate(&id, "the test is over");
}
