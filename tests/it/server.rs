//! The dev server that the tests share, and requests to it.

use std::{
    collections::BTreeSet, ffi::OsStr, future::Future, process::Command, sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
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

use crate::support::{FLEET, Process, children_of, eventually, free_port, kill, program};

static SERVER: OnceLock<(Process, String)> = OnceLock::new();

/// Returns the address of the tests' dev server, which `fleet up --dev-server` starts as it does for a
/// user.
///
/// The server runs under `fleet guard`. When this process ends, its pipe to the guard closes, and the
/// guard stops the server.
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

/// A dev server that only one test uses, which can stop, kill and restart it.
pub(crate) struct OwnServer {
    pub(crate) up: Process,
    pub(crate) address: String,
    /// The process id of the Temporal server itself.
    pub(crate) temporal: u32,
    /// The path of the Temporal CLI that runs the server.
    pub(crate) cli: String,
}

impl OwnServer {
    /// Starts a server on this port; "0" stands for any free port. `more` holds further arguments of
    /// `fleet up`.
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

/// A server with a database, which can be killed and started again on the same port.
pub(crate) struct StoredServer {
    running: OwnServer,
    port: String,
    folder: tempfile::TempDir,
}

impl StoredServer {
    pub(crate) fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().to_string());
        Self { running: Self::started(&port, &folder), port, folder }
    }

    fn started(port: &str, folder: &tempfile::TempDir) -> OwnServer {
        let file = folder.path().join("temporal.db");
        OwnServer::start(port, &["--db-filename".as_ref(), file.as_os_str()])
    }

    /// Has a command use this server.
    pub(crate) fn used_by(&self, mut command: Command) -> Command {
        command.env("TEMPORAL_ADDRESS", format!("127.0.0.1:{}", self.port));
        command
    }

    /// Kills the server, and before it `fleet up`, which would start it again.
    pub(crate) fn kill(&mut self) {
        let OwnServer { up, temporal, .. } = &mut self.running;
        up.signal(Signal::KILL);
        up.exit_code();
        // Its guard may have ended it already.
        let _ = kill_process(Pid::from_raw(temporal.cast_signed()).unwrap(), Signal::KILL);
    }

    pub(crate) fn start_again(&mut self) {
        self.running = Self::started(&self.port, &self.folder);
    }
}

/// Runs `question` with a client of the shared server.
pub(crate) fn ask<F: Future>(question: impl FnOnce(Client) -> F) -> F::Output {
    ask_at(address(), question)
}

/// Runs `question` with a client of the server at `address`.
pub(crate) fn ask_at<F: Future>(address: &str, question: impl FnOnce(Client) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url: Url = format!("http://{address}").parse().unwrap();
        let connection = Connection::connect(ConnectionOptions::new(url).build()).await.unwrap();
        question(Client::new(connection, ClientOptions::new("default").build()).unwrap()).await
    })
}

/// Returns a workflow's history.
pub(crate) fn history(workflow_id: &str) -> Vec<HistoryEvent> {
    history_at(address(), workflow_id)
}

/// Returns the history of a workflow on the server at `address`.
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

/// Returns the histories of all workflows on a task queue.
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

/// Returns the history as JSON, the form of recorded histories in files.
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

/// Returns the identities of the workers that completed a history's workflow tasks, in order.
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

/// Returns the worker's identity and the attempt of each activity that a history shows as started, in
/// order.
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

/// Counts the events of a type in a history.
pub(crate) fn count_events(history: &[HistoryEvent], of: EventType) -> usize {
    history.iter().filter(|event| event.event_type() == of).count()
}

/// Returns the task queues on which a history schedules activities.
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

/// Returns the ids of the workflows on a task queue.
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

/// Waits until the server lists a workflow on a task queue, and returns the id of the first one.
#[track_caller]
pub(crate) fn the_workflow(queue: &str) -> String {
    let mut ids = Vec::new();
    eventually("the workflow is listed", || {
        ids = workflow_ids(queue);
        !ids.is_empty()
    });
    ids.remove(0)
}

/// Counts the workflows on a task queue that match a visibility query, such as
/// `ExecutionStatus = 'Completed'`.
pub(crate) fn count(queue: &str, query: &str) -> i64 {
    let query = format!("TaskQueue = '{queue}' AND {query}");
    ask(async |client| {
        let request = CountWorkflowExecutionsRequest { namespace: client.namespace(), query };
        let mut client = client;
        let response = client.count_workflow_executions(request.into_request()).await.unwrap();
        response.into_inner().count
    })
}

/// Returns the activities of a workflow that are scheduled or running.
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

/// Makes a build the current one of a worker deployment, as Temporal's worker controller does. Waits
/// for the server, which registers a build some time after its first poll.
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

/// Waits until an order on the task queue is being packed, and returns the workflow's id and the
/// identity of the worker that packs it.
pub(crate) fn packing(queue: &str) -> (String, String) {
    let mut found = None;
    eventually("an order is being packed", || {
        let packer = |id: &String| {
            pending_activities(id).into_iter().find(|activity| {
                let packs =
                    activity.activity_type.as_ref().is_some_and(|kind| kind.name.contains("pack"));
                packs && activity.state() == PendingActivityState::Started
            })
        };
        found = workflow_ids(queue)
            .into_iter()
            .find_map(|id| packer(&id).map(|activity| (id, activity.last_worker_identity)));
        found.is_some()
    });
    found.unwrap()
}

/// Sends a workflow a signal without arguments.
pub(crate) fn signal(workflow_id: &str, name: &str) {
    signal_often(workflow_id, name, 1);
}

/// Sends a workflow the same signal `times` times.
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

/// Terminates a workflow and gives a reason.
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

/// Requests the cancellation of a workflow and gives a reason.
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

/// Starts a workflow whose run times out after two seconds.
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

/// Counts a workflow's timers that have not fired yet.
pub(crate) fn pending_timers(workflow_id: &str) -> usize {
    ask(async |mut client| {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: client.namespace(),
            execution: Some(latest_run(workflow_id)),
            ..Default::default()
        };
        // The workflow has not started yet, so it has no timers.
        let answer = client.get_workflow_execution_history(request.into_request()).await;
        let events = answer.map_or_else(
            |_| Vec::new(),
            |response| response.into_inner().history.unwrap_or_default().events,
        );
        count_events(&events, EventType::TimerStarted)
            - count_events(&events, EventType::TimerFired)
    })
}

fn latest_run(workflow_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: workflow_id.to_owned(), ..Default::default() }
}

/// Returns the process id at the end of a worker's identity, `<role>@<host>:<pid>`.
pub(crate) fn pid_of(identity: &str) -> u32 {
    identity.rsplit(':').next().unwrap().parse().unwrap()
}
