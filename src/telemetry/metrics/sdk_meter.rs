//! The SDK's metrics as instruments of an OpenTelemetry meter.
//!
//! The SDK itself can either export its metrics to a collector or serve them for Prometheus, from a
//! registry that no other code can read. With instruments of the fleet's own provider its metrics
//! go both ways, together with those of the fleet and of the user's code.

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

/// An OpenTelemetry meter behind the SDK's interface. Durations are in seconds.
#[derive(Debug)]
pub(super) struct SdkMeter {
    pub(super) meter: Meter,
    /// The prefix of each metric's name.
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
        // Attributes of another kind do not come from this meter, and cannot be read.
        let MetricAttributes::OTel { mut kvs } = existing else { return self.new_attributes(more) };
        Arc::make_mut(&mut kvs).extend(more.attributes.into_iter().map(KeyValue::from));
        MetricAttributes::OTel { kvs }
    }

    fn counter(&self, parameters: MetricParameters) -> Counter {
        let builder = self.meter.u64_counter(self.name(&parameters)).with_unit(parameters.unit);
        Counter::new(Arc::new(builder.with_description(parameters.description).build()))
    }

    fn histogram(&self, parameters: MetricParameters) -> Histogram {
        let builder = self.meter.u64_histogram(self.name(&parameters));
        Histogram::new(Arc::new(with_buckets(builder, parameters).build()))
    }

    fn histogram_f64(&self, parameters: MetricParameters) -> HistogramF64 {
        HistogramF64::new(Arc::new(self.f64_histogram(parameters)))
    }

    fn histogram_duration(&self, mut parameters: MetricParameters) -> HistogramDuration {
        parameters.unit = "s".into();
        HistogramDuration::new(Arc::new(SecondsHistogram(self.f64_histogram(parameters))))
    }

    fn gauge(&self, parameters: MetricParameters) -> Gauge {
        let builder = self.meter.u64_gauge(self.name(&parameters)).with_unit(parameters.unit);
        Gauge::new(Arc::new(builder.with_description(parameters.description).build()))
    }

    fn gauge_f64(&self, parameters: MetricParameters) -> GaugeF64 {
        let builder = self.meter.f64_gauge(self.name(&parameters)).with_unit(parameters.unit);
        GaugeF64::new(Arc::new(builder.with_description(parameters.description).build()))
    }

    fn up_down_counter(&self, parameters: MetricParameters) -> UpDownCounter {
        let builder =
            self.meter.i64_up_down_counter(self.name(&parameters)).with_unit(parameters.unit);
        UpDownCounter::new(Arc::new(builder.with_description(parameters.description).build()))
    }
}

impl SdkMeter {
    fn f64_histogram(&self, parameters: MetricParameters) -> metrics::Histogram<f64> {
        let builder = self.meter.f64_histogram(self.name(&parameters));
        with_buckets(builder, parameters).build()
    }

    fn name(&self, parameters: &MetricParameters) -> String {
        format!("{}{}", self.prefix, parameters.name)
    }
}

/// Sets the unit, the description and the SDK's own buckets, which Temporal's dashboards expect.
fn with_buckets<T>(
    builder: HistogramBuilder<'_, T>,
    parameters: MetricParameters,
) -> HistogramBuilder<'_, T> {
    // The SDK looks up buckets by names without the prefix.
    let name = parameters.name.strip_prefix(METRIC_PREFIX).unwrap_or(&parameters.name);
    let buckets = default_buckets_for(name, true).to_vec();
    builder
        .with_boundaries(buckets)
        .with_unit(parameters.unit)
        .with_description(parameters.description)
}

/// A histogram of durations, recorded in seconds.
struct SecondsHistogram(metrics::Histogram<f64>);

impl MetricAttributable<Box<dyn HistogramDurationBase>> for SecondsHistogram {
    fn with_attributes(
        &self,
        attributes: &MetricAttributes,
    ) -> Result<Box<dyn HistogramDurationBase>, Box<dyn StdError>> {
        Ok(Box::new(BoundSecondsHistogram(self.0.with_attributes(attributes)?)))
    }
}

struct BoundSecondsHistogram(Box<dyn HistogramF64Base>);

impl HistogramDurationBase for BoundSecondsHistogram {
    fn records(&self, value: Duration) {
        self.0.records(value.as_secs_f64());
    }
}
