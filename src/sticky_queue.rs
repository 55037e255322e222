//! The name of a worker's sticky queue.
//!
//! The SDK makes it up and keeps it to itself until it stops, which is too late for `polls.rs`. But
//! it labels the metrics of its polls with it: hence a meter that measures nothing. Whoever wants
//! the connection's metrics passes them on from here.

use std::sync::{Arc, OnceLock};

use temporalio_common::telemetry::{
    TaskQueueLabelStrategy,
    metrics::{
        CoreMeter, Counter, Gauge, GaugeF64, Histogram, HistogramDuration, HistogramF64,
        MetricAttributes, MetricParameters, MetricValue, NewAttributes, NoOpCoreMeter,
        TemporalMeter, UpDownCounter,
    },
};

/// Knows the sticky queue of a worker from its first poll of it.
#[derive(Clone, Debug)]
pub(crate) struct StickyQueue {
    /// What the names of the worker's sticky queues begin with: its identity.
    prefix: Arc<str>,
    name: Arc<OnceLock<String>>,
}

impl StickyQueue {
    pub(crate) fn of(identity: &str) -> Self {
        Self { prefix: format!("{identity}-").into(), name: Arc::default() }
    }

    /// Its name; empty while the worker polls none.
    pub(crate) fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    /// For the worker's connection.
    pub(crate) fn meter(&self) -> TemporalMeter {
        let labels = TaskQueueLabelStrategy::UseNormalAndSticky;
        TemporalMeter::new(Arc::new(self.clone()), NewAttributes::default(), labels)
    }
}

impl CoreMeter for StickyQueue {
    fn new_attributes(&self, labels: NewAttributes) -> MetricAttributes {
        self.extend_attributes(MetricAttributes::Empty, labels)
    }

    fn extend_attributes(&self, known: MetricAttributes, new: NewAttributes) -> MetricAttributes {
        if self.name.get().is_none() {
            let queue = new.attributes.into_iter().find_map(|label| match label.value {
                MetricValue::String(name) if name.starts_with(&*self.prefix) => Some(name),
                _ => None,
            });
            queue.map(|name| self.name.set(name));
        }
        known
    }

    fn counter(&self, of: MetricParameters) -> Counter {
        NoOpCoreMeter.counter(of)
    }

    fn histogram(&self, of: MetricParameters) -> Histogram {
        NoOpCoreMeter.histogram(of)
    }

    fn histogram_f64(&self, of: MetricParameters) -> HistogramF64 {
        NoOpCoreMeter.histogram_f64(of)
    }

    fn histogram_duration(&self, of: MetricParameters) -> HistogramDuration {
        NoOpCoreMeter.histogram_duration(of)
    }

    fn gauge(&self, of: MetricParameters) -> Gauge {
        NoOpCoreMeter.gauge(of)
    }

    fn gauge_f64(&self, of: MetricParameters) -> GaugeF64 {
        NoOpCoreMeter.gauge_f64(of)
    }

    fn up_down_counter(&self, of: MetricParameters) -> UpDownCounter {
        NoOpCoreMeter.up_down_counter(of)
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::telemetry::metrics::MetricKeyValue;

    use super::*;

    #[test]
    fn the_label_that_begins_with_the_identity_is_the_name() {
        let queue = StickyQueue::of("worker@here:1");
        let mut meter = queue.meter();
        meter.merge_attributes([MetricKeyValue::new("task_queue", "orders")].into());
        meter.merge_attributes([MetricKeyValue::new("task_queue", "worker@here:12-f00")].into());
        assert_eq!(queue.name(), "");
        meter.merge_attributes([MetricKeyValue::new("task_queue", "worker@here:1-f00")].into());
        assert_eq!(queue.name(), "worker@here:1-f00");
    }
}
