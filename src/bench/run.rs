//! The run of a bench: starts workflows as planned, and records how each of them ends.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{
    measure::{Measure, Quantile},
    pace::Pace,
    plan::{Length, Plan, ScheduledStart},
    results::{Results, SampledRun},
};
use crate::{
    batch::{BatchRun, WorkflowFailure},
    error::CommandError,
    terminal::duration::millis,
};

/// How often progress is reported.
const TICK: Duration = Duration::from_millis(500);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BenchEnd {
    /// All planned workflows were started, and their ends are in the results.
    Complete,
    /// A stop was requested.
    Interrupted,
}

/// A run, with its results so far.
pub(crate) struct BenchRun<'a> {
    plan: Plan,
    batch: &'a BatchRun,
    began: Instant,
    pub(crate) results: Results,
    /// How many workflows were started, including the warm-up's.
    started: u64,
    /// How many of these are measured.
    measured: u64,
    /// The workflows in flight, by number.
    in_flight: BTreeMap<usize, ScheduledStart>,
    /// How many workflows have ended, including the warm-up's.
    ended: usize,
    last_end: Option<Instant>,
}

impl<'a> BenchRun<'a> {
    pub(crate) fn new(plan: Plan, batch: &'a BatchRun) -> Self {
        Self {
            results: Results::new(plan.sample),
            plan,
            batch,
            began: Instant::now(),
            started: 0,
            measured: 0,
            in_flight: BTreeMap::new(),
            ended: 0,
            last_end: None,
        }
    }

    /// Runs as planned, or until `stop` completes. Calls `tick` every half second. Afterwards
    /// [`results`](Self::results) has what was measured, also after an error.
    ///
    /// # Errors
    /// Those after which continuing is pointless: the server is unreachable, or refuses.
    pub(crate) async fn run(
        &mut self,
        stop: impl Future<Output = ()>,
        tick: impl FnMut(&Self),
    ) -> Result<BenchEnd, CommandError> {
        let end = self.run_to_end(stop, tick).await;
        if !matches!(end, Ok(BenchEnd::Complete)) {
            self.count_not_started();
        }
        end
    }

    async fn run_to_end(
        &mut self,
        stop: impl Future<Output = ()>,
        mut tick: impl FnMut(&Self),
    ) -> Result<BenchEnd, CommandError> {
        let batch = self.batch;
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ends = FuturesUnordered::new();
        self.began = Instant::now();
        let end = loop {
            while let Some(start) = self.due() {
                let index = self.start(start);
                ends.push(async move {
                    let end = batch.start_and_wait(index).await;
                    (index, Instant::now(), end)
                });
            }
            let next = self.next();
            if next.is_none() && ends.is_empty() {
                break Ok(BenchEnd::Complete);
            }
            let wake = next.filter(|_| self.has_room()).map(|start| self.began + start.at);
            tokio::select! {
                Some((index, at, end)) = ends.next() => match end {
                    Ok((run_id, end)) => self.end(index, at, run_id, end.err()),
                    Err(error) => break Err(error),
                },
                () = sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => {}
                () = sleep_until(self.deadline()) => {
                    self.give_up();
                    break Ok(BenchEnd::Complete);
                }
                () = &mut stop => break Ok(BenchEnd::Interrupted),
                _ = ticks.tick() => tick(self),
            }
        };
        // What ends meanwhile is too late to count, but known not to run.
        batch.settle(ends, drop).await;
        end
    }

    /// The next start of the plan, whether or not it is due.
    fn next(&self) -> Option<ScheduledStart> {
        self.plan.next(self.started, self.measured, self.began.elapsed())
    }

    /// The next start, if it is due and the limit of workflows in flight permits it.
    fn due(&self) -> Option<ScheduledStart> {
        self.next().filter(|start| start.at <= self.began.elapsed() && self.has_room())
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < self.plan.pace.max_in_flight()
    }

    /// Records a start and returns the workflow's number.
    fn start(&mut self, start: ScheduledStart) -> usize {
        let index = usize::try_from(self.started).unwrap_or(usize::MAX);
        self.started += 1;
        if start.is_measured {
            self.measured += 1;
            let delay = self.began.elapsed().saturating_sub(start.at);
            self.results.behind_schedule = self.results.behind_schedule.max(delay);
        }
        self.in_flight.insert(index, start);
        index
    }

