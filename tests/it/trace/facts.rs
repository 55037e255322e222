//! What the server knows about a run besides its tasks: why it was held back, who paused or cancelled
//! what, from which run a reset went on, and what time it is.

use std::time::Duration;

use serde_json::Value;
use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PauseActivityRequest, ResetWorkflowExecutionRequest, StartWorkflowExecutionRequest,
        pause_activity_request::Activity,
    },
};

use super::{assert_all_time_is_accounted_for, printed, rows, traced};
use crate::{
    server,
    support::{Process, World, eventually, held_order, run},
};

fn execution(workflow_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), ..Default::default() })
}

#[test]
fn a_start_delay_has_a_row_and_is_no_timer() {
    let world = World::new();
    let id = world.id();
    server::ask(async |mut client| {
        let request = StartWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_id: id.clone(),
            workflow_type: Some(WorkflowType { name: "ParallelizedWorkflow".into() }),
            task_queue: Some(TaskQueue { name: world.workflow_queue(), ..Default::default() }),
            request_id: id.clone(),
            workflow_start_delay: Duration::from_mins(10).try_into().ok(),
            ..Default::default()
        };
        client.start_workflow_execution(request.into_request()).await.unwrap();
    });
    let timeline = traced(world.fleet([]), &id);
    assert_all_time_is_accounted_for(&timeline);
    let [wait] = rows(&timeline, "start_wait")[..] else { panic!("{timeline}") };
    assert_eq!((&wait["name"], &wait["status"]), (&"start delay".into(), &"open".into()));
    assert_eq!(timeline["time_ms"]["timers"], 0.0);
    assert_eq!(timeline["time_ms"]["held_back"], timeline["duration_ms"]);
    let waits_for = timeline["waits_for"][0]["text"].as_str().unwrap();
    assert!(waits_for.starts_with("its start: in 9m 5"), "{waits_for}");
    let text = printed(world.fleet([]), &id);
    assert!(text.contains("100 %  held back by the server"), "{text}");
}

#[test]
fn a_reset_run_and_the_run_that_goes_on_name_each_other() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (_starter, id) = held_order(&world);
    let before = traced(world.orders([]), &id);
    let old = before["run_id"].as_str().unwrap();
    let new = server::ask(async |mut client| {
        let request = ResetWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: execution(&id),
            reason: "a bad release".into(),
            workflow_task_finish_event_id: 4,
            request_id: world.id(),
            ..Default::default()
        };
        client.reset_workflow_execution(request.into_request()).await.unwrap().into_inner().run_id
    });
    let timeline = traced(world.orders([]), &id);
    assert_eq!(timeline["run_id"], new.as_str());
    assert_eq!(
        (&timeline["previous_run_id"], &timeline["reset_from_run_id"]),
        (&old.into(), &old.into())
    );
    let mut earlier = world.orders(["trace", &id, "--run-id", old, "--output", "json"]);
    earlier.env("NO_COLOR", "1");
    let earlier: Value = serde_json::from_str(&run(earlier).success()[0]).unwrap();
    assert_eq!(earlier["reset_to_run_id"], new.as_str());
    assert_eq!(earlier["next_run_id"], new.as_str());
    let text = printed(world.orders([]), &id);
    assert!(text.contains(&format!("\nprevious run: --run-id {old}, which was reset")), "{text}");
}

#[test]
fn a_paused_activity_shows_who_paused_it_and_why() {
    let world = World::new();
    let _workflows = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "0"]));
    let mut starter = Process::start(world.fleet(["starter", "-n", "1"]));
    let id = server::the_workflow(&world.workflow_queue());
    let mut pending = Vec::new();
    eventually("its activity waits", || {
        pending = server::pending_activities(&id);
        !pending.is_empty()
    });
    server::ask(async |mut client| {
        let request = PauseActivityRequest {
            namespace: client.namespace(),
            execution: execution(&id),
            identity: "ops@desk".into(),
            reason: "maintenance".into(),
            activity: Some(Activity::Id(pending[0].activity_id.clone())),
            ..Default::default()
        };
        client.pause_activity(request.into_request()).await.unwrap();
    });
    let timeline = traced(world.fleet([]), &id);
    let activity = rows(&timeline, "activity")[0];
    assert_eq!(activity["status"], "paused");
    assert_eq!(activity["pause"]["by"], "ops@desk");
    assert_eq!(activity["pause"]["reason"], "maintenance");
    assert!(activity["pause"]["since"].is_string(), "{activity}");
    let wait = timeline["waits_for"][0]["text"].as_str().unwrap();
    assert!(wait.ends_with(" ago by ops@desk: maintenance"), "{wait}");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn the_servers_clock_is_read_for_an_open_run_and_for_status() {
    let world = World::new();
    let _up = Process::start_ready(world.orders(["up", "-w", "1"]));
    let (_starter, id) = held_order(&world);
    let timeline = traced(world.orders([]), &id);
    let status = run(world.orders(["status", "--output", "json"])).success();
    let status: Value = serde_json::from_str(&status[0]).unwrap();
    for document in [&timeline, &status] {
        // The server runs on this machine.
        let skew = document["clock_skew_ms"].as_f64().unwrap();
        assert!(skew.abs() < 1000.0, "{document}");
    }
    assert!(!printed(world.orders([]), &id).contains("this machine's clock"));
}
