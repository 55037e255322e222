//! The account: what the server itself says became of the workflows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::{
    batch::Batch,
    error::Error,
    temporal::{
        audit::{RunAudit, list_completed, read_run},
        retry::RetryingClient,
    },
};

/// How many histories are read at the same time.
const READERS: usize = 10;
/// How long visibility may be behind the histories. It is by a second, or by some on a busy machine.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked.
const VISIBILITY_PAUSE: Duration = Duration::from_millis(500);

/// What became of the workflows of a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// How many workflows the server knows.
    pub(super) started: usize,
    /// How many of them completed once, by their histories.
    pub(super) completed: usize,
    /// How many completed, by the server's visibility.
    pub(super) listed: usize,
    /// The workflows that did not complete, each with the reason.
    pub(super) lost: Vec<Lost>,
    /// The ids of those that still run after an interrupted trial.
    pub(super) running: Vec<String>,
    /// The ids of those that completed more than once.
    pub(super) repeated: Vec<String>,
    /// How many were not started.
    pub(super) not_started: usize,
    pub(super) activities: u64,
    pub(super) retried_activities: u64,
    pub(super) most_attempts: u32,
    pub(super) workflow_task_timeouts: BTreeMap<&'static str, u64>,
    pub(super) workflow_task_failures: BTreeMap<&'static str, u64>,
}

/// A workflow that did not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) workflow_id: String,
    pub(super) why: String,
}

/// What the load says of the workflows.
pub(super) struct Claims {
    /// How many were to be started, the first ones of the batch.
    pub(super) asked: usize,
    /// The numbers of those of which the server has not said that they were.
    pub(super) unconfirmed: BTreeSet<usize>,
    /// Whether the trial ended early, so that those that run are not lost.
    pub(super) is_interrupted: bool,
}

impl Account {
    /// Reads the history of every workflow, and then what visibility lists.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`] or [`Error::Rpc`] of the server.
    pub(super) async fn read(
        server: &RetryingClient,
        batch: &Batch,
        claims: &Claims,
    ) -> Result<Self, Error> {
        let runs: Vec<_> = stream::iter(0..claims.asked)
            .map(async |index| {
                let id = batch.workflow_id(index);
                let run = read_run(server, &id).await;
                let run = run.map_err(|failure| server.error("return a history", failure))?;
                Ok::<_, Error>((index, id, run))
            })
            .buffered(READERS)
            .try_collect()
            .await?;
        let mut account = Self { not_started: batch.count - claims.asked, ..Self::default() };
        for (index, id, run) in runs {
            account.add(index, id, run, claims);
        }
        account.compare_with_visibility(server, &format!("{}-", batch.id_prefix)).await?;
        Ok(account)
    }

    fn add(&mut self, index: usize, workflow_id: String, run: Option<RunAudit>, claims: &Claims) {
        let Some(run) = run else {
            if claims.unconfirmed.contains(&index) {
                self.not_started += 1;
            } else {
                let why = "the server does not know it".to_owned();
                self.lost.push(Lost { workflow_id, why });
            }
            return;
        };
        self.started += 1;
        match run.end {
            Some("completed") if run.completions == 1 => self.completed += 1,
            Some("completed") => self.repeated.push(workflow_id),
            Some(end) => self.lost.push(Lost { workflow_id, why: end.to_owned() }),
            None if claims.is_interrupted => self.running.push(workflow_id),
            None => self.lost.push(Lost { workflow_id, why: "still runs".to_owned() }),
        }
        self.activities += run.activities;
        self.retried_activities += run.retried_activities;
        self.most_attempts = self.most_attempts.max(run.most_attempts);
        let sum = |sums: &mut BTreeMap<_, u64>, more: BTreeMap<_, u64>| {
            for (kind, count) in more {
                *sums.entry(kind).or_default() += count;
            }
        };
        sum(&mut self.workflow_task_timeouts, run.workflow_task_timeouts);
        sum(&mut self.workflow_task_failures, run.workflow_task_failures);
    }

    /// Asks visibility until it lists as many completed workflows as there are by the histories, or for a while.
    async fn compare_with_visibility(
        &mut self,
        server: &RetryingClient,
        prefix: &str,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let listed = list_completed(server, prefix).await;
            let listed = listed.map_err(|failure| server.error("list workflows", failure))?;
            self.listed = listed.len();
            if self.listed >= self.completed || begin.elapsed() > VISIBILITY_TIMEOUT {
                let repeated = listed.into_iter().filter(|(_, runs)| *runs > 1);
                self.repeated.extend(repeated.map(|(id, _)| id));
                self.repeated.sort();
                self.repeated.dedup();
                return Ok(());
            }
            sleep(VISIBILITY_PAUSE).await;
        }
    }

    /// Whether every workflow that was started completed once, and the histories and visibility agree.
    pub(super) fn is_good(&self) -> bool {
        self.lost.is_empty()
            && self.repeated.is_empty()
            && self.listed >= self.completed
            && (self.listed == self.completed || !self.running.is_empty())
    }
}
