//! A worker of somebody else, and a workflow, of which everything is hostile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

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

use super::hostile;
use crate::server;

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
pub(super) struct Rogue {
    is_over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Rogue {
    pub(super) fn start(queue: &str) -> Self {
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
pub(super) fn start(workflow_id: &str, of_type: &str, queue: &str) {
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

pub(super) fn signal(workflow_id: &str) {
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
