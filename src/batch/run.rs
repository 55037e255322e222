//! Runs a batch: starts its workflows and waits for their ends.

use std::{
    collections::BTreeSet,
    future::{pending, ready},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use temporalio_client::{Client, NamespacedClient};
use tokio::time::{sleep, timeout};

use super::{
    outcome::{Outcome, WorkflowFailure},
    spec::{Batch, BatchName},
    start::StartedRun,
    starts::{Starts, Unfinished},
    wait::End,
    workflows::Workflows,
};
use crate::{
    error::CommandError,
    telemetry::Traces,
    temporal::{
        history::{Definition, History},
        rate_limits::RateLimits,
        retry::RetryingClient,
        runs::Runs,
        target::Target,
    },
};

/// How long to wait, once no more workflows are to be started, for the answers to the last requests.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How often to look whether they are there.
const LOOK: Duration = Duration::from_millis(10);

/// A batch that is being run.
pub(crate) struct BatchRun {
    workflows: Workflows,
}

/// The workflows of a batch whose outcome is not known.
#[derive(Default)]
pub(crate) struct Unended {
    /// The ids of those that were started.
    pub(crate) running: Vec<String>,
    /// The ids of those whose start the server did not answer.
    pub(crate) may_run: Vec<String>,
    /// How many were not started, because the server refused.
    pub(crate) refused: usize,
}

impl Unended {
    pub(crate) fn count(&self) -> usize {
        self.running.len() + self.may_run.len() + self.refused
    }
}

/// How a workflow of a batch started.
struct FirstStart {
    /// The time just before its start request.
    at: Instant,
    run: StartedRun,
}

impl BatchRun {
    /// `limits` counts the refusals of the client's connection.
    pub(crate) fn new(
        batch: Batch,
        client: Client,
        target: Target,
        limits: RateLimits,
        traces: Option<Traces>,
    ) -> Self {
        let server = RetryingClient::new(client, target, limits);
        let (starts, is_stopping) = (Starts::default(), AtomicBool::new(false));
        Self { workflows: Workflows { batch, server, starts, is_stopping, traces } }
    }

    pub(crate) fn batch(&self) -> &Batch {
        &self.workflows.batch
    }

    /// The workflows that were to be started, and whose outcome was not returned.
    pub(crate) fn unended(&self) -> Unended {
        let Unfinished { started, unknown, refused } = self.workflows.starts.unfinished();
        let ids = |numbers: Vec<usize>| {
            numbers.into_iter().map(|index| self.workflows.batch.workflow_id(index)).collect()
        };
        Unended { running: ids(started), may_run: ids(unknown), refused: refused.len() }
    }

    /// The numbers of the workflows that were to be started, and of which the server has not said that they were.
    pub(crate) fn unconfirmed(&self) -> BTreeSet<usize> {
        let Unfinished { unknown, refused, .. } = self.workflows.starts.unfinished();
        unknown.into_iter().chain(refused).collect()
    }

    /// The id of a workflow that has not ended, to look at it.
    pub(crate) fn one_to_look_at(&self) -> Option<String> {
        self.workflows.starts.one_to_look_at().map(|index| self.workflows.batch.workflow_id(index))
    }

    /// Starts no more workflows, and waits for a moment for the answers to the requests that are on their
    /// way, so that it is known what was started. `ends` is the stream that drives them; what it yields
    /// meanwhile goes to `add`.
    pub(crate) async fn settle<T>(&self, ends: impl Stream<Item = T>, mut add: impl FnMut(T)) {
        self.workflows.is_stopping.store(true, Ordering::Relaxed);
        let mut ends = pin!(ends);
        let answers = async {
            while self.workflows.starts.awaits_answer() {
                tokio::select! {
                    end = ends.next() => match end {
                        Some(end) => add(end),
                        None => return,
                    },
                    () = sleep(LOOK) => {}
                }
            }
        };
        let _ = timeout(LAST_ANSWERS, answers).await;
    }

    /// Starts the workflows and yields the outcome of each as it ends, or an error that makes it pointless
    /// to continue. When the stream is dropped, workflows that were started keep running at the server.
    ///
    /// If the batch may have been begun before, its first workflow is started alone. It shows whether
    /// the batch was begun with the same definition, before anything else is started.
    pub(crate) fn outcomes(&self) -> impl Stream<Item = Result<Outcome, CommandError>> + '_ {
        stream::once(self.start_first()).flat_map(move |first| match first {
            Err(error) => stream::once(ready(Err(error))).left_stream(),
            Ok(mut first) => stream::iter(0..self.workflows.batch.count)
                .map(move |index| self.run_workflow(index, first.take()))
                .buffer_unordered(self.workflows.batch.concurrency)
                .right_stream(),
        })
    }

    /// Starts the first workflow of a batch that may have been begun before. `None` if the batch is new.
    ///
    /// # Errors
    /// [`CommandError::BatchMismatch`] if the batch was begun with another definition.
    async fn start_first(&self) -> Result<Option<FirstStart>, CommandError> {
        if let BatchName::Random(_) = self.workflows.batch.name {
            return Ok(None);
        }
        let at = Instant::now();
        let run = self.workflows.start(0).await?;
        self.compare_with_server(0, &run.run_id).await?;
        Ok(Some(FirstStart { at, run }))
    }

    /// Starts a workflow, unless it is started, waits for its end and reads from its history which workers
    /// ran it.
    async fn run_workflow(
        &self,
        index: usize,
        started: Option<FirstStart>,
    ) -> Result<Outcome, CommandError> {
        if self.workflows.is_stopping.load(Ordering::Relaxed) {
            return pending().await;
        }
        let workflow_id = self.workflows.batch.workflow_id(index);
        let (start_time, run) = match started {
            Some(FirstStart { at, run }) => (at, run),
            None => (Instant::now(), self.workflows.start(index).await?),
        };
        let StartedRun { run_id, is_closed } = run;
        let End { run_id, result } = self.workflows.end(&workflow_id, run_id).await?;
        let latency = start_time.elapsed();

        // The history only adds to the outcome, so failing to read it is no failure of the batch.
        let runs = Runs::read(&self.workflows.server, &workflow_id, &run_id).await.ok();
        let history = runs.as_ref().map(Runs::asked);
        let mut is_from_earlier_starter = is_closed;
        if let Some((definition, starter)) = history.and_then(History::started) {
            is_from_earlier_starter |= starter != self.workflows.server.client().identity();
            match history.and_then(History::earlier_run) {
                None => self.refuse_if_different(index, &definition)?,
                // The input of this run is the one that the workflow continued as new with.
                Some(_) => self.compare_with_server(index, &run_id).await?,
            }
        }
        let reason = runs.as_ref().and_then(Runs::reason);
        let end = match result {
            Ok(first) => Ok(self.workflows.whole_result(&workflow_id, first, runs.as_ref()).await),
            Err(failure) => Err(failure.with_reason(reason)),
        };
        self.workflows.starts.ended(index);
        Ok(Outcome {
            index,
            workflow_id,
            end,
            latency: (!is_from_earlier_starter).then_some(latency),
            is_read_whole: runs.as_ref().is_some_and(|runs| runs.is_whole),
            workers: runs.as_ref().map(Runs::workers).unwrap_or_default(),
        })
    }

    /// Starts a workflow of a new batch and waits for its end, without reading its history. Returns the id
    /// of its run, and the failure if it did not complete.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`] or [`Error::Rpc`] of the server.
    ///
    /// [`Error::Unreachable`]: crate::error::Error::Unreachable
    /// [`Error::Refused`]: crate::error::Error::Refused
    /// [`Error::Rpc`]: crate::error::Error::Rpc
    pub(crate) async fn start_and_wait(
        &self,
        index: usize,
    ) -> Result<(String, Result<(), WorkflowFailure>), CommandError> {
        let StartedRun { run_id, .. } = self.workflows.start(index).await?;
        let End { run_id, result } =
            self.workflows.end(&self.workflows.batch.workflow_id(index), run_id).await?;
        self.workflows.starts.ended(index);
        Ok((run_id, result.map(drop)))
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
        let (client, id) =
            (self.workflows.server.client(), &self.workflows.batch.workflow_id(index));
        let read = self.workflows.server.call(|| History::read(client, id, run_id, 1)).await;
        Ok(read.map_err(|failure| {
            self.workflows.server.error("return a workflow's history", failure)
        })?)
    }

    fn refuse_if_different(&self, index: usize, existing: &Definition) -> Result<(), CommandError> {
        match existing.difference(&self.workflows.batch.definition_of(index)) {
            None => Ok(()),
            Some(difference) => Err(CommandError::BatchMismatch {
                batch: self.workflows.batch.name.as_str().to_owned(),
                workflow_id: self.workflows.batch.workflow_id(index),
                what: difference.part,
                was: difference.existing,
                asked: difference.requested,
            }),
        }
    }
}
