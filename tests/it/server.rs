//! The dev server that the tests share, and questions to it.

use std::{collections::BTreeSet, ffi::OsStr, future::Future, sync::OnceLock, time::Duration};

use rustix::process::Signal;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, NamespacedClient, UntypedWorkflow, Url,
    WorkflowFetchHistoryOptions, WorkflowStartOptions,
    grpc::WorkflowService,
    tonic::{IntoRequest, Request},
};
use temporalio_common::{
    data_converters::RawValue,
    protos::temporal::api::{
        common::v1::{Payload, WorkflowExecution},
        enums::v1::{EventType, PendingActivityState},
        history::v1::{HistoryEvent, history_event::Attributes},
        workflow::v1::PendingActivityInfo,
        workflowservice::v1::{
            CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest,
            GetWorkflowExecutionHistoryRequest, ListWorkflowExecutionsRequest,
            RequestCancelWorkflowExecutionRequest, SetWorkerDeploymentCurrentVersionRequest,
            SignalWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
        },
    },
};

use crate::support::{FLEET, Process, children_of, eventually, kill, program};

static SERVER: OnceLock<(Process, String)> = OnceLock::new();

/// The address of this run's dev server, obtained as a user's is: by `fleet up --dev-server`.
///
/// It runs under `fleet guard`, which ends it when this process ends and with it the pipe.
pub(crate) fn address() -> &'static str {
    let (_, address) = SERVER.get_or_init(|| {
        let mut command = program(FLEET);
        command.args(["guard", "--", FLEET, "up", "--dev-server", "--port", "0", "--ui-port", "0"]);
        command.args(["-w", "0", "-a", "0"]);
        let server = Process::start(command);
        let line = server.err.wait_for("export TEMPORAL_ADDRESS=");
        let address = line.split_once('=').unwrap().1.to_owned();
        (server, address)
    });
    address
}

/// A dev server of a test's own, to be stopped, killed and restarted.
pub(crate) struct OwnServer {
    pub(crate) up: Process,
    pub(crate) address: String,
    /// The process of Temporal itself.
    pub(crate) temporal: u32,
    /// The CLI that it runs.
    pub(crate) cli: String,
}

impl OwnServer {
    /// On this port; "0" is any that is free. `more` are further arguments of `fleet up`.
    pub(crate) fn start(port: &str, more: &[&OsStr]) -> Self {
        let mut command = program(FLEET);
        command.args([
            "up",
            "--dev-server",
            "--port",
            port,
            "--ui-port",
            "0",
            "-w",
            "0",
            "-a",
            "0",
        ]);
        command.args(more);
        let up = Process::start(command);
        let line = up.err.wait_for("export TEMPORAL_ADDRESS=");
        let guard = children_of(up.pid())[0].0;
        let (temporal, command_line) = children_of(guard).remove(0);
        let cli = command_line.split(['\0', ' ']).next().unwrap().to_owned();
        Self { address: line.split_once('=').unwrap().1.to_owned(), temporal, cli, up }
    }

    /// Signals the server itself.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.temporal, signal);
    }
}

/// Asks the server something.
pub(crate) fn ask<F: Future>(question: impl FnOnce(Client) -> F) -> F::Output {
    ask_at(address(), question)
}

/// Asks the server at `address` something.
pub(crate) fn ask_at<F: Future>(address: &str, question: impl FnOnce(Client) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url: Url = format!("http://{address}").parse().unwrap();
        let connection = Connection::connect(ConnectionOptions::new(url).build()).await.unwrap();
        question(Client::new(connection, ClientOptions::new("default").build()).unwrap()).await
    })
}

/// A workflow's history.
pub(crate) fn history(workflow_id: &str) -> Vec<HistoryEvent> {
    history_at(address(), workflow_id)
}

/// The history of a workflow of the server at `address`.
pub(crate) fn history_at(address: &str, workflow_id: &str) -> Vec<HistoryEvent> {
    ask_at(address, async |client| {
        client
            .get_workflow_handle::<UntypedWorkflow>(workflow_id)
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .into_events()
            .await
            .unwrap()
    })
}

