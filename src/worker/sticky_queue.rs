//! The name of a worker's sticky queue, read from the labels of metrics.
//!
//! The SDK generates this name and does not reveal it before it stops, which is too late for
//! `polls.rs`. But the SDK can label the metrics of its polls with it. So a meter reads these labels,
//! and replaces each by the worker's own task queue. The replacement is needed because each sticky
//! queue has another name, and each new label would create a new time series.

use std::sync::{Arc, OnceLock};

use temporalio_common::telemetry::{
    TaskQueueLabelStrategy,
    metrics::{
        CoreMeter, Counter, Gauge, GaugeF64, Histogram, HistogramDuration, HistogramF64,
        MetricAttributes, MetricKeyValue, MetricParameters, MetricValue, NewAttributes,
        NoOpCoreMeter, TemporalMeter, UpDownCounter,
    },
};

/// The sticky queue of a worker. Its name is known from the worker's first poll of it.
#[derive(Clone, Debug)]
pub(crate) struct StickyQueue {
    /// The prefix of the queue's name, which is the worker's identity.
    prefix: Arc<str>,
    /// The task queue that the worker also polls.
    normal: Arc<str>,
    name: Arc<OnceLock<String>>,
}

impl StickyQueue {
    /// The sticky queue of the worker that has this identity and polls the task queue `normal`.
    pub(crate) fn of(identity: &str, normal: &str) -> Self {
        Self { prefix: format!("{identity}-").into(), normal: normal.into(), name: Arc::default() }
    }

    /// The queue's name. It is empty before the worker's first poll of it.
    pub(crate) fn name(&self) -> String {
        self.name.get().cloned().unwrap_or_default()
    }

    /// A meter for the worker's connection. It reads the labels, and passes everything on to `inner`.
    pub(crate) fn meter(&self, inner: Option<Arc<dyn CoreMeter>>) -> TemporalMeter {
        let labelled = inner.is_some();
        let inner = inner.unwrap_or_else(|| Arc::new(NoOpCoreMeter));
        // The SDK gives the worker's own metrics this label too.
        let service = MetricKeyValue::new("service_name", "temporal-core-sdk");
        let labels = TaskQueueLabelStrategy::UseNormalAndSticky;
        let meter = LabelReader { queue: self.clone(), inner, labelled };
        TemporalMeter::new(Arc::new(meter), [service].into(), labels)
    }

    /// Reads the name from the labels, and returns them with the worker's task queue in its place.
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

/// A meter that reads the labels of all metrics and passes these on to another meter.
#[derive(Debug)]
struct LabelReader {
    queue: StickyQueue,
    inner: Arc<dyn CoreMeter>,
    /// Whether `inner` uses the labels. The SDK's no-op meter would allocate them again at each call.
    labelled: bool,
}

impl CoreMeter for LabelReader {
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
    fn the_label_with_the_identity_gives_the_name_and_is_replaced() {
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
    fn the_label_is_read_even_if_no_meter_uses_it() {
        let queue = StickyQueue::of("worker@here:1", "orders");
        let mut meter = queue.meter(None);
        meter.merge_attributes(queue_label("worker@here:1-f00"));
        assert_eq!(queue.name(), "worker@here:1-f00");
    }
}
