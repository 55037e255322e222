//! The dashboard and the alerts against a real fleet under load: with a real Prometheus that scrapes it,
//! and with `VictoriaMetrics`, which takes OTLP and answers like Prometheus (Debian builds Prometheus
//! without that).
//!
//! `cargo test --test prometheus`, with `prometheus`, `promtool` and `victoria-metrics` on PATH, as
//! Debian has them.
#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

// Shared with the tests that need no Prometheus, of which these need a part.
#[allow(dead_code, reason = "a part")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "a part")]
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

/// A Prometheus of the test's own, or what answers as one.
struct Prometheus {
    _process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// That asks a fleet for its metrics every second.
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

    /// That takes what it is sent by OTLP, at [`Self::otlp`].
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
        eventually("it is ready", || server.get("/-/ready").is_some());
        server
    }

    fn otlp(&self) -> String {
        format!("{}/opentelemetry/v1/metrics", self.url)
    }

    /// The JSON that its API answers with, about `path`.
    fn api(&self, path: &str) -> Value {
        let text = self.get(&format!("/api/v1/{path}")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["data"].take()
    }

    /// Waits, with a fleet under load, until every query of the dashboard returns data.
    fn draws_everything(&self, world: &World) {
        let mut empty: BTreeSet<_> = dashboard_queries().into_iter().collect();
        assert!(empty.len() > 30, "{empty:#?}");
        // Rates want several samples, and what they count has to grow in between.
        eventually("every query returns data", || {
            run(world.fleet(["starter", "-n", "20"])).success();
            empty.retain(|(_, query)| {
                let series = self.query(query);
                // Not a number is drawn as nothing.
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

    /// The series that an expression yields now.
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

/// Every query of the dashboard, with its panel's title.
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
            // What Grafana puts in their place.
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

/// The names that samples of `/metrics` have.
fn scraped_names(address: &str) -> BTreeSet<String> {
    let (_, metrics) = support::get(address, "/metrics").unwrap();
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// The metrics that alerts ask for and every fleet has.
fn alert_names() -> BTreeSet<String> {
    let not_yet = [
        // By the SDK, once something fails; the names are those of sdk-core and the client.
        "temporal_workflow_task_execution_failed_total",
        "temporal_request_failure_total",
        "temporal_long_request_failure_total",
        // By a worker that has drained.
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

/// A name that nobody exports makes an alert that never fires.
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
    // What it tells is in the labels of each series there.
    assert!(scraped.remove("target_info"));
    assert!(scraped.len() > 30, "{scraped:#?}");
    eventually("what was scraped has been sent too", || {
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
    assert_eq!(of_instances.len(), 9, "three workers in three states: {of_instances:#?}");
    // As Prometheus reads the rules.
    let rules = Prometheus::scraping(&[]).api("rules");
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10, "{rules:#?}");
    for rule in rules {
        // It answers, be it with nothing where all is well.
        receiver.query(rule["query"].as_str().unwrap());
    }
}
