//! Throughput and latency over time, in a bounded number of intervals, which become wider as the run
//! becomes longer.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The largest number of intervals. Before it is exceeded, each two neighbours are merged.
const MOST: usize = 240;
const FIRST_WIDTH: Duration = Duration::from_secs(1);

/// An interval of a run.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    /// How many workflows completed in it.
    pub(super) completed: u64,
    /// How many workflows failed or were given up in it.
    pub(super) errors: u64,
    /// The latencies, in microseconds, of workflows that were due in it, so that a stall shows where
    /// it began.
    pub(super) latencies: Histogram<u32>,
}

impl Default for Interval {
    fn default() -> Self {
        let latencies = Histogram::new(2).expect("two digits are allowed");
        Self { completed: 0, errors: 0, latencies }
    }
}

/// Intervals of the same width, from the end of the warm-up. All times are counted from there.
#[derive(Debug)]
pub(super) struct Series {
    width: Duration,
    intervals: Vec<Interval>,
}

impl Default for Series {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, intervals: Vec::new() }
    }
}

impl Series {
    pub(super) fn width(&self) -> Duration {
        self.width
    }

    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    pub(super) fn completed(&mut self, due: Duration, at: Duration, latency: Duration) {
        self.at(at).completed += 1;
        self.latency(due, latency);
    }

    pub(super) fn failed(&mut self, at: Duration) {
        self.at(at).errors += 1;
    }

    pub(super) fn given_up(&mut self, due: Duration, at: Duration, latency: Duration) {
        self.at(at).errors += 1;
        self.latency(due, latency);
    }

    fn latency(&mut self, due: Duration, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // The histogram grows as needed.
        let _ = self.at(due).latencies.record(micros);
    }

    /// The interval that contains `time`.
    fn at(&mut self, time: Duration) -> &mut Interval {
        while self.place(time) >= MOST {
            self.merge_neighbours();
        }
        let place = self.place(time);
        if self.intervals.len() <= place {
            self.intervals.resize_with(place + 1, Interval::default);
        }
        &mut self.intervals[place]
    }

    /// Doubles the width of the intervals.
    fn merge_neighbours(&mut self) {
        self.width *= 2;
        let mut merged: Vec<Interval> = Vec::with_capacity(MOST);
        for (index, interval) in self.intervals.drain(..).enumerate() {
            match merged.last_mut().filter(|_| index % 2 == 1) {
                Some(last) => {
                    last.completed += interval.completed;
                    last.errors += interval.errors;
                    // The histogram grows as needed.
                    let _ = last.latencies.add(&interval.latencies);
                }
                None => merged.push(interval),
            }
        }
        self.intervals = merged;
    }

    fn place(&self, time: Duration) -> usize {
        usize::try_from(time.as_nanos() / self.width.as_nanos()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_a_long_run_are_merged_without_loss() {
        let mut series = Series::default();
        for second in 0..10_000 {
            let due = Duration::from_secs(second);
            series.completed(due, due + Duration::from_secs(1), Duration::from_secs(1));
        }
        series.failed(Duration::from_secs(1));
        assert_eq!(series.width(), Duration::from_secs(64));
        assert_eq!(series.intervals().len(), 10_000 / 64 + 1);
        let completed: u64 = series.intervals().iter().map(|interval| interval.completed).sum();
        let measured: u64 =
            series.intervals().iter().map(|interval| interval.latencies.len()).sum();
        assert_eq!((completed, measured), (10_000, 10_000));
        assert_eq!(series.intervals()[0].completed, 63);
        assert_eq!(series.intervals()[0].errors, 1);
    }
}
