//! What a scaler remembers of the last seconds.

use std::{collections::VecDeque, time::Duration};

/// How long a wait is observed before its slope is used. Over less than this, chance hides the slope.
const SHORTEST_TREND: Duration = Duration::from_secs(2);

/// How long a sample counts for a slope. With more, a change of the load would be seen late.
const LONGEST_TREND: Duration = Duration::from_secs(5);

/// How long the load has to be low before the group shrinks: longer than the pauses of a load that comes in waves
/// of half a minute, and short enough for a group to be at its smallest three minutes after its load.
pub(super) const QUIET: Duration = Duration::from_mins(1);

/// Figures may be missing for this long, such as while the server fails over, before the quiet time starts again.
const STALE: Duration = Duration::from_secs(10);

/// The wait of tasks over the last seconds, while the number of workers stayed the same.
#[derive(Debug, Default)]
pub(super) struct Trend {
    samples: VecDeque<(f64, f64)>,
    starts: Duration,
}

impl Trend {
    /// Forgets all samples, and ignores those before `starts`.
    pub(super) fn restart(&mut self, starts: Duration) {
        self.samples.clear();
        self.starts = starts;
    }

    pub(super) fn add(&mut self, now: Duration, wait: Option<Duration>) {
        let oldest = now.saturating_sub(LONGEST_TREND).as_secs_f64();
        while self.samples.front().is_some_and(|(at, _)| *at < oldest) {
            self.samples.pop_front();
        }
        if let Some(wait) = wait.filter(|_| now >= self.starts) {
            self.samples.push_back((now.as_secs_f64(), wait.as_secs_f64()));
        }
    }

    /// By how many seconds a wait grows in a second: the line with the least squares. `None` until there are
    /// samples enough.
    pub(super) fn slope(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?.0, self.samples.back()?.0);
        if last - first < SHORTEST_TREND.as_secs_f64() - 1e-9 {
            return None;
        }
        let number: f64 = self.samples.iter().map(|_| 1.0).sum();
        let mean = |of: fn(&(f64, f64)) -> f64| self.samples.iter().map(of).sum::<f64>() / number;
        let (middle, wait) = (mean(|(at, _)| *at), mean(|(_, wait)| *wait));
        let covariance: f64 = self.samples.iter().map(|(at, w)| (at - middle) * (w - wait)).sum();
        let variance: f64 = self.samples.iter().map(|(at, _)| (at - middle).powi(2)).sum();
        Some(covariance / variance)
    }
}

/// The longest quiet time that a [`Past`] knows of.
pub(super) const LONGEST_QUIET: Duration = Duration::from_mins(8);

/// How many workers would have been enough during the last minutes.
#[derive(Debug, Default)]
pub(super) struct Past {
    samples: VecDeque<(Duration, usize)>,
    since: Option<Duration>,
}

impl Past {
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Adds how many workers would be enough now, if that is known.
    pub(super) fn add(&mut self, now: Duration, enough: Option<usize>) {
        let last = self.samples.back().map_or(now, |(at, _)| *at);
        if now.saturating_sub(last) > STALE {
            self.restart();
        }
        if let Some(enough) = enough {
            self.since.get_or_insert(now);
            self.samples.push_back((now, enough));
        }
        while self.samples.front().is_some_and(|(at, _)| *at + LONGEST_QUIET < now) {
            self.samples.pop_front();
        }
    }

    /// How many workers would have been enough at every moment of the last `quiet`; `None` before it has passed,
    /// and while the newest figures are missing.
    pub(super) fn enough(&self, now: Duration, quiet: Duration) -> Option<usize> {
        self.samples.back().filter(|(at, _)| *at == now)?;
        self.since.filter(|since| now.saturating_sub(*since) >= quiet)?;
        let recent = self.samples.iter().rev().take_while(|(at, _)| *at + quiet >= now);
        recent.map(|(_, enough)| *enough).max()
    }
}

/// Since when something holds without a break.
#[derive(Debug, Default)]
pub(super) struct Streak(Option<Duration>);

impl Streak {
    pub(super) fn note(&mut self, now: Duration, holds: bool) {
        self.0 = holds.then(|| self.0.unwrap_or(now));
    }

    pub(super) fn restart(&mut self) {
        self.0 = None;
    }

    pub(super) fn has_lasted(&self, now: Duration, least: Duration) -> bool {
        self.0.is_some_and(|since| now.saturating_sub(since) >= least)
    }
}
