//! Tests of the dashboard and the alerts with a real fleet under load: with a real Prometheus that scrapes
//! it, and with `VictoriaMetrics`, which receives OTLP and answers queries like Prometheus (Debian builds
//! Prometheus without an OTLP receiver).
//!
//! Run them with `cargo test --test prometheus`. They need `prometheus`, `promtool` and
//! `victoria-metrics` on PATH, all of which Debian packages.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

// The modules below are shared with the tests without Prometheus. These tests use only a part of them.
#[allow(dead_code, reason = "partly used")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "partly used")]
#[path = "../it/support/mod.rs"]
mod support;

use support::{Process, World, eventually, free_port, program, run};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn promtool(arguments: &[&str], file: &str) {
    let mut command = program("promtool");
    command.args(arguments).arg(deploy(file));
    run(command).success();
}

/// A Prometheus server of one test, or another server with the same API.
struct Prometheus {
    _process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes the metrics of these targets every second.
    fn scraping(targets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let targets = serde_json::to_string(targets).unwrap();
        let text = format!(
            "global: {{scrape_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs: [{{job_name: fleet, static_configs: [{{targets: {targets}}}]}}]\n",
            deploy("prometheus/alerts.yml").display()
        );
        fs::write(&config, text).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = program("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        Self::start(command, &address, folder)
    }

    /// Starts a server that receives metrics by OTLP, at [`Self::otlp`].
    fn taking_otlp() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = program("victoria-metrics");
        command
            .arg(format!("-httpListenAddr={address}"))
            .arg(format!("-storageDataPath={}", folder.path().display()))
            .args(["-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s"]);
        Self::start(command, &address, folder)
    }

    fn start(command: Command, address: &str, folder: tempfile::TempDir) -> Self {
        let process = Process::start(command);
        let server = Self { _process: process, url: format!("http://{address}"), _folder: folder };
        eventually("the server is ready", || server.get("/-/ready").is_some());
        server
    }

    fn otlp(&self) -> String {
        format!("{}/opentelemetry/v1/metrics", self.url)
    }

