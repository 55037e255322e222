//! Metrics of the SDK, of the fleet and of the user's code, on one OpenTelemetry provider.
//!
//! They are served at `/metrics` of the health listener and exported over OTLP. Names follow
//! OpenTelemetry; in Prometheus they have underscores, the unit and `_total`, whichever way they
//! get there: `temporal_request_total`,
//! `temporal_workflow_task_schedule_to_start_latency_seconds`, `fleet_tasks_in_hand`.
//!
//! User code in the process of a worker, in activities and elsewhere, adds metrics with a meter of
//! [`opentelemetry::global`].

pub(crate) mod exposition;
mod process;
mod sdk_meter;

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue, global,
    metrics::{Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};
use temporalio_common::telemetry::{METRIC_PREFIX, TelemetryOptions, metrics::CoreMeter};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::sdk_meter::SdkMeter;
use super::{export, resource::Service};
use crate::{
    config::{otel::Settings, role::Role},
    error::Error,
    process::state::{State, Vitals},
};

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainOutcome {
    /// All work in flight was finished.
    Done,
    /// The deadline passed with work in flight.
    Deadline,
}

/// The metrics of this process. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
    /// Notifies the exporter that the process ends.
    ending: CancellationToken,
}

impl Metrics {
    /// Starts metrics; `None` if nothing reads them: they are neither served (`is_served`) at
    /// `/metrics` of a health listener, nor do the settings name an endpoint for them.
    ///
    /// `worker` is the name of this process under a supervisor. Metrics at `/metrics` have it as a
    /// label, because the supervisor serves those of all its workers at one address.
    ///
    /// # Errors
    /// [`Error::Telemetry`] if the exporter cannot be built, for instance from wrong certificates.
    pub(super) fn start(
        settings: &Settings,
        service: &Service,
        is_served: bool,
        worker: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        if !is_served && settings.metrics.is_none() {
            return Ok(None);
        }
        let ending = CancellationToken::new();
        let mut provider = SdkMeterProvider::builder().with_resource(service.resource(settings));
        if let Some(endpoint) = &settings.metrics {
            let exporter = export::metrics(endpoint, ending.clone())?;
            let reader = PeriodicReader::builder(exporter).with_interval(settings.metric_interval);
            provider = provider.with_reader(reader.build());
        }
        // `payments:0` is a worker of the group payments.
        let labels = worker.map(|name| {
            let group = name.rsplit_once(':').map_or(name, |(group, _)| group);
            let labels = [("worker", name), ("group", group)];
            labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
        });
        let registry = Registry::new_custom(None, labels).expect("no prefix that could be invalid");
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_scope_info();
        let reader = prometheus.build().expect("a new registry accepts every collector");
        let provider = provider.with_reader(reader).build();
        let metrics = Self { provider, registry, ending };
        process::observe(&metrics.meter());
        Ok(Some(metrics))
    }

    /// Sends the metrics once more, for at most `timeout`, and ends the export. It blocks.
    pub(super) fn flush(&self, timeout: Duration) {
        self.ending.cancel();
        // The exporter has already logged what could not be sent.
        let _ = self.provider.shutdown_with_timeout(timeout);
    }

    /// Makes metrics of the user's code part of these: those of a meter of
    /// [`opentelemetry::global`].
    pub(super) fn install(&self) {
        global::set_meter_provider(self.provider.clone());
    }

