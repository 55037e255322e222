//! What the health listener of a supervisor answers: readiness, status and metrics of the whole
//! fleet.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, WeakShared, join_all},
};
use opentelemetry::KeyValue;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    dev_server::DevServerRecord,
    roster::{WorkerRecord, WorkerRecords, unready},
};
use crate::{
    health::{Health, ask},
    process::state::State,
    telemetry::metrics::{Metrics, exposition::merged},
};

/// How long a worker may take to send its metrics: a tenth of Prometheus' own timeout.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(1);
/// How large the metrics of a worker may be, in bytes: many times what they are.
const LARGEST_SCRAPE: usize = 4 * 1024 * 1024;

/// The health of a fleet, read from its workers' current state.
#[derive(Clone)]
pub(crate) struct FleetHealth {
    workers: watch::Receiver<WorkerRecords>,
    /// The dev server that runs with the fleet, if one does.
    dev_server: Option<watch::Receiver<DevServerRecord>>,
    /// Cancelled when the fleet stops.
    stop: CancellationToken,
    version: String,
    metrics: Option<Metrics>,
    started: Instant,
    /// The collection of metrics that is under way, for all who ask meanwhile.
    scrape: Arc<Mutex<Option<WeakShared<BoxFuture<'static, String>>>>>,
}

impl FleetHealth {
    /// Also registers the fleet's own metrics with `metrics`.
    pub(super) fn new(
        workers: watch::Receiver<WorkerRecords>,
        stop: CancellationToken,
        version: String,
        metrics: Option<Metrics>,
    ) -> Self {
        if let Some(metrics) = &metrics {
            count_workers(metrics, workers.clone());
            count_of_each(metrics, workers.clone(), &RESTARTS);
            count_of_each(metrics, workers.clone(), &STUCK);
            count_of_each(metrics, workers.clone(), &POISON);
        }
        let scrape = Arc::default();
        Self { workers, dev_server: None, stop, version, metrics, started: Instant::now(), scrape }
    }

    /// Also shows the dev server.
    pub(crate) fn with_dev_server(
        mut self,
        dev_server: Option<watch::Receiver<DevServerRecord>>,
    ) -> Self {
        self.dev_server = dev_server;
        self
    }
}

impl FleetHealth {
    /// Where the health listeners of the workers are.
    fn addresses(&self) -> Vec<SocketAddr> {
        let workers = self.workers.borrow();
        workers.values().filter_map(|worker| worker.process.as_ref()?.health_addr).collect()
    }
}

impl Health for FleetHealth {
    fn ready(&self) -> (bool, String) {
        if self.stop.is_cancelled() {
            return (false, State::Draining.to_string());
        }
        let unready = unready(&self.workers.borrow());
        if unready.is_empty() {
            (true, State::Ready.to_string())
        } else {
            (false, format!("not ready: {}", unready.join(", ")))
        }
    }

    fn status(&self) -> Value {
        let state = match self.ready() {
            (true, _) => State::Ready,
            (false, _) if self.stop.is_cancelled() => State::Draining,
            (false, _) => State::Starting,
        };
        let workers = self.workers.borrow();
        let status = FleetStatus {
            state,
            version: &self.version,
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            workers: workers.iter().map(|(name, worker)| WorkerStatus::new(name, worker)).collect(),
            dev_server: self.dev_server.as_ref().map(|server| server.borrow().clone()),
        };
        serde_json::to_value(status).unwrap_or_default()
    }

    /// The supervisor's own metrics and those of its workers. A worker that does not answer is left
    /// out. Each worker is asked once at a time, for all who ask meanwhile.
    async fn metrics(&self) -> String {
        let scrape = {
            let mut current = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
            current.as_ref().and_then(WeakShared::upgrade).unwrap_or_else(|| {
                let scrape = collect(self.addresses(), self.metrics.clone()).boxed().shared();
                *current = scrape.downgrade();
                scrape
            })
        };
        scrape.await
    }
}

/// The metrics of a supervisor and of the workers at these addresses.
async fn collect(workers: Vec<SocketAddr>, own: Option<Metrics>) -> String {
    let asked =
        workers.into_iter().map(|address| ask(address, "/metrics", SCRAPE_TIMEOUT, LARGEST_SCRAPE));
    let answers = join_all(asked).await;
    let mut texts: Vec<_> = own.iter().map(Metrics::text).collect();
    texts.extend(answers.into_iter().filter_map(|answer| match answer {
        Ok((200, text)) => Some(text),
        _ => None,
    }));
    merged(texts.iter().map(String::as_str))
}

