//! Metrics: the SDK's, the fleet's and a program's own, on one OpenTelemetry provider.
//!
//! Prometheus reads them at `/metrics` of the health listener, and they go out by OTLP. Names are
//! OpenTelemetry's, which Prometheus sees with underscores, unit and `_total` either way:
//! `temporal_request_total`, `temporal_workflow_task_schedule_to_start_latency_seconds`,
//! `fleet_tasks_in_hand`.
//!
//! A program's own: a meter of [`opentelemetry::global`], from activities and everywhere else in the
//! process of a worker.

pub(crate) mod exposition;
mod process;
mod sdk_meter;

use std::{collections::HashMap, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use temporalio_common::telemetry::{METRIC_PREFIX, TelemetryOptions, metrics::CoreMeter};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::sdk_meter::SdkMeter;
use super::{export::metric_reader, resource::resource};
use crate::{
    config::{Config, role::Role},
    error::Error,
    process::state::{State, Vitals},
};

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainOutcome {
    /// Everything in hand was finished.
    Done,
    /// The deadline passed with work in hand.
    Deadline,
}

/// The metrics of this process. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
    /// Tells the exporter that the process ends.
    ending: CancellationToken,
}

impl Metrics {
    /// Starts to count for a process in `role`, where somebody asks for metrics: over the health
    /// listener, or by an endpoint that they go to. `worker` is the name that a supervisor calls this
    /// process by: a label of every metric that is asked for, since many processes then have one
    /// address.
    ///
    /// # Errors
    /// [`Error::Telemetry`] for certificates that do not fit.
    pub(crate) fn start(
        config: &Config,
        role: &str,
        worker: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        if config.health_addr.is_none() && config.telemetry.metrics.is_none() {
            return Ok(None);
        }
        let ending = CancellationToken::new();
        let mut provider = SdkMeterProvider::builder().with_resource(resource(config, role));
        if let Some(reader) = metric_reader(config, ending.clone())? {
            provider = provider.with_reader(reader);
        }
        let labels = worker.map(|name| HashMap::from([("worker".to_owned(), name.to_owned())]));
        // Fails on a prefix that is no name; there is none.
        let registry = Registry::new_custom(None, labels).unwrap_or_default();
        let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        match prometheus.without_scope_info().build() {
            Ok(reader) => provider = provider.with_reader(reader),
            // A registry that is new refuses nothing.
            Err(error) => warn!("no /metrics: {error}"),
        }
        let metrics = Self { provider: provider.build(), registry, ending };
        process::observe(&metrics.meter());
        Ok(Some(metrics))
    }

    /// Sends what there is, for so long at most, and ends the export. It blocks.
    pub(crate) fn flush(&self, within: Duration) {
        self.ending.cancel();
        // What was not sent has been told by the exporter.
        let _ = self.provider.shutdown_with_timeout(within);
    }

    /// Makes a program's own metrics land here: those of a meter of [`opentelemetry::global`].
    pub(crate) fn install(&self) {
        global::set_meter_provider(self.provider.clone());
    }

    /// For the fleet's own metrics.
    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("temporal-fleet")
    }

    /// What the SDK's runtime is told, for the metrics of its workers.
    pub(crate) fn for_runtime(&self) -> TelemetryOptions {
        TelemetryOptions::builder().metrics(Arc::new(self.sdk_meter("")) as Arc<_>).build()
    }

    /// For the metrics of a connection's calls, to which the SDK gives no prefix of its own.
    pub(crate) fn for_connection(&self) -> Arc<dyn CoreMeter> {
        Arc::new(self.sdk_meter(METRIC_PREFIX))
    }

    fn sdk_meter(&self, prefix: &'static str) -> SdkMeter {
        SdkMeter { meter: self.provider.meter("temporal-sdk"), prefix }
    }

    /// Tells of the worker in this process, as it is whenever somebody asks.
    pub(crate) fn observe_worker(
        &self,
        vitals: &Vitals,
        role: Role,
        version: &str,
        build_id: &str,
    ) {
        let meter = self.meter();
        let about = [
            KeyValue::new("role", role.as_str()),
            KeyValue::new("version", version.to_owned()),
            KeyValue::new("build_id", build_id.to_owned()),
        ];
        meter
            .u64_observable_gauge("fleet.build_info")
            .with_description("What runs: always 1")
            .with_callback(move |it| it.observe(1, &about))
            .build();
        let state = vitals.state();
        meter
            .u64_observable_gauge("fleet.worker.state")
            .with_description("1 for the state that the worker is in, 0 for the others")
            .with_callback(move |it| {
                let now = *state.borrow();
                for state in [State::Starting, State::Ready, State::Draining] {
                    let about = [
                        KeyValue::new("role", role.as_str()),
                        KeyValue::new("state", state.to_string()),
                    ];
                    it.observe(u64::from(state == now), &about);
                }
            })
            .build();
        let vitals = vitals.clone();
        meter
            .u64_observable_gauge("fleet.tasks.in_hand")
            .with_description("Tasks that are being worked on")
            .with_callback(move |it| {
                for (kind, count) in [
                    ("workflow_task", vitals.workflow_tasks_in_hand()),
                    ("activity", vitals.activities_in_hand()),
                ] {
                    it.observe(count as u64, &[KeyValue::new("kind", kind)]);
                }
            })
            .build();
    }

    /// Tells what waits in a queue for tasks of a kind, by the server's account.
    pub(crate) fn backlog(
        &self,
        queue: &str,
        kind: &'static str,
        tasks: i64,
        oldest: Option<Duration>,
    ) {
        let about = [KeyValue::new("task_queue", queue.to_owned()), KeyValue::new("kind", kind)];
        self.meter()
            .i64_gauge("fleet.task_queue.backlog")
            .with_description("About how many tasks wait for a worker")
            .build()
            .record(tasks, &about);
        self.meter()
            .f64_gauge("fleet.task_queue.backlog.age")
            .with_unit("s")
            .with_description("How long the first of the tasks that wait has waited")
            .build()
            .record(oldest.unwrap_or_default().as_secs_f64(), &about);
    }

    /// Counts an SDK worker that another one has relieved.
    pub(crate) fn sdk_worker_replaced(&self) {
        self.meter()
            .u64_counter("fleet.sdk_worker.replacements")
            .with_description("SDK workers that another one in this process has relieved")
            .build()
            .add(1, &[]);
    }

    /// Counts a drain.
    pub(crate) fn drained(&self, took: Duration, outcome: DrainOutcome) {
        let outcome = match outcome {
            DrainOutcome::Done => "done",
            DrainOutcome::Deadline => "deadline",
        };
        self.meter()
            .f64_histogram("fleet.drain.duration")
            .with_unit("s")
            .with_description("How long drains took")
            .with_boundaries(vec![0.01, 0.1, 1.0, 5.0, 10.0, 20.0, 60.0, 300.0])
            .build()
            .record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// All metrics in Prometheus' text form.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            warn!("metrics that have no text: {error}");
        }
        text
    }
}
