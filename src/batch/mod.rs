//! A batch of workflows: started with bounded concurrency, awaited, each outcome told as it comes.
//!
//! A batch has a name, and the ids of its workflows follow from that. So a starter that died can be
//! run again: what it had started is found at the server, running or done, and not started twice.

pub(crate) mod report;

use std::{
    collections::BTreeSet,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use temporalio_client::{
    Client, NamespacedClient, UntypedWorkflow, WorkflowExecutionInfo, WorkflowGetResultOptions,
    WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
    errors::{WorkflowGetResultError, WorkflowStartError},
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::{
    data_converters::RawValue,
    protos::temporal::api::{common::v1::Payload, workflowservice::v1::GetSystemInfoRequest},
};
use tokio::time::{sleep, timeout};
use tracing::warn;
use uuid::Uuid;

use crate::{
    error::{Error, chain},
    telemetry::Traces,
    temporal::{
        connection::{TRY_TIMEOUT, Target, describe},
        history::{self, Definition, History, PAGE, Workers},
        payload,
    },
};

/// A namespace that was created a moment ago can be described at once, but the server's caches
/// know it some seconds later (10 s by default); until then a start is answered with "not found".
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries of ours. The SDK itself tries each call for ten seconds.
const PAUSE: Duration = Duration::from_millis(500);
/// A call that fails after so long was a long poll, which others (proxies, say) may have cut off.
const LONG_POLL: Duration = Duration::from_secs(15);
/// How long the first question for a result waits for it; each further one waits for twice as long. The
/// server now and then forgets to answer one when the workflow ends, until its own 20 seconds are over
/// (docs/sdk.md), and answers a new one at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// By then the server answers in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So often in a row a call may fail at a server that answers others.
const MOST_FAILURES: u32 = 10;

/// The root of the ids: with a batch's name and a workflow's number it gives that workflow's UUID.
/// Changed, it would have every batch run again.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c1f_5a0e_3d94_4f0b_9c52_7d1e_a8b4_60f3);

/// What to start, and how many of it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) name: BatchName,
    pub(crate) definition: Definition,
    /// Each id is this, a dash and a UUID.
    pub(crate) id_prefix: String,
    pub(crate) count: usize,
    /// Workflows under way at a time.
    pub(crate) concurrency: usize,
}

/// A batch's name, and whether there may already be something of it.
#[derive(Clone, Debug)]
pub(crate) enum BatchName {
    /// Somebody named it: it may have been begun before.
    Given(String),
    /// Nobody else has it.
    Random(String),
}

impl BatchName {
    /// A new name, short enough to type. With 48 random bits two of ten thousand batches are the
    /// same with a probability of 1 in 5 million.
    pub(crate) fn random() -> Self {
        let uuid = Uuid::new_v4().simple().to_string();
        Self::Random(uuid[..12].to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Given(name) | Self::Random(name) => name,
        }
    }
}

/// How one workflow of a batch ended.
pub(crate) struct Outcome {
    pub(crate) index: usize,
    pub(crate) workflow_id: String,
    /// The result, if it has one.
    pub(crate) end: Result<Option<Payload>, Failure>,
    /// From just before the start request to the result; `None` where an earlier starter started it.
    pub(crate) latency: Option<Duration>,
    pub(crate) workers: Workers,
}

/// Why a workflow has no result.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `failed`, `cancelled`, `terminated`, `timed out`; `lost` where the server does not know the
    /// workflow any more, `unknown` where its answer cannot be read.
    pub(crate) status: &'static str,
    /// The whole cause, as far as there is one, on one line.
    pub(crate) cause: String,
}

