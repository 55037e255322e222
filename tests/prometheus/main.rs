//! The dashboard and the alerts against a real Prometheus, which scrapes a real fleet under load.
//!
//! `cargo test --test prometheus`, with `prometheus` and `promtool` on PATH, as Debian has them.
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
#[allow(dead_code, reason = "a part")]
#[path = "../it/support.rs"]
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

/// A Prometheus of the test's own, which asks a fleet for its metrics every second.
struct Prometheus {
    _process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
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
        let process = Process::start(command);
        let it = Self { _process: process, url: format!("http://{address}"), _folder: folder };
        eventually("Prometheus is ready", || it.get("/-/ready").is_some());
        it
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
fn every_panel_shows_something_of_a_fleet_under_load() {
    let world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let mut up = world.fleet(["up", "-w", "2", "-a", "1"]);
    up.env("FLEET_HEALTH_ADDR", &address);
    let _up = Process::start(up);
    let prometheus = Prometheus::scraping(&[&address]);
    let mut empty: BTreeSet<_> = dashboard_queries().into_iter().collect();
    assert!(empty.len() > 30, "{empty:#?}");
    // Rates want several samples, and what they count has to grow in between.
    eventually("every query returns data", || {
        run(world.fleet(["starter", "-n", "20"])).success();
        empty.retain(|(_, query)| {
            let series = prometheus.query(query);
            // Not a number is drawn as nothing.
            let drawn = |it: &Value| it["value"][1].as_str().is_some_and(|value| value != "NaN");
            !series.iter().any(drawn)
        });
        if !empty.is_empty() {
            eprintln!("nothing yet: {empty:#?}");
        }
        empty.is_empty()
    });
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

/// A name that nobody exports makes an alert that never fires.
#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let exported = [
        // By the SDK, once something fails; the names are those of sdk-core and the client.
        "temporal_workflow_task_execution_failed_total",
        "temporal_request_failure_total",
        "temporal_long_request_failure_total",
        // By a worker that has drained.
        "fleet_drain_duration_seconds_count",
    ];
    let world = World::new();
    let address = format!("127.0.0.1:{}", free_port());
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    up.env("FLEET_HEALTH_ADDR", &address);
    let _up = Process::start(up);
    eventually("the fleet is ready", || {
        support::get(&address, "/readyz").is_some_and(|it| it.0 == 200)
    });
    run(world.fleet(["starter", "-n", "2"])).success();
    let (_, metrics) = support::get(&address, "/metrics").unwrap();
    let rules = fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    let words = rules.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let names: BTreeSet<_> =
        words.filter(|word| word.starts_with("temporal_") || word.starts_with("fleet_")).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names.into_iter().filter(|name| !exported.contains(name)) {
        let sample = metrics.lines().any(|line| line.starts_with(&format!("{name}{{")));
        assert!(sample, "{name}");
    }
}