/// The histories of all workflows on a queue.
pub(crate) fn histories(queue: &str) -> Vec<Vec<HistoryEvent>> {
    let ids = workflow_ids(queue);
    ask(async |client| {
        let mut histories = Vec::new();
        for id in ids {
            let workflow = client.get_workflow_handle::<UntypedWorkflow>(id);
            let history = workflow.fetch_history(WorkflowFetchHistoryOptions::default());
            histories.push(history.into_events().await.unwrap());
        }
        histories
    })
}

/// The history as JSON, the form in which people keep recorded histories.
pub(crate) fn history_json(workflow_id: &str) -> Vec<u8> {
    ask(async |client| {
        client
            .get_workflow_handle::<UntypedWorkflow>(workflow_id)
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .to_json()
            .await
            .unwrap()
    })
}

/// The identities that completed workflow tasks of a history, in order.
pub(crate) fn workflow_task_workers(history: &[HistoryEvent]) -> Vec<String> {
    history
        .iter()
        .filter_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowTaskCompletedEventAttributes(completed) => {
                Some(completed.identity.clone())
            }
            _ => None,
        })
        .collect()
}

/// The identity and attempt of each activity that a history shows as started, in order.
pub(crate) fn activity_attempts(history: &[HistoryEvent]) -> Vec<(String, i32)> {
    history
        .iter()
        .filter_map(|event| match event.attributes.as_ref()? {
            Attributes::ActivityTaskStartedEventAttributes(started) => {
                Some((started.identity.clone(), started.attempt))
            }
            _ => None,
        })
        .collect()
}

/// How many events of a type a history has.
pub(crate) fn count_events(history: &[HistoryEvent], of: EventType) -> usize {
    history.iter().filter(|event| event.event_type() == of).count()
}

/// The queues on which a history schedules activities.
pub(crate) fn activity_queues(history: &[HistoryEvent]) -> BTreeSet<String> {
    history
        .iter()
        .filter_map(|event| match event.attributes.as_ref()? {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                Some(scheduled.task_queue.clone()?.name)
            }
            _ => None,
        })
        .collect()
}

/// The ids of the workflows on a queue.
pub(crate) fn workflow_ids(queue: &str) -> Vec<String> {
    let query = format!("TaskQueue = '{queue}'");
    ask(async |client| {
        let request = ListWorkflowExecutionsRequest {
            namespace: client.namespace(),
            query,
            page_size: 1000,
            ..Default::default()
        };
        let mut client = client;
        let response = client.list_workflow_executions(Request::new(request)).await.unwrap();
        let executions = response.into_inner().executions.into_iter();
        executions.map(|info| info.execution.unwrap().workflow_id).collect()
    })
}

/// The id of the first workflow that is listed of a queue, once there is one.
#[track_caller]
pub(crate) fn the_workflow(queue: &str) -> String {
    let mut ids = Vec::new();
    eventually("the workflow is listed", || {
        ids = workflow_ids(queue);
        !ids.is_empty()
    });
    ids.remove(0)
}

/// How many workflows on a queue match a visibility query, as `ExecutionStatus = 'Completed'`.
pub(crate) fn count(queue: &str, query: &str) -> i64 {
    let query = format!("TaskQueue = '{queue}' AND {query}");
    ask(async |client| {
        let request = CountWorkflowExecutionsRequest { namespace: client.namespace(), query };
        let mut client = client;
        let response = client.count_workflow_executions(request.into_request()).await.unwrap();
        response.into_inner().count
    })
}

/// The activities of a workflow that are scheduled or running.
pub(crate) fn pending_activities(workflow_id: &str) -> Vec<PendingActivityInfo> {
    ask(async |client| {
        let request = DescribeWorkflowExecutionRequest {
            namespace: client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                ..Default::default()
            }),
        };
        let mut client = client;
        let response = client.describe_workflow_execution(request.into_request()).await.unwrap();
        response.into_inner().pending_activities
    })
}