    /// Returns the JSON that the server's API answers for `path`.
    fn api(&self, path: &str) -> Value {
        let text = self.get(&format!("/api/v1/{path}")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["data"].take()
    }

    /// Waits, with a fleet under load, until every query of the dashboard returns data.
    fn draws_everything(&self, world: &World) {
        let mut empty: BTreeSet<_> = dashboard_queries().into_iter().collect();
        assert!(empty.len() > 30, "{empty:#?}");
        // A rate needs several samples, between which its counter has to grow.
        eventually("every query returns data", || {
            run(world.fleet(["starter", "-n", "20"])).success();
            empty.retain(|(_, query)| {
                let series = self.query(query);
                // A sample that is not a number is not drawn.
                let drawn = |sample: &Value| {
                    sample["value"][1].as_str().is_some_and(|value| value != "NaN")
                };
                !series.iter().any(drawn)
            });
            if !empty.is_empty() {
                eprintln!("nothing yet: {empty:#?}");
            }
            empty.is_empty()
        });
    }

    fn get(&self, path: &str) -> Option<String> {
        support::get(self.url.strip_prefix("http://")?, path)
            .filter(|(code, _)| *code == 200)
            .map(|(_, body)| body)
    }

    /// Returns the series that an expression yields now.
    fn query(&self, expression: &str) -> Vec<Value> {
        let mut command = Command::new("promtool");
        command.args(["query", "instant", "--format=json", &self.url, expression]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{expression}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap()
    }
}

/// Returns every query of the dashboard, with its panel's title.
fn dashboard_queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(deploy("grafana/dashboards/fleet.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut queries = vec![];
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            if target["datasource"]["type"] != "prometheus" {
                continue;
            }
            let expression = target["expr"].as_str().unwrap();
            // Grafana replaces these variables before it runs a query.
            let expression =
                expression.replace("$__rate_interval", "1m").replace("$task_queue", ".*");
            queries.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    queries
}

#[test]
fn every_panel_shows_data_of_a_fleet_under_load() {
    let world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let mut up = world.fleet(["up", "-w", "2", "-a", "1"]);
    up.env("FLEET_HEALTH_ADDR", &address);
    let _up = Process::start(up);
    let prometheus = Prometheus::scraping(&[&address]);
    prometheus.draws_everything(&world);
}

#[test]
fn every_alert_fires_when_it_should_and_has_a_runbook() {
    promtool(&["check", "config"], "prometheus/prometheus.yml");
    promtool(&["check", "rules"], "prometheus/alerts.yml");
    promtool(&["test", "rules"], "prometheus/alerts.test.yml");
    let rules = fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    let tests = fs::read_to_string(deploy("prometheus/alerts.test.yml")).unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md");
    let docs = fs::read_to_string(docs).unwrap();
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(docs.contains(&format!("\n## {alert}\n")), "{alert} has no runbook");
        assert!(tests.contains(&format!("\n        alertname: {alert}\n")), "{alert} never fires");
    }
}

/// Returns the names of the samples of `/metrics`.
fn scraped_names(address: &str) -> BTreeSet<String> {
    let (_, metrics) = support::get(address, "/metrics").unwrap();
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// Returns the metrics that the alerts query and that every fleet exposes.
fn alert_names() -> BTreeSet<String> {
    let not_yet = [
        // The SDK exposes these after the first failure. Their names come from sdk-core and the client.
        "temporal_workflow_task_execution_failed_total",
        "temporal_request_failure_total",
        "temporal_long_request_failure_total",
        // A worker exposes this after its drain.
        "fleet_drain_duration_seconds_count",
    ];
    let rules = fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    let words =
        rules.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let ours = words.filter(|word| word.starts_with("temporal_") || word.starts_with("fleet_"));
    let names: BTreeSet<_> = ours.map(str::to_owned).collect();
    assert!(names.len() > 8, "{names:?}");
    names.into_iter().filter(|name| !not_yet.contains(&name.as_str())).collect()
}

/// An alert that queries a metric without samples never fires.
#[test]
fn alerts_query_only_existing_metrics() {
    let world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    up.env("FLEET_HEALTH_ADDR", &address);
    let _up = Process::start(up);
    eventually("the fleet is ready", || {
        support::get(&address, "/readyz").is_some_and(|answer| answer.0 == 200)
    });
    run(world.fleet(["starter", "-n", "2"])).success();
    let scraped = scraped_names(&address);
    for name in alert_names() {
        assert!(scraped.contains(&name), "{name}");
    }
}

#[test]
fn metrics_exported_by_otlp_have_the_same_names() {
    let world = World::new();
    let receiver = Prometheus::taking_otlp();
    let address = format!("127.0.0.1:{}", free_port());
    let mut up = world.fleet(["up", "-w", "2", "-a", "1"]);
    up.env("FLEET_HEALTH_ADDR", &address)
        .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.otlp())
        .env("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
    let _up = Process::start(up);
    receiver.draws_everything(&world);

    let mut scraped = scraped_names(&address);
    // With OTLP, the contents of this metric are labels of every series.
    assert!(scraped.remove("target_info"));
    assert!(scraped.len() > 30, "{scraped:#?}");
    eventually("all scraped metrics are exported by OTLP too", || {
        let names = receiver.api("label/__name__/values");
        let names: BTreeSet<_> =
            names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let missing: Vec<_> =
            scraped.iter().filter(|name| !names.contains(name.as_str())).collect();
        if !missing.is_empty() {
            eprintln!("not sent yet: {missing:#?}");
        }
        missing.is_empty()
    });
    for name in alert_names() {
        assert!(scraped.contains(&name), "{name}");
    }
    let of_instances = receiver.query(r#"fleet_worker_state{service_instance_id!=""}"#);
    assert_eq!(of_instances.len(), 15, "three workers in five states: {of_instances:#?}");
    // The receiver gets the expressions of the rules as Prometheus has parsed them.
    let rules = Prometheus::scraping(&[]).api("rules");
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10, "{rules:#?}");
    for rule in rules {
        // The query must succeed, even if its result is empty because nothing is wrong.
        receiver.query(rule["query"].as_str().unwrap());
    }
}