    /// Records the end of a workflow.
    fn end(&mut self, index: usize, at: Instant, run_id: String, failure: Option<WorkflowFailure>) {
        self.ended += 1;
        self.last_end = Some(at);
        let start = self.in_flight.remove(&index).filter(|start| start.is_measured);
        let Some(start) = start else { return };
        let (latency, after_warmup) = self.times(start, at);
        if failure.is_none() {
            self.results.sample.add(SampledRun { index, run_id });
        }
        self.results.ended(after_warmup, latency, failure);
    }

    /// The time from the scheduled start, and from the end of the warm-up, to `at`.
    fn times(&self, start: ScheduledStart, at: Instant) -> (Duration, Duration) {
        let elapsed = at.saturating_duration_since(self.began);
        (elapsed.saturating_sub(start.at), elapsed.saturating_sub(self.plan.warmup))
    }

    /// When to stop waiting: the timeout after the last start, or after the last end if the time of
    /// the last start is unknown.
    fn deadline(&self) -> Instant {
        let from = match self.plan.last_start() {
            Some(last) => self.began + last,
            None => self.last_end.unwrap_or(self.began),
        };
        from + self.plan.timeout
    }

    /// Counts as unfinished the workflows in flight, and those that are due but were not started.
    fn give_up(&mut self) {
        let now = Instant::now();
        let mut unfinished: Vec<_> = self.in_flight.values().copied().collect();
        let mut overdue = self.take_overdue();
        let measured = overdue.iter().filter(|start| start.is_measured);
        self.results.not_started += measured.count() as u64;
        unfinished.append(&mut overdue);
        for start in unfinished.into_iter().filter(|start| start.is_measured) {
            let (latency, after_warmup) = self.times(start, now);
            self.results.given_up(after_warmup, latency);
        }
    }

    /// Counts the workflows that are due but were not started when the run ended early. Like those
    /// in flight, they are not errors.
    fn count_not_started(&mut self) {
        let now = self.began.elapsed();
        for start in self.take_overdue().into_iter().filter(|start| start.is_measured) {
            self.results.not_started += 1;
            let delay = now.saturating_sub(start.at);
            self.results.behind_schedule = self.results.behind_schedule.max(delay);
        }
    }

    /// Removes from the plan the starts that are due. A closed loop has none.
    fn take_overdue(&mut self) -> Vec<ScheduledStart> {
        let mut overdue = Vec::new();
        if let Pace::Open { .. } = self.plan.pace {
            let now = self.began.elapsed();
            while let Some(start) = self.next().filter(|start| start.at <= now) {
                self.started += 1;
                self.measured += u64::from(start.is_measured);
                overdue.push(start);
            }
        }
        overdue
    }

    /// How many workflows have ended, including the warm-up's.
    pub(crate) fn ended(&self) -> usize {
        self.ended
    }

    /// For how long no workflow has ended although some are in flight.
    pub(crate) fn silent_for(&self) -> Duration {
        let first = self.in_flight.values().map(|start| self.began + start.at).min();
        first.map_or(Duration::ZERO, |first| first.max(self.last_end.unwrap_or(first)).elapsed())
    }

    /// The id of a workflow that has not ended, to look at it.
    pub(crate) fn one_to_look_at(&self) -> Option<String> {
        self.batch.one_to_look_at()
    }

    /// How many workflows were to be started and are not known to have ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The progress in one line.
    pub(crate) fn progress(&self) -> String {
        let elapsed = self.began.elapsed();
        let seconds = elapsed.as_secs();
        if elapsed < self.plan.warmup {
            return format!("{seconds} s: warming up, {} ended", self.ended);
        }
        let completed = self.results.completed();
        let done = match self.plan.length {
            Length::Duration(duration) => {
                let all = (self.plan.warmup + duration).as_secs();
                format!("{seconds} of {all} s: {completed} completed")
            }
            Length::Count(count) => format!("{seconds} s: {completed} of {count} completed"),
        };
        let latency = |quantile| {
            millis(self.results.quantile(Measure::EndToEnd, quantile).unwrap_or_default())
        };
        format!(
            "{done}, {:.1}/s, p50 {:.0} ms, p99 {:.0} ms, {} errors, {} in flight",
            self.results.throughput(),
            latency(Quantile::P50),
            latency(Quantile::P99),
            self.results.errors(),
            self.in_flight.len()
        )
    }
}