/// Makes a build the current one of a worker deployment, as Temporal's worker controller does. The
/// server knows a build some time after its first poll.
pub(crate) fn make_current(deployment: &str, build_id: &str) {
    eventually(&format!("the server knows build {build_id}"), || {
        ask(async |client| {
            let request = SetWorkerDeploymentCurrentVersionRequest {
                namespace: client.namespace(),
                deployment_name: deployment.to_owned(),
                build_id: build_id.to_owned(),
                ..Default::default()
            };
            let mut client = client;
            client.set_worker_deployment_current_version(request.into_request()).await.is_ok()
        })
    });
}

/// Waits until an order on the queue is being packed, and returns the workflow's id and who packs.
pub(crate) fn packing(queue: &str) -> (String, String) {
    let mut found = None;
    eventually("an order is being packed", || {
        let packer = |id: &String| {
            pending_activities(id).into_iter().find(|it| {
                let packs = it.activity_type.as_ref().is_some_and(|it| it.name.contains("pack"));
                packs && it.state() == PendingActivityState::Started
            })
        };
        found = workflow_ids(queue)
            .into_iter()
            .find_map(|id| packer(&id).map(|it| (id, it.last_worker_identity)));
        found.is_some()
    });
    found.unwrap()
}

/// Sends a signal without arguments.
pub(crate) fn signal(workflow_id: &str, name: &str) {
    signal_often(workflow_id, name, 1);
}

/// Sends a signal so often.
pub(crate) fn signal_often(workflow_id: &str, name: &str, times: usize) {
    ask(async |mut client| {
        for _ in 0..times {
            let request = SignalWorkflowExecutionRequest {
                namespace: client.namespace(),
                workflow_execution: Some(latest_run(workflow_id)),
                signal_name: name.to_owned(),
                ..Default::default()
            };
            client.signal_workflow_execution(request.into_request()).await.unwrap();
        }
    });
}

/// Ends a workflow, as somebody who gives a reason.
pub(crate) fn terminate(workflow_id: &str, reason: &str) {
    ask(async |mut client| {
        let request = TerminateWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: Some(latest_run(workflow_id)),
            reason: reason.to_owned(),
            ..Default::default()
        };
        client.terminate_workflow_execution(request.into_request()).await.unwrap();
    });
}

/// Asks a workflow to cancel itself, as somebody who gives a reason.
pub(crate) fn cancel(workflow_id: &str, reason: &str) {
    ask(async |mut client| {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: Some(latest_run(workflow_id)),
            reason: reason.to_owned(),
            ..Default::default()
        };
        client.request_cancel_workflow_execution(request.into_request()).await.unwrap();
    });
}

/// Starts a workflow that times out after two seconds.
pub(crate) fn start_with_run_timeout(workflow_id: &str, of_type: &str, queue: &str, input: &str) {
    ask(async |client| {
        let payload = Payload {
            metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
            data: input.as_bytes().to_vec(),
            ..Default::default()
        };
        let options = WorkflowStartOptions::new(queue, workflow_id)
            .run_timeout(Duration::from_secs(2))
            .build();
        let workflow = UntypedWorkflow::new(of_type);
        client.start_workflow(workflow, RawValue::new(vec![payload]), options).await.unwrap();
    });
}

/// How many timers of a workflow run.
pub(crate) fn pending_timers(workflow_id: &str) -> usize {
    ask(async |mut client| {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: client.namespace(),
            execution: Some(latest_run(workflow_id)),
            ..Default::default()
        };
        // Not started yet: it has none.
        let answer = client.get_workflow_execution_history(request.into_request()).await;
        let events = answer
            .map_or_else(|_| Vec::new(), |it| it.into_inner().history.unwrap_or_default().events);
        count_events(&events, EventType::TimerStarted)
            - count_events(&events, EventType::TimerFired)
    })
}

fn latest_run(workflow_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.to_owned(), ..Default::default() }
}

/// The process id at the end of an identity `<role>@<host>:<pid>`.
pub(crate) fn pid_of(identity: &str) -> u32 {
    identity.rsplit(':').next().unwrap().parse().unwrap()
}
