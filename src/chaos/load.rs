//! The steady load: workflows that are started at equal distances, whatever happens to the fleet and its server.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use crate::{batch::BatchRun, error::chain};

/// The upper limit of workflows in flight. Above it, starts are delayed: a machine that is too slow for the load would
/// else have no time for anything but its backlog.
const MOST_IN_FLIGHT: usize = 100;

/// The load of a trial.
pub(super) struct Load<'a> {
    pub(super) batch: &'a BatchRun,
    /// How long workflows are started.
    pub(super) duration: Duration,
    /// How long no workflow may end after that, until those that have not are given up.
    pub(super) patience: Duration,
    pub(super) progress: RefCell<LoadProgress>,
}

/// What is known of the load so far.
#[derive(Default)]
pub(super) struct LoadProgress {
    /// How many workflows were to be started.
    pub(super) asked: usize,
    /// How many workflows have ended in any way.
    pub(super) ended: usize,
    /// When the last one ended.
    pub(super) last_end: Option<Instant>,
    /// When workflows completed, in order.
    pub(super) completions: Vec<Instant>,
    /// The time from the start request of each completed workflow until its result was there.
    pub(super) latencies: Vec<Duration>,
    /// Why a workflow could not be started or awaited.
    pub(super) error: Option<String>,
    /// Whether nothing more will come.
    pub(super) is_over: bool,
}

impl Load<'_> {
    /// Starts the workflows and awaits their ends, or until `stop`. Returns the numbers of those that the server
    /// has not confirmed as started.
    pub(super) async fn run(
        &self,
        began: Instant,
        stop: impl Future<Output = ()>,
    ) -> BTreeSet<usize> {
        let mut stop = std::pin::pin!(stop);
        let count = self.batch.batch().count;
        let mut ends = FuturesUnordered::new();
        let mut next = 0;
        loop {
            let due = began + self.due(next);
            let may_start = next < count && ends.len() < MOST_IN_FLIGHT;
            if may_start && due <= Instant::now() {
                ends.push(self.run_workflow(next));
                next += 1;
                self.progress.borrow_mut().asked = next;
                continue;
            }
            if next == count && ends.is_empty() {
                break;
            }
            tokio::select! {
                Some(()) = ends.next() => {}
                () = sleep_until(due), if may_start => {}
                () = sleep_until(self.deadline(began)) => break,
                () = &mut stop => break,
            }
        }
        self.batch.settle(ends, drop).await;
        self.progress.borrow_mut().is_over = true;
        self.batch.unconfirmed()
    }

    /// When the workflows in flight are given up. As long as others end, they only wait for their turn.
    fn deadline(&self, began: Instant) -> Instant {
        let over = began + self.duration;
        self.progress.borrow().last_end.map_or(over, |last| last.max(over)) + self.patience
    }

    /// When a workflow is to be started, from the begin.
    fn due(&self, index: usize) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "exact far beyond the most workflows")]
        let part = index as f64 / self.batch.batch().count as f64;
        self.duration.mul_f64(part.min(1.0))
    }

    async fn run_workflow(&self, index: usize) {
        let begin = Instant::now();
        let end = self.batch.start_and_wait(index).await;
        let mut progress = self.progress.borrow_mut();
        match end {
            Ok((_, Ok(()))) => {
                progress.completions.push(Instant::now());
                progress.latencies.push(begin.elapsed());
            }
            Ok((_, Err(_))) => {}
            Err(error) => progress.error = Some(chain(&error)),
        }
        progress.ended += 1;
        progress.last_end = Some(Instant::now());
    }
}
