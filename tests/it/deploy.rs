//! The deployment files agree with each other and with the settings.

use std::{collections::BTreeSet, fs, path::Path};

use percent_encoding::percent_decode_str;
use serde_json::Value;
use temporal_fleet::VARS;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// Returns the value of the first `NAME=value` in the text.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let assigned = format!("{name}=");
    let line = text.lines().find_map(|line| line.trim_start().split_once(&assigned));
    line.unwrap_or_else(|| panic!("no {assigned}")).1
}

#[test]
fn the_images_built_without_a_registry_are_those_in_use() {
    let (knobs, stand_ins) = (read(".env"), read("deploy/airgap/build-images"));
    for image in ["RUST_IMAGE", "TEMPORAL_IMAGE"] {
        assert_eq!(value(&stand_ins, image), value(&knobs, image), "{image}");
    }
    assert_eq!(value(&read("Dockerfile"), "ARG RUST_IMAGE"), value(&knobs, "RUST_IMAGE"));
}

#[test]
fn deployment_files_set_only_existing_settings() {
    for name in ["Dockerfile", "docker-compose.yml"] {
        let text = read(name);
        let words =
            text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let mut set = words.filter(|word| word.starts_with("FLEET_")).peekable();
        assert!(set.peek().is_some(), "{name}");
        for word in set {
            assert!(VARS.iter().any(|var| var.env == word), "{name}: {word}");
        }
    }
    let knobs = read(".env");
    let mut set = knobs.lines().filter(|line| !line.starts_with('#'));
    assert!(set.all(|line| !line.starts_with("FLEET_")), "Compose's knobs are not the fleet's");
}

/// Returns a value and all objects and arrays within it.
fn within(value: &Value) -> Vec<&Value> {
    let inner: Vec<_> = match value {
        Value::Object(of) => of.values().collect(),
        Value::Array(of) => of.iter().collect(),
        _ => vec![],
    };
    [value].into_iter().chain(inner.into_iter().flat_map(within)).collect()
}

#[test]
fn the_dashboard_uses_existing_data_sources_and_links_to_queries() {
    const SOURCES: [&str; 3] = ["loki", "prometheus", "tempo"];
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/dashboards/fleet.json")).unwrap();
    let asked: BTreeSet<_> = within(&dashboard)
        .into_iter()
        .filter_map(|node| node["datasource"]["uid"].as_str())
        .collect();
    assert_eq!(asked, BTreeSet::from(SOURCES));
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have this id: {panel:#}");
    }

    let urls: Vec<_> =
        within(&dashboard).into_iter().filter_map(|node| node["url"].as_str()).collect();
    let mut led_to = BTreeSet::new();
    for url in urls {
        let (_, panes) = url.split_once("&panes=").unwrap_or_else(|| panic!("{url}"));
        let panes = percent_decode_str(panes).decode_utf8().unwrap();
        let panes: Value =
            serde_json::from_str(&panes).unwrap_or_else(|error| panic!("{error}: {url}"));
        let pane = &panes["fleet"];
        let source = pane["datasource"].as_str().unwrap();
        let query = &pane["queries"][0];
        assert_eq!(query["datasource"]["uid"], source, "{pane:#}");
        let words = if source == "loki" { &query["expr"] } else { &query["query"] };
        assert!(words.as_str().is_some_and(|content| content.contains('{')), "{pane:#}");
        assert_eq!(pane["range"]["from"], "${__from}", "the link keeps the dashboard's time range");
        led_to.insert(source.to_owned());
    }
    assert_eq!(led_to, BTreeSet::from(["loki", "tempo"].map(str::to_owned)));
}