    /// The meter of the fleet's own metrics.
    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("temporal-fleet")
    }

    /// Options for the SDK's runtime, so that the metrics of its workers are part of these.
    pub(crate) fn for_runtime(&self) -> TelemetryOptions {
        TelemetryOptions::builder().metrics(Arc::new(self.sdk_meter("")) as Arc<_>).build()
    }

    /// The meter for the calls of a connection. It adds the prefix, because the SDK does not add it
    /// to these metrics.
    pub(crate) fn for_connection(&self) -> Arc<dyn CoreMeter> {
        Arc::new(self.sdk_meter(METRIC_PREFIX))
    }

    fn sdk_meter(&self, prefix: &'static str) -> SdkMeter {
        SdkMeter { meter: self.provider.meter("temporal-sdk"), prefix }
    }

    /// Adds the metrics of the worker in this process. They are read at each collection.
    pub(crate) fn observe_worker(
        &self,
        vitals: &Vitals,
        role: Role,
        version: &str,
        build_id: &str,
    ) {
        let labels = [
            KeyValue::new("role", role.as_str()),
            KeyValue::new("version", version.to_owned()),
            KeyValue::new("build_id", build_id.to_owned()),
        ];
        self.meter()
            .u64_observable_gauge("fleet.build_info")
            .with_description("The build that the worker runs: always 1")
            .with_callback(move |observer| observer.observe(1, &labels))
            .build();
        self.observe_state(vitals, role);
        self.observe_tasks(vitals);
        self.observe_polls(vitals, role);
    }

    fn observe_polls(&self, vitals: &Vitals, role: Role) {
        let logs = vitals.polls().clone();
        self.meter()
            .f64_observable_gauge("fleet.poll.silence")
            .with_unit("s")
            .with_description("How long polls have been open without an answer to any of them")
            .with_callback(move |observer| {
                for (is_polled, kind, log) in [
                    (role.runs_workflows(), "workflow", &logs.workflow_tasks),
                    (role.runs_activities(), "activity", &logs.activities),
                ] {
                    if is_polled {
                        observer
                            .observe(log.silence().as_secs_f64(), &[KeyValue::new("kind", kind)]);
                    }
                }
            })
            .build();
    }

    fn observe_state(&self, vitals: &Vitals, role: Role) {
        let current = vitals.state();
        self.meter()
            .u64_observable_gauge("fleet.worker.state")
            .with_description("1 for the state that the worker is in, 0 for the others")
            .with_callback(move |observer| {
                let current = *current.borrow();
                for state in State::ALL {
                    let labels = [
                        KeyValue::new("role", role.as_str()),
                        KeyValue::new("state", state.to_string()),
                    ];
                    observer.observe(u64::from(state == current), &labels);
                }
            })
            .build();
    }

    fn observe_tasks(&self, vitals: &Vitals) {
        let vitals = vitals.clone();
        self.meter()
            .u64_observable_gauge("fleet.tasks.in_hand")
            .with_description("Tasks in flight")
            .with_callback(move |observer| {
                for (kind, count) in [
                    ("workflow_task", vitals.workflow_tasks_in_flight()),
                    ("activity", vitals.activities_in_flight()),
                ] {
                    observer.observe(count as u64, &[KeyValue::new("kind", kind)]);
                }
            })
            .build();
    }

    /// Records how many tasks of a kind wait in a task queue, and for how long the oldest has
    /// waited, as the server reports it.
    pub(crate) fn record_backlog(
        &self,
        queue: &str,
        kind: &'static str,
        tasks: i64,
        oldest: Option<Duration>,
    ) {
        let labels = [KeyValue::new("task_queue", queue.to_owned()), KeyValue::new("kind", kind)];
        self.meter()
            .i64_gauge("fleet.task_queue.backlog")
            .with_description("Approximate number of tasks that wait for a worker")
            .build()
            .record(tasks, &labels);
        self.meter()
            .f64_gauge("fleet.task_queue.backlog.age")
            .with_unit("s")
            .with_description("How long the oldest waiting task has waited")
            .build()
            .record(oldest.unwrap_or_default().as_secs_f64(), &labels);
    }

    /// Counts an SDK worker that another one has replaced.
    pub(crate) fn count_replacement(&self) {
        self.meter()
            .u64_counter("fleet.sdk_worker.replacements")
            .with_description("SDK workers that were replaced by another one in this process")
            .build()
            .add(1, &[]);
    }

    /// Records how long a drain took and how it ended.
    pub(crate) fn record_drain(&self, took: Duration, outcome: DrainOutcome) {
        let outcome = match outcome {
            DrainOutcome::Done => "done",
            DrainOutcome::Deadline => "deadline",
        };
        self.meter()
            .f64_histogram("fleet.drain.duration")
            .with_unit("s")
            .with_description("Duration of drains")
            .with_boundaries(vec![0.01, 0.1, 1.0, 5.0, 10.0, 20.0, 60.0, 300.0])
            .build()
            .record(took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            warn!("cannot write the metrics as text; /metrics is incomplete: {error}");
        }
        text
    }
}