impl Batch {
    /// The id of a workflow of the batch.
    pub(crate) fn workflow_id(&self, index: usize) -> String {
        let name = format!("{}/{index}", self.name.as_str());
        format!("{}-{}", self.id_prefix, Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

/// A batch being run.
pub(crate) struct BatchRun {
    batch: Batch,
    client: Client,
    target: Target,
    /// Started, or being started, and not reported as ended.
    running: Mutex<BTreeSet<usize>>,
    /// Held by who asks whether the server is there.
    asking: tokio::sync::Mutex<()>,
    traces: Option<Traces>,
}

/// What a start request left at the server.
struct Started {
    run_id: String,
    /// It had ended already: an earlier starter had it run.
    ended: bool,
}

impl BatchRun {
    pub(crate) fn new(
        batch: Batch,
        client: Client,
        target: Target,
        traces: Option<Traces>,
    ) -> Self {
        let (running, asking) = Default::default();
        Self { batch, client, target, running, asking, traces }
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The ids of those that were started, as far as that is known, and are not known to have ended.
    pub(crate) fn running_ids(&self) -> Vec<String> {
        self.running().iter().map(|index| self.batch.workflow_id(*index)).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the workflows and yields each one's outcome as it completes, or what makes it pointless
    /// to go on. Dropping the stream leaves those that were started running at the server.
    ///
    /// The first of a batch that may have been begun before is started alone: it tells whether that
    /// was done in the same way, before anything else is touched.
    pub(crate) fn outcomes(&self) -> impl Stream<Item = Result<Outcome, Error>> + '_ {
        stream::once(self.open()).flat_map(move |opened| match opened {
            Err(error) => stream::once(ready(Err(error))).left_stream(),
            Ok(begun) => stream::iter(0..self.batch.count)
                .map(move |index| self.one(index, begun.filter(|_| index == 0)))
                .buffer_unordered(self.batch.concurrency)
                .right_stream(),
        })
    }

    /// Starts the first workflow of a batch that may have been begun before, and returns since when.
    ///
    /// # Errors
    /// [`Error::BatchMismatch`] if it was, in another way.
    async fn open(&self) -> Result<Option<Instant>, Error> {
        if let BatchName::Random(_) = self.batch.name {
            return Ok(None);
        }
        let begun = Instant::now();
        self.running().insert(0);
        let Started { run_id, .. } = self.start(0).await?;
        self.compare(0, &run_id).await?;
        Ok(Some(begun))
    }

    /// Starts a workflow, waits for its end and looks who worked on it.
    async fn one(&self, index: usize, begun: Option<Instant>) -> Result<Outcome, Error> {
        let workflow_id = self.batch.workflow_id(index);
        let begun = begun.unwrap_or_else(Instant::now);
        self.running().insert(index);
        let Started { run_id, ended: mut earlier } = self.start(index).await?;
        let end = self.result(&workflow_id, &run_id).await?;
        let latency = begun.elapsed();

        // Who worked on it is good to know, and no reason to fail.
        let history = History::read(&self.client, &workflow_id, &run_id, PAGE).await.ok();
        if let Some((was, starter)) = history.as_ref().and_then(History::started) {
            earlier |= starter != self.client.identity();
            match history.as_ref().and_then(History::earlier_run) {
                None => self.refuse_if_different(index, &was)?,
                // This run's input is what the workflow continued with.
                Some(_) => self.compare(index, &run_id).await?,
            }
        }
        let end =
            end.map_err(|failure| failure.with_reason(history.as_ref().and_then(History::reason)));
        self.running().remove(&index);
        Ok(Outcome {
            index,
            workflow_id,
            end,
            latency: (!earlier).then_some(latency),
            workers: history.as_ref().map(History::workers).unwrap_or_default(),
        })
    }

    /// Starts a workflow of a batch that nobody has begun and waits for its end: the id of its run, and
    /// the failure if that is how it ended. Whose work it was is not looked up.
    pub(crate) async fn one_of_new(
        &self,
        index: usize,
    ) -> Result<(String, Result<(), Failure>), Error> {
        let Started { run_id, .. } = self.start(index).await?;
        let end = self.result(&self.batch.workflow_id(index), &run_id).await?;
        Ok((run_id, end.map(drop)))
    }

    /// Starts a workflow, unless an earlier starter has: all tries in one span.
    async fn start(&self, index: usize) -> Result<Started, Error> {
        let start = self.try_start(index);
        match &self.traces {
            Some(traces) => {
                let (id, batch) = (self.batch.workflow_id(index), self.batch.name.as_str());
                traces.trace_start(&id, batch, start).await
            }
            None => start.await,
        }
    }

    async fn try_start(&self, index: usize) -> Result<Started, Error> {
        let Definition { workflow_type, task_queue, input } = &self.batch.definition;
        let input = RawValue::new(input.as_deref().map(payload::from_json).into_iter().collect());
        let options = WorkflowStartOptions::new(task_queue, self.batch.workflow_id(index))
            .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .static_summary(format!("batch {}, number {index}", self.batch.name.as_str()))
            .build();
        let namespace_is_new_until = Instant::now() + NAMESPACE_PATIENCE;
        loop {
            let started = self.insist(|| async {
                let workflow = UntypedWorkflow::new(workflow_type);
                match self.client.start_workflow(workflow, input.clone(), options.clone()).await {
                    Ok(handle) => {
                        let run_id = handle.run_id().unwrap_or_default().to_owned();
                        Ok(Ok(Started { run_id, ended: false }))
                    }
                    Err(WorkflowStartError::AlreadyStarted { run_id, .. }) => {
                        Ok(Ok(Started { run_id: run_id.unwrap_or_default(), ended: true }))
                    }
                    Err(WorkflowStartError::Rpc(status)) => Err(status),
                    Err(other) => {
                        Ok(Err(Error::Rpc { what: "start a workflow", cause: chain(&other) }))
                    }
                }
            });
            match started.await? {
                Ok(started) => return started,
                Err(status)
                    if status.code() == Code::NotFound
                        && Instant::now() < namespace_is_new_until =>
                {
                    sleep(PAUSE).await;
                }
                Err(status) => return Err(self.target.refusal("start a workflow", &status)),
            }
        }
    }

    /// Waits for a workflow's end.
    async fn result(
        &self,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Result<Option<Payload>, Failure>, Error> {
        let info = WorkflowExecutionInfo::builder()
            .namespace(self.client.namespace())
            .workflow_id(workflow_id)
            .run_id(run_id)
            .build();
        let handle = WorkflowHandle::<_, UntypedWorkflow>::new(self.client.clone(), info);
        let ended = self.insist(|| async {
            let mut wait = FIRST_WAIT;
            let answer = loop {
                let question = handle.get_result(WorkflowGetResultOptions::default());
                if let Ok(answer) = timeout(wait, question).await {
                    break answer;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            };
            match answer {
                Ok(value) => Ok(Ok(value.payloads.into_iter().next())),
                Err(WorkflowGetResultError::Rpc(status)) => Err(status),
                Err(error) => Ok(Err(error.into())),
            }
        });
        ended.await?.map_err(|status| self.target.refusal("tell a workflow's result", &status))
    }

    /// # Errors
    /// [`Error::BatchMismatch`] if the workflow was started in another way than the batch asks for.
    async fn compare(&self, index: usize, run_id: &str) -> Result<(), Error> {
        let id = &self.batch.workflow_id(index);
        let first_event = async |run_id: &str| {
            let read = self.insist(|| History::read(&self.client, id, run_id, 1)).await?;
            read.map_err(|status| self.target.refusal("tell a workflow's history", &status))
        };
        let mut history = first_event(run_id).await?;
        if let Some(first_run) = history.earlier_run() {
            history = first_event(first_run).await?;
        }
        match history.started() {
            Some((was, _)) => self.refuse_if_different(index, &was),
            None => Ok(()),
        }
    }

    fn refuse_if_different(&self, index: usize, was: &Definition) -> Result<(), Error> {
        match was.difference(&self.batch.definition) {
            None => Ok(()),
            Some((what, was, asked)) => Err(Error::BatchMismatch {
                batch: self.batch.name.as_str().to_owned(),
                workflow_id: self.batch.workflow_id(index),
                what,
                was,
                asked,
            }),
        }
    }

    /// Calls the server until it answers, be it with a refusal.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not for [`Config::connect_timeout`].
    ///
    /// [`Config::connect_timeout`]: crate::Config::connect_timeout
    async fn insist<T, F: Future<Output = Result<T, Status>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<Result<T, Status>, Error> {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            match call().await {
                Err(status) if is_passing(status.code()) => {
                    self.until_it_answers(&status).await?;
                    failures = if begun.elapsed() > LONG_POLL { 0 } else { failures + 1 };
                    if failures == MOST_FAILURES {
                        return Err(self.target.unreachable(describe(&status), ""));
                    }
                    sleep(PAUSE).await;
                }
                answer => return Ok(answer),
            }
        }
    }

    /// Waits for a server that did not answer. A call of its own asks for that: the one that failed
    /// may be a long poll, which is silent for long at the best of times.
    async fn until_it_answers(&self, failure: &Status) -> Result<(), Error> {
        // All that wait notice; one asks, and says it.
        let _turn = self.asking.lock().await;
        let begun = Instant::now();
        let mut told = false;
        loop {
            let mut client = self.client.clone();
            let question = client.get_system_info(GetSystemInfoRequest::default().into_request());
            match timeout(TRY_TIMEOUT, question).await {
                Ok(Err(status)) if is_passing(status.code()) => {}
                Ok(_) => return Ok(()),
                Err(_) => {}
            }
            let left = self.target.patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(self.target.unreachable(describe(failure), ""));
            }
            if !told {
                told = true;
                warn!(
                    "Temporal at {} does not answer: {}; trying again for another {:.0} s",
                    self.target.address,
                    describe(failure),
                    left.as_secs_f64()
                );
            }
            sleep(PAUSE).await;
        }
    }
}

/// Whether a server that answers so may answer otherwise later.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Cancelled
            | Code::Internal
            | Code::Unknown
    )
}

impl From<WorkflowGetResultError> for Failure {
    fn from(error: WorkflowGetResultError) -> Self {
        use WorkflowGetResultError as Error;
        let (status, cause) = match error {
            Error::Failed(error) => ("failed", history::words(error.failure())),
            Error::Cancelled { .. } => ("cancelled", String::new()),
            Error::Terminated { .. } => ("terminated", String::new()),
            Error::TimedOut => ("timed out", String::new()),
            Error::NotFound(_) => (
                "lost",
                "the server does not know it any more: its data is gone, or retention is over"
                    .into(),
            ),
            other => ("unknown", chain(&other)),
        };
        Self { status, cause }
    }
}

impl Failure {
    fn with_reason(mut self, reason: Option<&str>) -> Self {
        if let Some(reason) = reason.filter(|_| self.cause.is_empty()) {
            reason.clone_into(&mut self.cause);
        }
        // One line: messages of applications have line ends, and stack traces.
        self.cause = self.cause.replace(char::is_control, " ");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(name: &str) -> Batch {
        Batch {
            name: BatchName::Given(name.into()),
            definition: Definition {
                workflow_type: "Type".into(),
                task_queue: "queue".into(),
                input: None,
            },
            id_prefix: "id".into(),
            count: 1,
            concurrency: 1,
        }
    }

    #[test]
    fn an_id_follows_from_the_batch_and_the_number_today_and_tomorrow() {
        let ids: BTreeSet<_> =
            ["a", "b"].iter().flat_map(|it| (0..3).map(|n| batch(it).workflow_id(n))).collect();
        assert_eq!(ids.len(), 6);
        // Recorded: a batch that an older version began must go on with a newer one.
        assert_eq!(batch("nightly").workflow_id(7), "id-83bca415-79aa-54db-84a8-6565f8b5559f");
    }

    #[test]
    fn a_random_name_is_short_and_another_each_time() {
        let names: BTreeSet<_> =
            (0..100).map(|_| BatchName::random().as_str().to_owned()).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.len() == 12));
    }
}
