//! `/metrics`: the metrics of the SDK, of the fleet and of a user's program, under the names that
//! dashboards use.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;

use crate::{
    collector::Collector,
    support::{Process, World, eventually, get, kill, run},
};

/// The samples of a scrape, each with its name, labels and value.
struct Scrape(Vec<(String, BTreeMap<String, String>, f64)>);

impl Scrape {
    #[track_caller]
    fn of(address: &str) -> Self {
        let (code, text) = get(address, "/metrics").unwrap();
        assert_eq!(code, 200);
        let mut described = BTreeSet::new();
        let mut samples = vec![];
        for line in text.lines() {
            if let Some(about) = line.strip_prefix("# TYPE ") {
                assert!(described.insert(about.to_owned()), "described twice: {about}");
            }
            if !line.starts_with('#') {
                samples.push(sample(line));
            }
        }
        Self(samples)
    }

    /// Returns the sum of a metric's samples that have all of these labels, or `None` if there are none.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| of.get(*key).is_some_and(|label| label == value))
        };
        self.0
            .iter()
            .filter(|(its, of, _)| its == name && has(of))
            .map(|(.., value)| *value)
            .reduce(|a, b| a + b)
    }

    /// Returns the workers for which a metric has samples.
    fn workers(&self, name: &str) -> BTreeSet<&str> {
        let of_name = self.0.iter().filter(|(its, ..)| its == name);
        of_name.filter_map(|(_, of, _)| of.get("worker").map(String::as_str)).collect()
    }
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
    let label = |text: &str| {
        let (key, value) = text.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    };
    (name.to_owned(), labels.map(label).collect(), value.parse().unwrap())
}

#[test]
fn a_worker_of_both_kinds_receives_activities_eagerly() {
    let world = World::new();
    let (_worker, address) = Process::start_probed(world.fleet(["worker", "--role", "worker"]));
    run(world.fleet(["starter", "-n", "5"])).success();
    let scrape = Scrape::of(&address);
    let received = |eager| scrape.sum("temporal_activity_task_received_total", &[("eager", eager)]);
    // The worker received no activity by a poll.
    assert_eq!((received("true"), received("false")), (Some(5.0), None));
}

#[test]
fn a_fleet_exposes_its_workers_metrics_with_the_names_in_temporals_docs() {
    let world = World::new();
    let (up, address) = Process::start_probed(world.fleet(["up", "-w", "2", "-a", "1"]));
    eventually("the fleet is ready", || {
        get(&address, "/readyz").is_some_and(|answer| answer.0 == 200)
    });
    run(world.fleet(["starter", "-n", "25"])).success();

    let queue = world.workflow_queue();
    let of_queue = [("task_queue", queue.as_str())];
    let counts = [
        ("temporal_workflow_completed_total", of_queue),
        (
            "temporal_activity_execution_latency_seconds_count",
            [("activity_type", "echo_pid_activity")],
        ),
        ("temporal_request_total", [("operation", "RespondActivityTaskCompleted")]),
    ];
    // A worker counts a task after it has reported it, and thus after the starter may have ended.
    let mut scrape = Scrape::of(&address);
    eventually("25 of each are counted", || {
        scrape = Scrape::of(&address);
        counts.iter().all(|(name, labels)| scrape.sum(name, labels) == Some(25.0))
    });
    for name in [
        "temporal_workflow_task_schedule_to_start_latency_seconds_bucket",
        "temporal_activity_schedule_to_start_latency_seconds_bucket",
        "temporal_workflow_task_execution_latency_seconds_bucket",
        "temporal_workflow_endtoend_latency_seconds_bucket",
        "temporal_request_latency_seconds_bucket",
        "temporal_long_request_total",
        "temporal_num_pollers",
        "temporal_worker_task_slots_available",
        "temporal_worker_task_slots_used",
        "temporal_sticky_cache_size",
        "temporal_sticky_cache_hit_total",
    ] {
        assert!(scrape.sum(name, &[]).is_some(), "{name}");
    }
    // The histogram has the SDK's own buckets for this metric, in seconds.
    let quickest = [("le", "0.1")];
    let waits = "temporal_workflow_task_schedule_to_start_latency_seconds_bucket";
    assert!(scrape.sum(waits, &quickest).is_some());

    // Sticky queues do not appear: each would add another time series.
    let queues: BTreeSet<_> =
        scrape.0.iter().filter_map(|(_, of, _)| of.get("task_queue")).collect();
    assert_eq!(queues, [&world.activity_queue(), &world.workflow_queue()].into());
    assert!(scrape.sum("temporal_long_request_total", &of_queue) > Some(1.0));

    let all = ["activity-worker:0", "workflow-worker:0", "workflow-worker:1"].into();
    for name in ["fleet_build_info", "process_cpu_time_seconds_total", "process_memory_usage_bytes"]
    {
        assert_eq!(scrape.workers(name), all, "{name}");
    }
    assert!(scrape.sum("process_memory_usage_bytes", &[]) > Some(1e6));
    assert!(scrape.sum("process_cpu_time_seconds_total", &[]) > Some(0.0));
    let ready = |role| scrape.sum("fleet_workers", &[("role", role), ("state", "ready")]);
    assert_eq!((ready("workflow-worker"), ready("activity-worker")), (Some(2.0), Some(1.0)));
    assert_eq!(scrape.sum("fleet_worker_state", &[("state", "ready")]), Some(3.0));
    assert_eq!(scrape.sum("fleet_worker_state", &[("state", "draining")]), Some(0.0));
    assert_eq!(scrape.sum("fleet_worker_restarts_total", &[]), Some(0.0));
    for queue in [world.workflow_queue(), world.activity_queue()] {
        for name in ["fleet_task_queue_backlog", "fleet_task_queue_backlog_age_seconds"] {
            assert!(scrape.sum(name, &[("task_queue", &queue)]).is_some(), "{name} {queue}");
        }
    }
    drop(up);
}