/// The body of `/status`.
#[derive(Serialize)]
struct FleetStatus<'a> {
    state: State,
    version: &'a str,
    pid: u32,
    uptime_s: u64,
    workers: Vec<WorkerStatus<'a>>,
    dev_server: Option<DevServerRecord>,
}

/// A worker in the body of `/status`. What only a process has is `None` while none runs.
#[derive(Serialize)]
struct WorkerStatus<'a> {
    name: &'a str,
    group: &'a str,
    role: &'static str,
    state: String,
    pid: Option<u32>,
    uptime_s: Option<u64>,
    health_addr: Option<SocketAddr>,
    restarts: u32,
}

impl<'a> WorkerStatus<'a> {
    fn new(name: &'a str, worker: &'a WorkerRecord) -> Self {
        let process = worker.process.as_ref();
        Self {
            name,
            group: &worker.group,
            role: worker.role.as_str(),
            state: worker.state(),
            pid: process.map(|process| process.pid),
            uptime_s: process.map(|process| process.started.elapsed().as_secs()),
            health_addr: process.and_then(|process| process.health_addr),
            restarts: worker.restarts,
        }
    }
}

/// Registers the gauge of workers by role and state.
fn count_workers(metrics: &Metrics, workers: watch::Receiver<WorkerRecords>) {
    metrics
        .meter()
        .u64_observable_gauge("fleet.workers")
        .with_description("Workers of this fleet, by group, role and state")
        .with_callback(move |gauge| {
            let mut counts = BTreeMap::<_, u64>::new();
            for worker in workers.borrow().values() {
                let labels = (worker.group.clone(), worker.role.as_str(), worker.state());
                *counts.entry(labels).or_default() += 1;
            }
            for ((group, role, state), count) in counts {
                let labels = [("group", group), ("role", role.to_owned()), ("state", state)];
                gauge.observe(count, &labels.map(|(name, value)| KeyValue::new(name, value)));
            }
        })
        .build();
}

/// A counter that each worker's record has.
struct Counter {
    name: &'static str,
    description: &'static str,
    count: fn(&WorkerRecord) -> u32,
}

const RESTARTS: Counter = Counter {
    name: "fleet.worker.restarts",
    description: "How often a worker was replaced",
    count: |worker| worker.restarts,
};

const STUCK: Counter = Counter {
    name: "fleet.worker.stuck",
    description: "How often a worker gave no sign of life and was killed",
    count: |worker| worker.stuck,
};

const POISON: Counter = Counter {
    name: "fleet.workflow.poison",
    description: "Workflows that have ended or blocked three workers, by the last of these",
    count: |worker| worker.poison,
};

/// Registers a counter by worker.
fn count_of_each(metrics: &Metrics, workers: watch::Receiver<WorkerRecords>, of: &Counter) {
    let count = of.count;
    metrics
        .meter()
        .u64_observable_counter(of.name)
        .with_description(of.description)
        .with_callback(move |counter| {
            for (name, worker) in workers.borrow().iter() {
                let labels = [
                    KeyValue::new("worker", name.clone()),
                    KeyValue::new("group", worker.group.clone()),
                    KeyValue::new("role", worker.role.as_str()),
                ];
                counter.observe(u64::from(count(worker)), &labels);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        config::role::Role,
        health::Listener,
        local::roster::{Roster, Worker},
    };

    /// A worker whose metrics take a moment, and which counts how often it is asked.
    struct SlowWorker(Arc<AtomicUsize>);

    impl Health for SlowWorker {
        fn ready(&self) -> (bool, String) {
            (true, "ready".into())
        }

        fn status(&self) -> Value {
            Value::Null
        }

        async fn metrics(&self) -> String {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(SCRAPE_TIMEOUT / 4).await;
            "up 1\n".into()
        }
    }

    #[tokio::test]
    async fn a_worker_is_asked_once_for_all_who_ask_at_the_same_time() {
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address;
        let _worker: tokio::task::JoinHandle<Infallible> =
            tokio::spawn(listener.serve(SlowWorker(asked.clone())));
        let roster = Roster::new([Worker {
            name: "worker:0".into(),
            group: "worker".into(),
            role: Role::Worker,
        }]);
        roster.started("worker:0", 1);
        roster.update_process("worker:0", |process| process.health_addr = Some(address));
        let stop = CancellationToken::new();
        let health = FleetHealth::new(roster.subscribe(), stop, String::new(), None);

        let texts = join_all((0..20).map(|_| health.metrics())).await;
        assert!(texts.iter().all(|text| text == "up 1\n"), "{texts:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        health.metrics().await;
        assert_eq!(asked.load(Ordering::Relaxed), 2, "what is asked later is asked again");
    }
}
