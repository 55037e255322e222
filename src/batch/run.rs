//! Runs a batch: starts its workflows and waits for their ends.

use std::{
    collections::BTreeSet,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use backon::Retryable;
use futures::{Stream, StreamExt, stream};
use temporalio_client::{
    Client, NamespacedClient, UntypedWorkflow, WorkflowExecutionInfo, WorkflowGetResultOptions,
    WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
    errors::{WorkflowGetResultError, WorkflowStartError},
    tonic::Code,
};
use temporalio_common::{data_converters::RawValue, protos::temporal::api::common::v1::Payload};
use tokio::time::timeout;

use super::{
    outcome::{Outcome, WorkflowFailure},
    spec::{Batch, BatchName},
};
use crate::{
    error::{CommandError, Error, chain},
    telemetry::Traces,
    temporal::{
        history::{Definition, History, PAGE_EVENTS},
        payload,
        retry::{CallFailure, RetryingClient, pauses},
        target::Target,
    },
};

/// How long to repeat a start request that is answered with "not found". A new namespace can be described
/// at once, but the server's caches learn of it only some seconds later (10 s by default). Until then, the
/// server gives this answer.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the first request for a result waits. Each further request waits twice as long. When a
/// workflow ends, the server sometimes does not answer a request that is waiting for it until its own limit
/// of 20 seconds is over (docs/sdk.md), but it answers a new request at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The server answers within this time in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A batch that is being run.
pub(crate) struct BatchRun {
    batch: Batch,
    server: RetryingClient,
    /// The numbers of the workflows that were started, or are being started, and whose outcome was not
    /// returned yet.
    running: Mutex<BTreeSet<usize>>,
    traces: Option<Traces>,
}

/// The run that a start request started or found.
struct StartedRun {
    run_id: String,
    /// Whether the workflow had ended already, because an earlier starter started it.
    is_closed: bool,
}

impl BatchRun {
    pub(crate) fn new(
        batch: Batch,
        client: Client,
        target: Target,
        traces: Option<Traces>,
    ) -> Self {
        let server = RetryingClient::new(client, target);
        Self { batch, server, running: Mutex::default(), traces }
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The ids of the workflows that may be running: a start was requested, and no outcome is known.
    pub(crate) fn running_ids(&self) -> Vec<String> {
        self.running().iter().map(|index| self.batch.workflow_id(*index)).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the workflows and yields the outcome of each as it ends, or an error that makes it pointless
    /// to continue. When the stream is dropped, workflows that were started keep running at the server.
    ///
    /// If the batch may have been begun before, its first workflow is started alone. It shows whether
    /// the batch was begun with the same definition, before anything else is started.
    pub(crate) fn outcomes(&self) -> impl Stream<Item = Result<Outcome, CommandError>> + '_ {
        stream::once(self.start_first()).flat_map(move |first| match first {
            Err(error) => stream::once(ready(Err(error))).left_stream(),
            Ok(first_start) => stream::iter(0..self.batch.count)
                .map(move |index| {
                    let start_time = first_start.filter(|_| index == 0);
                    self.run_workflow(index, start_time.unwrap_or_else(Instant::now))
                })
                .buffer_unordered(self.batch.concurrency)
                .right_stream(),
        })
    }

    /// Starts the first workflow of a batch that may have been begun before. Returns the time just before
    /// its start request; `None` if the batch is new.
    ///
    /// # Errors
    /// [`CommandError::BatchMismatch`] if the batch was begun with another definition.
    async fn start_first(&self) -> Result<Option<Instant>, CommandError> {
        if let BatchName::Random(_) = self.batch.name {
            return Ok(None);
        }
        let start_time = Instant::now();
        self.running().insert(0);
        let StartedRun { run_id, .. } = self.start(0).await?;
        self.compare_with_server(0, &run_id).await?;
        Ok(Some(start_time))
    }

    /// Starts a workflow, waits for its end and reads from its history which workers ran it.
    async fn run_workflow(
        &self,
        index: usize,
        start_time: Instant,
    ) -> Result<Outcome, CommandError> {
        let workflow_id = self.batch.workflow_id(index);
        self.running().insert(index);
        let StartedRun { run_id, is_closed } = self.start(index).await?;
        let end = self.result(&workflow_id, &run_id).await?;
        let latency = start_time.elapsed();

        // The history only adds to the outcome, so failing to read it is no failure of the batch.
        let client = self.server.client();
        let history = History::read(client, &workflow_id, &run_id, PAGE_EVENTS).await.ok();
        let mut is_from_earlier_starter = is_closed;
        if let Some((definition, starter)) = history.as_ref().and_then(History::started) {
            is_from_earlier_starter |= starter != client.identity();
            match history.as_ref().and_then(History::earlier_run) {
                None => self.refuse_if_different(index, &definition)?,
                // The input of this run is the one that the workflow continued as new with.
                Some(_) => self.compare_with_server(index, &run_id).await?,
            }
        }
        let end = match end {
            Ok(first) => Ok(self.whole_result(&workflow_id, first, history.as_ref()).await),
            Err(failure) => {
                let reason = history.as_ref().and_then(History::reason);
                Err(failure.with_reason(reason))
            }
        };
        self.running().remove(&index);
        Ok(Outcome {
            index,
            workflow_id,
            end,
            latency: (!is_from_earlier_starter).then_some(latency),
            workers: history.as_ref().map(History::workers).unwrap_or_default(),
        })
    }

    /// Starts a workflow of a new batch and waits for its end, without reading its history. Returns the id
    /// of its run, and the failure if it did not complete.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`] or [`Error::Rpc`] of the server.
    pub(crate) async fn start_and_wait(
        &self,
        index: usize,
    ) -> Result<(String, Result<(), WorkflowFailure>), CommandError> {
        let StartedRun { run_id, .. } = self.start(index).await?;
        let end = self.result(&self.batch.workflow_id(index), &run_id).await?;
        Ok((run_id, end.map(drop)))
    }

    /// Starts a workflow, unless an earlier starter did. One span covers all attempts.
    async fn start(&self, index: usize) -> Result<StartedRun, CommandError> {
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
        let Definition { task_queue, input, .. } = &self.batch.definition;
        let input = RawValue::new(input.as_deref().map(payload::from_json).into_iter().collect());
        let options = WorkflowStartOptions::new(task_queue, self.batch.workflow_id(index))
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary(format!("batch {}, number {index}", self.batch.name.as_str()))
            .build();
        let deadline = Instant::now() + NAMESPACE_TIMEOUT;
        let start = || self.request_start(&input, &options);
        let started = start
            .retry(pauses().without_max_times())
            .when(|failure| {
                matches!(failure, CallFailure::Refused(status) if status.code() == Code::NotFound)
                    && Instant::now() < deadline
            })
            .await;
        Ok(started.map_err(|failure| self.server.error("start a workflow", failure))?)
    }

    async fn request_start(
        &self,
        input: &RawValue,
        options: &WorkflowStartOptions,
    ) -> Result<StartedRun, CallFailure> {
        let started = self.server.call(|| async {
            let workflow = UntypedWorkflow::new(&self.batch.definition.workflow_type);
            let client = self.server.client();
            match client.start_workflow(workflow, input.clone(), options.clone()).await {
                Ok(handle) => {
                    let run_id = handle.run_id().unwrap_or_default().to_owned();
                    Ok(Ok(StartedRun { run_id, is_closed: false }))
                }
                Err(WorkflowStartError::AlreadyStarted { run_id, .. }) => {
                    Ok(Ok(StartedRun { run_id: run_id.unwrap_or_default(), is_closed: true }))
                }
                Err(WorkflowStartError::Rpc(status)) => Err(status),
                Err(other) => Ok(Err(Error::Rpc {
                    what: "start a workflow",
                    cause: chain(&other),
                    code: Code::Internal,
                })),
            }
        });
        started.await?.map_err(CallFailure::Failed)
    }

    /// All values of a result of which the SDK returned the `first`. The SDK drops the others, and returns an
    /// empty payload for none. So they are read from the history: that of the run if it contains the
    /// end, else that of the latest run, if it ended with the same value.
    async fn whole_result(
        &self,
        workflow_id: &str,
        first: Payload,
        history: Option<&History>,
    ) -> Vec<Payload> {
        let mut result = history.and_then(History::result);
        if result.is_none() {
            let end = History::read_end(self.server.client(), workflow_id).await;
            result = end.ok().and_then(|end| end.result());
        }
        let is_same = |all: &Vec<Payload>| all.first().cloned().unwrap_or_default() == first;
        result.filter(is_same).unwrap_or_else(|| {
            let is_none = first == Payload::default();
            Some(first).filter(|_| !is_none).into_iter().collect()
        })
    }

    /// Waits for a workflow's end. Returns the first value of its result.
    async fn result(
        &self,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Result<Payload, WorkflowFailure>, CommandError> {
        let client = self.server.client();
        let info = WorkflowExecutionInfo::builder()
            .namespace(client.namespace())
            .workflow_id(workflow_id)
            .run_id(run_id)
            .build();
        let handle = WorkflowHandle::<_, UntypedWorkflow>::new(client.clone(), info);
        let ended = self.server.call(|| async {
            let mut wait = FIRST_WAIT;
            let answer = loop {
                let question = handle.get_result(WorkflowGetResultOptions::default());
                if let Ok(answer) = timeout(wait, question).await {
                    break answer;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            };
            match answer {
                Ok(value) => Ok(Ok(value.payloads.into_iter().next().unwrap_or_default())),
                Err(WorkflowGetResultError::Rpc(status)) => Err(status),
                Err(error) => Ok(Err(error.into())),
            }
        });
        Ok(ended
            .await
            .map_err(|failure| self.server.error("return a workflow's result", failure))?)
    }

    /// Compares the batch with the definition of one of its workflows, as the server has it.
    ///
    /// # Errors
    /// [`CommandError::BatchMismatch`] if the definitions differ.
    async fn compare_with_server(&self, index: usize, run_id: &str) -> Result<(), CommandError> {
        let mut history = self.first_event(index, run_id).await?;
        if let Some(first_run) = history.earlier_run() {
            history = self.first_event(index, first_run).await?;
        }
        match history.started() {
            Some((definition, _)) => self.refuse_if_different(index, &definition),
            None => Ok(()),
        }
    }

    async fn first_event(&self, index: usize, run_id: &str) -> Result<History, CommandError> {
        let (client, id) = (self.server.client(), &self.batch.workflow_id(index));
        let read = self.server.call(|| History::read(client, id, run_id, 1)).await;
        Ok(read.map_err(|failure| self.server.error("return a workflow's history", failure))?)
    }

    fn refuse_if_different(&self, index: usize, existing: &Definition) -> Result<(), CommandError> {
        match existing.difference(&self.batch.definition) {
            None => Ok(()),
            Some(difference) => Err(CommandError::BatchMismatch {
                batch: self.batch.name.as_str().to_owned(),
                workflow_id: self.batch.workflow_id(index),
                what: difference.part,
                was: difference.existing,
                asked: difference.requested,
            }),
        }
    }
}
