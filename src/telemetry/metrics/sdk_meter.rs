//! The SDK's metrics on a meter of ours.
//!
//! The SDK takes one meter and keeps what it makes of it to itself: an exporter to a collector, or a
//! listener for Prometheus with a registry that nobody else can read. Here its instruments are
//! OpenTelemetry's, so that one provider serves both, and the fleet's own metrics beside them.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{self, HistogramBuilder, Meter},
};
use temporalio_common::telemetry::{
    METRIC_PREFIX,
    metrics::{
        CoreMeter, Counter, Gauge, GaugeF64, Histogram, HistogramDuration, HistogramDurationBase,
        HistogramF64, HistogramF64Base, MetricAttributable, MetricAttributes, MetricParameters,
        NewAttributes, UpDownCounter, default_buckets_for,
    },
};

/// An OpenTelemetry meter, as the SDK asks for one. Durations are in seconds.
#[derive(Debug)]
pub(super) struct SdkMeter {
    pub(super) meter: Meter,
    /// What comes before each name.
    pub(super) prefix: &'static str,
}

impl CoreMeter for SdkMeter {
    fn new_attributes(&self, attributes: NewAttributes) -> MetricAttributes {
        let kvs = attributes.attributes.into_iter().map(KeyValue::from).collect();
        MetricAttributes::OTel { kvs: Arc::new(kvs) }
    }

    fn extend_attributes(
        &self,
        existing: MetricAttributes,
        more: NewAttributes,
    ) -> MetricAttributes {
        // Others are not of this meter's making, and hold nothing that could be kept.
        let MetricAttributes::OTel { mut kvs } = existing else { return self.new_attributes(more) };
        Arc::make_mut(&mut kvs).extend(more.attributes.into_iter().map(KeyValue::from));
        MetricAttributes::OTel { kvs }
    }

    fn counter(&self, of: MetricParameters) -> Counter {
        let builder = self.meter.u64_counter(self.named(&of)).with_unit(of.unit);
        Counter::new(Arc::new(builder.with_description(of.description).build()))
    }

    fn histogram(&self, of: MetricParameters) -> Histogram {
        let builder = self.meter.u64_histogram(self.named(&of));
        Histogram::new(Arc::new(with_buckets(builder, of).build()))
    }

    fn histogram_f64(&self, of: MetricParameters) -> HistogramF64 {
        HistogramF64::new(Arc::new(self.f64_histogram(of)))
    }

    fn histogram_duration(&self, mut of: MetricParameters) -> HistogramDuration {
        of.unit = "s".into();
        HistogramDuration::new(Arc::new(Seconds(self.f64_histogram(of))))
    }

    fn gauge(&self, of: MetricParameters) -> Gauge {
        let builder = self.meter.u64_gauge(self.named(&of)).with_unit(of.unit);
        Gauge::new(Arc::new(builder.with_description(of.description).build()))
    }

    fn gauge_f64(&self, of: MetricParameters) -> GaugeF64 {
        let builder = self.meter.f64_gauge(self.named(&of)).with_unit(of.unit);
        GaugeF64::new(Arc::new(builder.with_description(of.description).build()))
    }

    fn up_down_counter(&self, of: MetricParameters) -> UpDownCounter {
        let builder = self.meter.i64_up_down_counter(self.named(&of)).with_unit(of.unit);
        UpDownCounter::new(Arc::new(builder.with_description(of.description).build()))
    }
}

impl SdkMeter {
    fn f64_histogram(&self, of: MetricParameters) -> metrics::Histogram<f64> {
        let builder = self.meter.f64_histogram(self.named(&of));
        with_buckets(builder, of).build()
    }

    fn named(&self, of: &MetricParameters) -> String {
        format!("{}{}", self.prefix, of.name)
    }
}

/// The SDK's own buckets for the metric, which Temporal's dashboards are made for.
fn with_buckets<T>(
    builder: HistogramBuilder<'_, T>,
    of: MetricParameters,
) -> HistogramBuilder<'_, T> {
    // They go by names without the prefix.
    let name = of.name.strip_prefix(METRIC_PREFIX).unwrap_or(&of.name);
    let buckets = default_buckets_for(name, true).to_vec();
    builder.with_boundaries(buckets).with_unit(of.unit).with_description(of.description)
}

/// A histogram of durations, recorded in seconds.
struct Seconds(metrics::Histogram<f64>);

impl MetricAttributable<Box<dyn HistogramDurationBase>> for Seconds {
    fn with_attributes(
        &self,
        attributes: &MetricAttributes,
    ) -> Result<Box<dyn HistogramDurationBase>, Box<dyn StdError>> {
        Ok(Box::new(BoundSeconds(self.0.with_attributes(attributes)?)))
    }
}

struct BoundSeconds(Box<dyn HistogramF64Base>);

impl HistogramDurationBase for BoundSeconds {
    fn records(&self, value: Duration) {
        self.0.records(value.as_secs_f64());
    }
}