#[test]
fn a_hanging_worker_is_left_out_and_a_dead_one_is_counted() {
    let world = World::new();
    let (_up, address) = Process::start_probed(world.fleet(["up", "-w", "2", "-a", "0"]));
    eventually("the fleet is ready", || {
        get(&address, "/readyz").is_some_and(|answer| answer.0 == 200)
    });
    let pid = |index: usize| {
        let status: serde_json::Value =
            serde_json::from_str(&get(&address, "/status").unwrap().1).unwrap();
        u32::try_from(status["workers"][index]["pid"].as_u64().unwrap()).unwrap()
    };
    let hanging = pid(0);
    kill(hanging, Signal::STOP);
    let scrape = Scrape::of(&address);
    assert_eq!(scrape.workers("fleet_build_info"), ["workflow-worker:1"].into());
    kill(hanging, Signal::CONT);
    kill(pid(1), Signal::KILL);
    let restarts = [("worker", "workflow-worker:1")];
    eventually("the metrics include the replacement", || {
        let scrape = Scrape::of(&address);
        scrape.sum("fleet_worker_restarts_total", &restarts) == Some(1.0)
            && scrape.workers("fleet_build_info").len() == 2
    });
}

#[test]
fn an_activity_can_record_its_own_metrics() {
    let world = World::new();
    let _workflows = Process::start(world.orders(["worker", "--role", "workflow-worker"]));
    let activities = world.orders(["worker", "--role", "activity-worker"]);
    let (_worker, address) = Process::start_probed(activities);
    let order = r#"{"id": "1", "items": ["tea", "pot"], "hold_ms": 1, "card": "valid"}"#;
    run(world.orders(["starter", "-n", "3", "--input", order])).success();
    let scrape = Scrape::of(&address);
    assert_eq!(scrape.sum("orders_shipped_total", &[]), Some(3.0));
    // A worker that runs alone is a Prometheus target itself, and the target's labels name it.
    assert_eq!(scrape.workers("orders_shipped_total"), [].into());
    assert_eq!(scrape.sum("fleet_tasks_in_hand", &[("kind", "activity")]), Some(0.0));
}

#[test]
fn failures_are_counted_by_reason() {
    let world = World::new();
    let workflows = world.fleet(["worker", "--role", "workflow-worker"]);
    let (_worker, address) = Process::start_probed(workflows);
    let _starter =
        Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "Unknown"]));
    eventually("its workflow task fails", || {
        get(&address, "/metrics").is_some()
            && Scrape::of(&address)
                .sum("temporal_workflow_task_execution_failed_total", &[])
                .is_some_and(|count| count >= 1.0)
    });

    let mut lost = world.fleet(["worker", "--role", "workflow-worker"]);
    lost.env("TEMPORAL_NAMESPACE", "no-such-namespace");
    let (_lost, address) = Process::start_probed(lost);
    let not_found = [("operation", "DescribeNamespace"), ("status_code", "NOT_FOUND")];
    eventually("its search for the namespace fails", || {
        get(&address, "/metrics").is_some()
            && Scrape::of(&address).sum("temporal_request_failure_total", &not_found).is_some()
    });
}

#[test]
fn metrics_of_each_worker_are_exported_by_otlp_and_flushed_at_its_end() {
    for collector in [Collector::grpc(), Collector::http()] {
        let world = World::new();
        let path = if collector.is_http() { "/v1/metrics" } else { "" };
        let endpoint = collector.endpoint() + path;
        let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
        // With an interval of an hour, the metrics that arrive were exported at the end.
        up.env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint)
            .env("OTEL_METRIC_EXPORT_INTERVAL", "3600000");
        let mut up = Process::start(up);
        run(world.fleet(["starter", "-n", "3"])).success();
        up.signal(Signal::TERM);
        assert_eq!(up.exit_code(), 0);
        let metrics = collector.metrics();
        let services = |name: &str| -> BTreeSet<_> {
            let of_name = metrics.iter().filter(|metric| metric.name == name);
            of_name.map(|metric| metric.resource["service.name"].as_str()).collect()
        };
        let [workflows, activities, up] =
            ["fleet-workflow-worker", "fleet-activity-worker", "fleet-up"];
        for (name, by) in [
            ("temporal_workflow_completed", vec![workflows]),
            ("temporal_activity_execution_latency", vec![activities]),
            ("temporal_request_latency", vec![workflows, activities]),
            ("fleet.tasks.in_hand", vec![workflows, activities]),
            ("fleet.drain.duration", vec![workflows, activities]),
            ("fleet.workers", vec![up]),
            ("process.memory.usage", vec![workflows, activities, up]),
        ] {
            assert_eq!(services(name), by.into_iter().collect(), "{name}");
        }
        let seconds =
            metrics.iter().find(|metric| metric.name == "temporal_request_latency").unwrap();
        assert_eq!(seconds.unit, "s");
        assert!(seconds.resource["service.instance.id"].contains("-worker@"), "{seconds:?}");
    }
}
