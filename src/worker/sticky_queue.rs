//! The name of a worker's sticky queue.
//!
//! The SDK makes it up and keeps it to itself until it stops, which is too late for `polls.rs`. But
//! it labels the metrics of its polls with it, where it is asked to: hence a meter that reads the
//! labels, and puts the worker's own queue in their place. No two sticky queues have the same name,
//! and each label of its own would be a metric of its own.

use std::sync::{Arc, OnceLock};

use temporalio_common::telemetry::{
    TaskQueueLabelStrategy,
    metrics::{
        CoreMeter, Counter, Gauge, GaugeF64, Histogram, HistogramDuration, HistogramF64,
        MetricAttributes, MetricKeyValue, MetricParameters, MetricValue, NewAttributes,
        NoOpCoreMeter, TemporalMeter, UpDownCounter,
    },
};

/// Knows the sticky queue of a worker from its first poll of it.
#[derive(Clone, Debug)]
pub(crate) struct StickyQueue {
    /// What the names of the worker's sticky queues begin with: its identity.
    prefix: Arc<str>,
    /// The queue that the worker polls beside.
    normal: Arc<str>,
    name: Arc<OnceLock<String>>,
}

impl StickyQueue {
    /// Of the worker that calls itself `identity` and polls the queue `normal`.
    pub(crate) fn of(identity: &str, normal: &str) -> Self {
        Self { prefix: format!("{identity}-").into(), normal: normal.into(), name: Arc::default() }
    }

    /// Its name; empty while the worker polls none.
    pub(crate) fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    /// For the worker's connection; `inner` measures it, if anybody does.
    pub(crate) fn meter(&self, inner: Option<Arc<dyn CoreMeter>>) -> TemporalMeter {
        let labelled = inner.is_some();
        let inner = inner.unwrap_or_else(|| Arc::new(NoOpCoreMeter));
        // As the SDK labels the worker's own metrics.
        let service = MetricKeyValue::new("service_name", "temporal-core-sdk");
        let labels = TaskQueueLabelStrategy::UseNormalAndSticky;
        let reading = Reading { queue: self.clone(), inner, labelled };
        TemporalMeter::new(Arc::new(reading), [service].into(), labels)
    }

    /// The labels, with the worker's own queue in place of its sticky one.
    fn read(&self, mut labels: NewAttributes) -> NewAttributes {
        for label in &mut labels.attributes {
            if let MetricValue::String(value) = &mut label.value
                && value.starts_with(&*self.prefix)
            {
                let sticky = std::mem::replace(value, self.normal.to_string());
                self.name.get_or_init(|| sticky);
            }
        }
        labels
    }
}

/// A meter of which the labels are read.
#[derive(Debug)]
struct Reading {
    queue: StickyQueue,
    inner: Arc<dyn CoreMeter>,
    /// Whether anybody keeps the labels: the SDK's meter for nobody does, for each call anew.
    labelled: bool,
}

impl CoreMeter for Reading {
    fn new_attributes(&self, labels: NewAttributes) -> MetricAttributes {
        let labels = self.queue.read(labels);
        if self.labelled { self.inner.new_attributes(labels) } else { MetricAttributes::Empty }
    }

    fn extend_attributes(&self, known: MetricAttributes, new: NewAttributes) -> MetricAttributes {
        let new = self.queue.read(new);
        if self.labelled { self.inner.extend_attributes(known, new) } else { known }
    }

    fn counter(&self, of: MetricParameters) -> Counter {
        self.inner.counter(of)
    }

    fn histogram(&self, of: MetricParameters) -> Histogram {
        self.inner.histogram(of)
    }

    fn histogram_f64(&self, of: MetricParameters) -> HistogramF64 {
        self.inner.histogram_f64(of)
    }

    fn histogram_duration(&self, of: MetricParameters) -> HistogramDuration {
        self.inner.histogram_duration(of)
    }

    fn gauge(&self, of: MetricParameters) -> Gauge {
        self.inner.gauge(of)
    }

    fn gauge_f64(&self, of: MetricParameters) -> GaugeF64 {
        self.inner.gauge_f64(of)
    }

    fn up_down_counter(&self, of: MetricParameters) -> UpDownCounter {
        self.inner.up_down_counter(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_label(value: &str) -> NewAttributes {
        [MetricKeyValue::new("task_queue", value.to_owned())].into()
    }

    #[test]
    fn the_label_that_begins_with_the_identity_is_the_name_and_is_told_to_nobody() {
        let queue = StickyQueue::of("worker@here:1", "orders");
        let read = |value| match queue.read(queue_label(value)).attributes.remove(0).value {
            MetricValue::String(value) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!((read("orders"), queue.name()), ("orders".into(), String::new()));
        let others = "worker@here:12-f00";
        assert_eq!((read(others), queue.name()), (others.into(), String::new()));
        let own = "worker@here:1-f00";
        assert_eq!((read(own), queue.name()), ("orders".into(), own.into()));
    }

    #[test]
    fn the_label_is_read_where_nobody_measures() {
        let queue = StickyQueue::of("worker@here:1", "orders");
        let mut meter = queue.meter(None);
        meter.merge_attributes(queue_label("worker@here:1-f00"));
        assert_eq!(queue.name(), "worker@here:1-f00");
    }
}
