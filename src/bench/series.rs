//! How throughput and latency went, in a bounded number of intervals: they become longer as the run
//! does.

use std::time::Duration;

use hdrhistogram::Histogram;

/// So many make a fine picture; one more, and neighbours become one.
const MOST: usize = 240;
const FIRST_WIDTH: Duration = Duration::from_secs(1);

/// An interval of a run.
#[derive(Clone, Debug)]
pub(super) struct Interval {
    /// Results that came in it.
    pub(super) completed: u64,
    /// Failures, and those given up, that came in it.
    pub(super) errors: u64,
    /// Of those that were due in it: a stall shows where it began. In microseconds.
    pub(super) latencies: Histogram<u32>,
}

impl Default for Interval {
    fn default() -> Self {
        let latencies = Histogram::new(2).expect("two digits are allowed");
        Self { completed: 0, errors: 0, latencies }
    }
}

/// Intervals of the same width, from the end of the warm-up on.
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
        // It grows as needed.
        let _ = self.at(due).latencies.record(micros);
    }

    fn at(&mut self, time: Duration) -> &mut Interval {
        let mut place = self.place(time);
        while place >= MOST {
            self.width *= 2;
            let mut halved: Vec<Interval> = Vec::with_capacity(MOST);
            for (index, interval) in self.intervals.drain(..).enumerate() {
                match halved.last_mut().filter(|_| index % 2 == 1) {
                    Some(last) => {
                        last.completed += interval.completed;
                        last.errors += interval.errors;
                        // Both grow as needed.
                        let _ = last.latencies.add(&interval.latencies);
                    }
                    None => halved.push(interval),
                }
            }
            self.intervals = halved;
            place = self.place(time);
        }
        if self.intervals.len() <= place {
            self.intervals.resize_with(place + 1, Interval::default);
        }
        &mut self.intervals[place]
    }

    fn place(&self, time: Duration) -> usize {
        usize::try_from(time.as_nanos() / self.width.as_nanos()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_longer_intervals_and_loses_nothing() {
        let mut series = Series::default();
        for second in 0..10_000 {
            let due = Duration::from_secs(second);
            series.completed(due, due + Duration::from_secs(1), Duration::from_secs(1));
        }
        series.failed(Duration::from_secs(1));
        assert_eq!(series.width(), Duration::from_secs(64));
        assert_eq!(series.intervals().len(), 10_000 / 64 + 1);
        let completed: u64 = series.intervals().iter().map(|it| it.completed).sum();
        let measured: u64 = series.intervals().iter().map(|it| it.latencies.len()).sum();
        assert_eq!((completed, measured), (10_000, 10_000));
        assert_eq!(series.intervals()[0].completed, 63);
        assert_eq!(series.intervals()[0].errors, 1);
    }
}
