//! Starts the workflows of a batch.

use std::{
    future::pending,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use backon::Retryable;
use temporalio_client::{
    NamespacedClient, UntypedWorkflow, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    errors::WorkflowStartError,
    grpc::WorkflowService,
    tonic::{Code, Status},
};
use temporalio_common::{
    data_converters::RawValue,
    protos::temporal::api::{
        common::v1::{Payloads, WorkflowType},
        enums::v1::{
            WorkflowIdConflictPolicy as ProtoConflictPolicy,
            WorkflowIdReusePolicy as ProtoReusePolicy,
        },
        taskqueue::v1::TaskQueue,
        workflowservice::v1::StartWorkflowExecutionRequest,
    },
};
use uuid::Uuid;

use super::{starts::Answer, workflows::Workflows};
use crate::{
    error::{CommandError, Error, chain},
    telemetry::Traces,
    temporal::{
        history::Definition,
        rate_limits::once,
        retry::{CallFailure, pauses},
    },
};

/// How long to repeat a start request that is answered with "not found". A new namespace can be described
/// at once, but the server's caches learn of it some seconds later (10 s by default), and until then it
/// answers so.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(20);

/// The run that a start request started or found.
#[derive(Clone)]
pub(super) struct StartedRun {
    pub(super) run_id: String,
    /// Whether the workflow existed already, because an earlier starter started it.
    pub(super) is_closed: bool,
}

impl Workflows {
    /// Starts a workflow, unless an earlier starter did. One span covers all attempts.
    pub(super) async fn start(&self, index: usize) -> Result<StartedRun, CommandError> {
        let start = self.start_untraced(index);
        match &self.traces {
            Some(traces) => {
                let (id, batch) = (self.batch.workflow_id(index), self.batch.name.as_str());
                traces.trace_start(&id, batch, start).await
            }
            None => start.await,
        }
    }

    async fn start_untraced(&self, index: usize) -> Result<StartedRun, CommandError> {
        let definition = self.batch.definition_of(index);
        let deadline = Instant::now() + NAMESPACE_TIMEOUT;
        let start = || self.server.call(|| self.request_start(index, &definition));
        let started = start
            .retry(pauses().without_max_times())
            .when(|failure| {
                matches!(failure, CallFailure::Refused(status) if status.code() == Code::NotFound)
                    && Instant::now() < deadline
            })
            .await;
        started.map_err(|failure| self.server.error("start a workflow", failure))?
    }

    /// Makes one request, and notes what its answer says about the workflow.
    async fn request_start(
        &self,
        index: usize,
        definition: &Definition,
    ) -> Result<Result<StartedRun, CommandError>, Status> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return pending().await;
        }
        self.starts.asked(index);
        let started = match self.batch.options.start_delay {
            None => self.start_with_sdk(index, definition).await,
            Some(delay) => self.start_with_delay(index, definition, delay).await,
        };
        let (answer, started) = match started {
            Ok(run_id) => (Answer::Started, Ok(Ok(StartedRun { run_id, is_closed: false }))),
            Err(WorkflowStartError::AlreadyStarted { run_id, .. }) => self.exists(index, run_id),
            Err(WorkflowStartError::Rpc(status)) if status.code() == Code::AlreadyExists => {
                self.exists(index, None)
            }
            Err(WorkflowStartError::Rpc(status)) => (Answer::of(&status), Err(status)),
            Err(other) => {
                let (what, cause) = ("start a workflow", chain(&other));
                let error = Error::Rpc { what, cause, code: Code::Internal };
                (Answer::Refused, Ok(Err(error.into())))
            }
        };
        self.starts.answered(index, answer);
        started
    }

    /// A workflow exists already: because an earlier starter started it, or a request of this one whose answer
    /// was lost.
    fn exists(
        &self,
        index: usize,
        run_id: Option<String>,
    ) -> (Answer, Result<Result<StartedRun, CommandError>, Status>) {
        let fails = self.batch.options.id_conflict_policy == WorkflowIdConflictPolicy::Fail;
        if fails && !self.starts.was_lost(index) {
            let workflow_id = self.batch.workflow_id(index);
            return (Answer::Refused, Ok(Err(CommandError::WorkflowExists { workflow_id })));
        }
        let run_id = run_id.unwrap_or_default();
        (Answer::Started, Ok(Ok(StartedRun { run_id, is_closed: true })))
    }

    async fn start_with_sdk(
        &self,
        index: usize,
        definition: &Definition,
    ) -> Result<String, WorkflowStartError> {
        let input = RawValue::new(definition.input.clone());
        let id = self.batch.workflow_id(index);
        let options = self.batch.options.for_sdk(&definition.task_queue, id, self.summary(index));
        let workflow = UntypedWorkflow::new(&definition.workflow_type);
        let handle = self.server.client().start_workflow(workflow, input, options).await?;
        Ok(handle.run_id().unwrap_or_default().to_owned())
    }

    /// Starts a workflow after a delay, for which the SDK's options have no field.
    async fn start_with_delay(
        &self,
        index: usize,
        definition: &Definition,
        delay: Duration,
    ) -> Result<String, WorkflowStartError> {
        let (options, mut client) = (&self.batch.options, self.server.client().clone());
        let proto = |time: Option<Duration>| time.and_then(|time| time.try_into().ok());
        let input = definition.input.clone();
        let request = StartWorkflowExecutionRequest {
            namespace: client.namespace(),
            identity: client.identity(),
            request_id: Uuid::new_v4().to_string(),
            workflow_id: self.batch.workflow_id(index),
            workflow_type: Some(WorkflowType { name: definition.workflow_type.clone() }),
            task_queue: Some(TaskQueue {
                name: definition.task_queue.clone(),
                ..Default::default()
            }),
            input: (!input.is_empty()).then_some(Payloads { payloads: input }),
            workflow_start_delay: proto(Some(delay)),
            workflow_execution_timeout: proto(options.execution_timeout),
            workflow_run_timeout: proto(options.run_timeout),
            workflow_task_timeout: proto(options.task_timeout),
            workflow_id_reuse_policy: reuse_policy(options.id_reuse_policy).into(),
            workflow_id_conflict_policy: conflict_policy(options.id_conflict_policy).into(),
            retry_policy: options.retry_policy.clone().map(Into::into),
            priority: Some(options.priority.clone().into()),
            memo: options.proto_memo(),
            search_attributes: Some(options.proto_search_attributes()),
            user_metadata: Some(options.user_metadata(&self.summary(index))),
            header: self.traces.as_ref().and_then(Traces::current_header),
            ..Default::default()
        };
        let response = client.start_workflow_execution(once(request)).await;
        Ok(response.map_err(WorkflowStartError::Rpc)?.into_inner().run_id)
    }

    fn summary(&self, index: usize) -> String {
        format!("batch {}, number {index}", self.batch.name.as_str())
    }
}

fn reuse_policy(policy: WorkflowIdReusePolicy) -> ProtoReusePolicy {
    policy.into()
}

fn conflict_policy(policy: WorkflowIdConflictPolicy) -> ProtoConflictPolicy {
    policy.into()
}
