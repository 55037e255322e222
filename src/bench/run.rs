//! Starts workflows at their pace, and notes what becomes of each.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    measure::{Measure, Quantile},
    pace::{Due, Length, Pace, Plan},
    results::{Results, Sampled},
};
use crate::{
    batch::{BatchRun, WorkflowFailure},
    error::Error,
};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All that was to be started was, and is accounted for.
    Complete,
    /// It was told to stop.
    Interrupted,
}

/// A run, as far as it is.
pub(crate) struct Run<'a> {
    plan: Plan,
    batch: &'a BatchRun,
    begun: Instant,
    pub(crate) results: Results,
    /// Those that were started, in the warm-up too.
    started: u64,
    measured: u64,
    /// Those that are under way, by number.
    under_way: BTreeMap<usize, Due>,
    /// Those that have ended, and when the last one did.
    ended: usize,
    last_end: Option<Instant>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(plan: Plan, batch: &'a BatchRun) -> Self {
        Self {
            results: Results::new(plan.sample),
            plan,
            batch,
            begun: Instant::now(),
            started: 0,
            measured: 0,
            under_way: BTreeMap::new(),
            ended: 0,
            last_end: None,
        }
    }

    /// Runs until it is enough, or `stop` completes. What is kept so far stays in
    /// [`results`](Self::results) whatever the end; `tick` is called every half second.
    ///
    /// # Errors
    /// Those that make it pointless to go on: the server is away, or refuses.
    pub(crate) async fn run(
        &mut self,
        stop: impl Future<Output = ()>,
        tick: impl FnMut(&Self),
    ) -> Result<Ended, Error> {
        let ended = self.until_it_ends(stop, tick).await;
        if !matches!(ended, Ok(Ended::Complete)) {
            self.leave_overdue();
        }
        ended
    }

    async fn until_it_ends(
        &mut self,
        stop: impl Future<Output = ()>,
        mut tick: impl FnMut(&Self),
    ) -> Result<Ended, Error> {
        let batch = self.batch;
        let mut stop = std::pin::pin!(stop);
        let mut every = tokio::time::interval(Duration::from_millis(500));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ends = FuturesUnordered::new();
        self.begun = Instant::now();
        loop {
            let mut next = self.next();
            while let Some(due) = next.filter(|it| it.at <= self.begun.elapsed() && self.has_room())
            {
                let index = self.start(due);
                ends.push(async move {
                    let ended = batch.start_and_wait(index).await;
                    (index, Instant::now(), ended)
                });
                next = self.next();
            }
            if next.is_none() && ends.is_empty() {
                return Ok(Ended::Complete);
            }
            let wake = next.filter(|_| self.has_room()).map(|due| self.begun + due.at);
            tokio::select! {
                Some((index, at, ended)) = ends.next() => {
                    let (run_id, ended) = ended?;
                    self.end(index, at, run_id, ended.err());
                }
                () = sleep_until(wake.unwrap_or(self.begun)), if wake.is_some() => {}
                () = sleep_until(self.patience_ends()) => {
                    self.give_up();
                    return Ok(Ended::Complete);
                }
                () = &mut stop => return Ok(Ended::Interrupted),
                _ = every.tick() => tick(self),
            }
        }
    }

    fn next(&self) -> Option<Due> {
        self.plan.next(self.started, self.measured, self.begun.elapsed())
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < self.plan.pace.most_under_way()
    }

    fn start(&mut self, due: Due) -> usize {
        let index = usize::try_from(self.started).unwrap_or(usize::MAX);
        self.started += 1;
        if due.measured {
            self.measured += 1;
            let behind = self.begun.elapsed().saturating_sub(due.at);
            self.results.behind = self.results.behind.max(behind);
        }
        self.under_way.insert(index, due);
        index
    }

    fn end(&mut self, index: usize, at: Instant, run_id: String, failure: Option<WorkflowFailure>) {
        self.ended += 1;
        self.last_end = Some(at);
        let Some(due) = self.under_way.remove(&index).filter(|due| due.measured) else { return };
        let (latency, after) = self.times(due, at);
        if failure.is_none() {
            self.results.sample.add(Sampled { index, run_id });
        }
        self.results.ended(after, latency, failure);
    }

    /// How long after it was due, and after the warm-up, `at` is.
    fn times(&self, due: Due, at: Instant) -> (Duration, Duration) {
        let after = at.saturating_duration_since(self.begun);
        (after.saturating_sub(due.at), after.saturating_sub(self.plan.warmup))
    }

    /// When it is too long to wait: after the last one that was to be started; where nobody knows
    /// when that is, after the last one that ended.
    fn patience_ends(&self) -> Instant {
        let from = match self.plan.last_due() {
            Some(last) => self.begun + last,
            None => self.last_end.unwrap_or(self.begun),
        };
        from + self.plan.timeout
    }

    /// Counts those that are under way, and those that were due and not even started.
    fn give_up(&mut self) {
        let now = Instant::now();
        let mut left: Vec<Due> = self.under_way.values().copied().collect();
        left.append(&mut self.overdue());
        for due in left.into_iter().filter(|due| due.measured) {
            let (latency, after) = self.times(due, now);
            self.results.given_up(after, latency);
        }
    }

    /// Tells of those that were due and not started when the run was broken off. They are no errors,
    /// as those are not that are under way.
    fn leave_overdue(&mut self) {
        let now = self.begun.elapsed();
        for due in self.overdue().into_iter().filter(|due| due.measured) {
            self.results.not_started += 1;
            self.results.behind = self.results.behind.max(now.saturating_sub(due.at));
        }
    }

    /// Those that are due and not started, for good. A closed loop has none.
    fn overdue(&mut self) -> Vec<Due> {
        let mut overdue = Vec::new();
        if let Pace::Open { .. } = self.plan.pace {
            let now = self.begun.elapsed();
            while let Some(due) = self.next().filter(|it| it.at <= now) {
                self.started += 1;
                self.measured += u64::from(due.measured);
                overdue.push(due);
            }
        }
        overdue
    }

    /// How many have ended, in the warm-up too.
    pub(crate) fn ended(&self) -> usize {
        self.ended
    }

    /// How long none has ended although some are under way.
    pub(crate) fn silent_for(&self) -> Duration {
        let since = self.under_way.values().map(|due| self.begun + due.at).min();
        since.map_or(Duration::ZERO, |it| it.max(self.last_end.unwrap_or(it)).elapsed())
    }

    /// How many were started and are not known to have ended.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How far it is, for people.
    pub(crate) fn progress(&self) -> String {
        let elapsed = self.begun.elapsed();
        let seconds = elapsed.as_secs();
        let completed = self.results.completed();
        let far = match (elapsed < self.plan.warmup, self.plan.length) {
            (true, _) => return format!("{seconds} s: warming up, {} ended", self.ended),
            (false, Length::Duration(duration)) => {
                let all = (self.plan.warmup + duration).as_secs();
                format!("{seconds} of {all} s: {completed} completed")
            }
            (false, Length::Count(count)) => {
                format!("{seconds} s: {completed} of {count} completed")
            }
        };
        let millis = |it| {
            let time = self.results.quantile(Measure::EndToEnd, it).unwrap_or_default();
            time.as_secs_f64() * 1000.0
        };
        format!(
            "{far}, {:.1}/s, p50 {:.0} ms, p99 {:.0} ms, {} errors, {} under way",
            self.results.throughput(),
            millis(Quantile::P50),
            millis(Quantile::P99),
            self.results.errors(),
            self.under_way.len()
        )
    }
}
