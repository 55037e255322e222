//! Values, failures and names of every SDK, as its users meet them. The tests themselves are the worker: they
//! answer tasks with what an SDK in another language may answer.

mod failures;
mod names;
mod results;

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    command::v1::{Command as WorkflowCommand, command::Attributes},
    common::v1::{Payload, Payloads},
    enums::v1::CommandType,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest,
        RespondActivityTaskFailedRequest, RespondWorkflowTaskCompletedRequest,
        RespondWorkflowTaskFailedRequest,
    },
};

use crate::server;

const WORKER: &str = "1@another-sdk";

/// What a worker makes of a workflow task.
enum Answer {
    Commands(Vec<WorkflowCommand>),
    Failed(Box<Failure>),
}

/// Answers so many workflow tasks of a queue. `answer` gets the workflow's id.
fn answer_workflow_tasks(queue: &str, tasks: usize, mut answer: impl FnMut(&str) -> Answer) {
    server::ask(async |mut client| {
        let mut answered = 0;
        while answered < tasks {
            let request = PollWorkflowTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(task_queue(queue)),
                identity: WORKER.to_owned(),
                ..Default::default()
            };
            let task = client.poll_workflow_task_queue(request.into_request()).await.unwrap();
            let task = task.into_inner();
            let Some(execution) = task.workflow_execution else { continue };
            respond(&mut client, task.task_token, answer(&execution.workflow_id)).await;
            answered += 1;
        }
    });
}

async fn respond(client: &mut Client, task_token: Vec<u8>, answer: Answer) {
    let (namespace, identity) = (client.namespace(), WORKER.to_owned());
    match answer {
        Answer::Commands(commands) => {
            let request = RespondWorkflowTaskCompletedRequest {
                namespace,
                identity,
                task_token,
                commands,
                ..Default::default()
            };
            client.respond_workflow_task_completed(request.into_request()).await.unwrap();
        }
        Answer::Failed(failure) => {
            let request = RespondWorkflowTaskFailedRequest {
                namespace,
                identity,
                task_token,
                failure: Some(*failure),
                ..Default::default()
            };
            client.respond_workflow_task_failed(request.into_request()).await.unwrap();
        }
    }
}

/// Takes the next activity task of a queue and fails it.
fn fail_activity(queue: &str, failure: Failure) {
    server::ask(async |mut client| {
        let task_token = loop {
            let request = PollActivityTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(task_queue(queue)),
                identity: WORKER.to_owned(),
                ..Default::default()
            };
            let task = client.poll_activity_task_queue(request.into_request()).await.unwrap();
            let token = task.into_inner().task_token;
            if !token.is_empty() {
                break token;
            }
        };
        let request = RespondActivityTaskFailedRequest {
            namespace: client.namespace(),
            task_token,
            failure: Some(failure),
            identity: WORKER.to_owned(),
            ..Default::default()
        };
        client.respond_activity_task_failed(request.into_request()).await.unwrap();
    });
}

fn task_queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.to_owned(), ..Default::default() }
}

fn command(of_type: CommandType, attributes: Attributes) -> WorkflowCommand {
    WorkflowCommand {
        command_type: of_type.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}

fn payload(encoding: Option<&[u8]>, data: &[u8]) -> Payload {
    let encoding = encoding.map(|encoding| ("encoding".to_owned(), encoding.to_vec()));
    Payload { metadata: encoding.into_iter().collect(), data: data.to_vec(), ..Default::default() }
}

fn application(of_type: &str, message: &str, details: Vec<Payload>, stack_trace: &str) -> Failure {
    let info = ApplicationFailureInfo {
        r#type: of_type.to_owned(),
        details: Some(Payloads { payloads: details }),
        ..Default::default()
    };
    Failure {
        message: message.to_owned(),
        stack_trace: stack_trace.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Default::default()
    }
}

/// The failure, caused by `cause`.
fn caused_by(failure: Failure, cause: Failure) -> Failure {
    Failure { cause: Some(Box::new(cause)), ..failure }
}
