//! Workflows of other SDKs: local activities of a real Python worker, and what a Go worker answers.

use serde_json::{Value, json};
use temporalio_client::{
    NamespacedClient, UntypedWorkflow, WorkflowStartOptions, grpc::WorkflowService,
    tonic::IntoRequest,
};
use temporalio_common::{
    data_converters::RawValue,
    protos::temporal::api::{
        command::v1::{
            Command, CompleteWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
            command::Attributes,
        },
        common::v1::{Payload, Payloads},
        enums::v1::CommandType,
        failure::v1::Failure,
        taskqueue::v1::TaskQueue,
        workflowservice::v1::{PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest},
    },
};

use super::{assert_all_time_is_accounted_for, printed, rows, traced};
use crate::{
    interop::python_script,
    server,
    support::{World, run},
};

#[test]
fn twenty_local_activities_of_20_ms_each_take_about_20_ms_inside_their_workflow_task() {
    let world = World::new();
    let id = world.id();
    run(python_script(&world, "local_activities.py", &["20", &id])).success();
    let timeline = traced(world.fleet([]), &id);
    assert_all_time_is_accounted_for(&timeline);
    let [task] = rows(&timeline, "workflow_task")[..] else { panic!("{timeline}") };
    let naps = rows(&timeline, "local_activity");
    assert_eq!(naps.len(), 20);
    let at = |row: &Value, what: &str| row[what].as_str().unwrap().to_owned();
    let mut previous = at(task, "started");
    for nap in &naps {
        // They sleep for 20 ms. On a busy machine they wake up later.
        let took = nap["execution_ms"].as_f64().unwrap();
        assert!((19.0..200.0).contains(&took), "{nap}");
        assert!(previous <= at(nap, "started"), "{nap}");
        previous = at(nap, "ended");
    }
    assert!(previous <= at(task, "ended"), "{timeline}");
    let total: f64 = naps.iter().map(|nap| nap["execution_ms"].as_f64().unwrap()).sum();
    let share = timeline["time_ms"]["activities"].as_f64().unwrap();
    assert!((total - share).abs() < 0.1, "{total} of {share}");
    assert!(total <= task["execution_ms"].as_f64().unwrap(), "{timeline}");
}

fn payloads(value: &Value) -> Payloads {
    let payload = Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: value.to_string().into_bytes(),
        ..Default::default()
    };
    Payloads { payloads: vec![payload] }
}

fn marker(name: &str, details: &[(&str, Value)], failure: Option<&str>) -> Command {
    let failure = failure.map(|message| Failure { message: message.into(), ..Default::default() });
    let attributes = RecordMarkerCommandAttributes {
        marker_name: name.into(),
        details: details.iter().map(|(key, value)| ((*key).into(), payloads(value))).collect(),
        failure,
        ..Default::default()
    };
    Command {
        command_type: CommandType::RecordMarker.into(),
        attributes: Some(Attributes::RecordMarkerCommandAttributes(attributes)),
        ..Default::default()
    }
}

fn completion() -> Command {
    let attributes =
        CompleteWorkflowExecutionCommandAttributes { result: Some(payloads(&json!("done"))) };
    Command {
        command_type: CommandType::CompleteWorkflowExecution.into(),
        attributes: Some(Attributes::CompleteWorkflowExecutionCommandAttributes(attributes)),
        ..Default::default()
    }
}

/// Starts a workflow of which this test is the worker.
fn start(world: &World, id: &str) {
    server::ask(async |client| {
        let options = WorkflowStartOptions::new(world.workflow_queue(), id).build();
        let workflow = UntypedWorkflow::new("Raw");
        client.start_workflow(workflow, RawValue::new(vec![]), options).await.unwrap();
    });
}

/// Takes the next workflow task, does what is to be done meanwhile, and answers with these commands.
/// Returns whether the server accepts them.
fn answer(world: &World, meanwhile: impl FnOnce(), commands: Vec<Command>) -> bool {
    let task = server::ask(async |mut client| {
        let request = PollWorkflowTaskQueueRequest {
            namespace: client.namespace(),
            task_queue: Some(TaskQueue { name: world.workflow_queue(), ..Default::default() }),
            identity: "7@go".into(),
            ..Default::default()
        };
        client.poll_workflow_task_queue(request.into_request()).await.unwrap().into_inner()
    });
    meanwhile();
    server::ask(async |mut client| {
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: client.namespace(),
            task_token: task.task_token.clone(),
            identity: "7@go".into(),
            commands,
            ..Default::default()
        };
        client.respond_workflow_task_completed(request.into_request()).await.is_ok()
    })
}

#[test]
fn markers_of_the_go_sdk_show_local_activities_with_failures_and_versions_by_name() {
    let world = World::new();
    let id = world.id();
    start(&world, &id);
    let data = |id: &str, name: &str| {
        let data = json!({
            "ActivityID": id, "ActivityType": name, "ReplayTime": "2026-01-01T00:00:00.5Z",
            "Attempt": 1, "Backoff": 0,
        });
        ("data", data)
    };
    let commands = vec![
        marker("LocalActivity", &[data("1", "ChargeCard"), ("result", json!("ok"))], None),
        marker("LocalActivity", &[data("2", "SendMail")], Some("smtp down")),
        marker("Version", &[("change-id", json!("new-tax")), ("version", json!(2))], None),
        marker("SideEffect", &[("side-effect-id", json!(1)), ("data", json!("x"))], None),
        completion(),
    ];
    assert!(answer(&world, || (), commands));
    let timeline = traced(world.fleet([]), &id);
    assert_all_time_is_accounted_for(&timeline);
    assert_eq!(timeline["other_events"], json!({}));
    let [charge, mail] = rows(&timeline, "local_activity")[..] else { panic!("{timeline}") };
    assert_eq!((&charge["name"], &charge["status"]), (&"ChargeCard".into(), &"completed".into()));
    assert_eq!((&mail["name"], &mail["failure"]), (&"SendMail".into(), &"smtp down".into()));
    // The marker has a time of another clock.
    for unknown in ["scheduled", "started", "ended", "execution_ms"] {
        assert_eq!(charge[unknown], Value::Null, "{charge}");
    }
    let text = printed(world.fleet([]), &id);
    assert!(text.contains("\nVersion new-tax 2 ") && text.contains("\nSideEffect "), "{text}");
    assert!(!text.contains("not shown"), "{text}");
}

#[test]
fn a_signal_during_the_last_workflow_task_is_called_harmless() {
    let world = World::new();
    let id = world.id();
    start(&world, &id);
    assert!(!answer(&world, || server::signal(&id, "late"), vec![completion()]));
    assert!(answer(&world, || (), vec![completion()]));
    let timeline = traced(world.fleet([]), &id);
    assert_all_time_is_accounted_for(&timeline);
    let [repeated, last] = rows(&timeline, "workflow_task")[..] else { panic!("{timeline}") };
    assert_eq!((&repeated["status"], &last["status"]), (&"repeated".into(), &"completed".into()));
    let why = repeated["failure"].as_str().unwrap();
    assert!(why.contains("unhandled command, which is harmless"), "{why}");
    assert_eq!(timeline["time_ms"]["retries"], 0.0);
}
