//! A trial from its begin to its account.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use futures::future::join;
use tokio::time::{Instant, interval};

use super::{
    account::{Account, Claims},
    attacks::{AttackLog, Attacks},
    fleet::AttackedFleet,
    load::{Load, LoadProgress},
    plan::{AttackKind, AttackPlan},
    report::{AttacksOfKind, Bounds, Times, TrialReport},
};
use crate::{batch::BatchRun, error::CommandError, temporal::retry::RetryingClient};

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(500);

/// A trial of a fleet that is ready.
pub(crate) struct Trial<'a> {
    pub(crate) fleet: &'a AttackedFleet,
    pub(crate) plan: AttackPlan,
    pub(crate) batch: &'a BatchRun,
    /// For the account.
    pub(crate) server: &'a RetryingClient,
    /// How long workflows and workers may take after the last attack.
    pub(crate) patience: Duration,
    pub(crate) bounds: Bounds,
}

impl Trial<'_> {
    /// Runs the load and the attacks, and reads the account. Completing `stop` ends both early. `say` prints a
    /// line; `show` gets the progress in one line now and then.
    ///
    /// # Errors
    /// [`CommandError::AttackedFleet`] when the fleet does not answer any more; those of the server when the account
    /// cannot be read.
    pub(crate) async fn run<F: Future<Output = ()>>(
        &self,
        stop: impl Fn() -> F,
        is_stopped: impl Fn() -> bool,
        say: impl Fn(&str),
        show: impl Fn(&str),
    ) -> Result<TrialReport, CommandError> {
        let duration = self.plan.duration;
        let load = Load {
            batch: self.batch,
            duration,
            patience: self.patience,
            progress: RefCell::new(LoadProgress::default()),
        };
        let began = Instant::now();
        let deadline = began + duration + self.patience;
        let attacks = Attacks::new(self.fleet, &load, began, self.plan.attacks(), say);
        let both = join(load.run(began, stop()), attacks.run(deadline, stop()));
        let (unconfirmed, log) = tokio::select! {
            ended = both => ended,
            never = show_progress(&load, began, show) => match never {},
        };
        let log = log?;
        let took = began.elapsed();
        let progress = load.progress.into_inner();
        let is_interrupted = is_stopped();
        let claims = Claims { asked: progress.asked, unconfirmed, is_interrupted };
        let account = Account::read(self.server, self.batch.batch(), &claims).await?;
        Ok(self.report(took, log, account, progress, is_interrupted))
    }

    fn report(
        &self,
        took: Duration,
        mut log: AttackLog,
        account: Account,
        progress: LoadProgress,
        is_interrupted: bool,
    ) -> TrialReport {
        let batch = self.batch.batch();
        let attacks = AttackKind::ALL.map(|kind| AttacksOfKind {
            kind,
            count: log.counts.get(&kind).copied().unwrap_or_default(),
            recovery: Times::of(log.recoveries.remove(&kind).unwrap_or_default()),
        });
        TrialReport {
            seed: self.plan.seed,
            took,
            workflow_type: batch.definition.workflow_type.clone(),
            task_queue: batch.definition.task_queue.clone(),
            batch: batch.name.as_str().to_owned(),
            workflows: batch.count,
            is_interrupted,
            account,
            attacks,
            skipped: log.skipped,
            not_recovered: log.not_recovered,
            latency: Times::of(progress.latencies),
            load_error: progress.error,
            bounds: self.bounds,
        }
    }
}

/// Shows the progress of the load now and then.
async fn show_progress(load: &Load<'_>, began: Instant, show: impl Fn(&str)) -> Infallible {
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        let progress = load.progress.borrow();
        let (seconds, all) = (began.elapsed().as_secs(), load.duration.as_secs());
        let LoadProgress { asked, ended, .. } = *progress;
        show(&format!("{seconds} of {all} s: {asked} started, {ended} ended"));
    }
}
