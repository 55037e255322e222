//! `fleet config`, and the settings file of the folder in which the fleet is started.

use std::process::Command;

use tempfile::TempDir;

use super::fleet;
use crate::{
    snapshot::{assert_snapshot, transcript},
    support::{Process, World, run},
};

/// Returns a `fleet config` command for which each layer sets something. It finds no configuration of
/// the user who runs the tests.
fn config_of_every_layer(folder: &TempDir, more: &[&str]) -> Command {
    let file = "drain_timeout = \"1m\"\nmax_cached_workflows = 7\n";
    std::fs::write(folder.path().join("fleet.toml"), file).unwrap();
    let mut command = fleet(&[&["--log-format", "json", "config"], more].concat());
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("FLEET_ROLE", "worker")
        .env("FLEET_CONNECT_TIMEOUT", "2m")
        .env("TEMPORAL_ADDRESS", "https://temporal.example:7233")
        .env("TEMPORAL_API_KEY", "s3cr3t")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cr3t");
    command
}

#[test]
fn config_prints_every_setting_with_its_source() {
    let folder = TempDir::new().unwrap();
    assert_snapshot!(exact "config", transcript(config_of_every_layer(&folder, &[])));
}

#[test]
fn config_prints_every_setting_with_its_source_as_json() {
    let folder = TempDir::new().unwrap();
    let config = config_of_every_layer(&folder, &["--output", "json"]);
    assert_snapshot!(exact "config_json", transcript(config));
}

#[test]
fn the_output_of_config_is_a_valid_settings_file_with_masked_secrets() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("fleet.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "drain_timeout = \"1m\"\nmax_cached_workflows = 7\n").unwrap();
    let mut command = fleet(&["config", "--config", path]);
    command.env("FLEET_CONNECT_TIMEOUT", "2m").env("TEMPORAL_API_KEY", "s3cr3t");
    let printed = run(command).success();
    for line in [
        &format!("drain_timeout = \"1m\" # {path}"),
        &format!("max_cached_workflows = 7 # {path}"),
        "connect_timeout = \"2m\" # environment",
        "# activity_grace = \"55s\" # default",
        "workflow_task_queue = \"workflow-task-queue\" # default",
        "# role is not set",
        "#   address = \"http://localhost:7233\"",
        "#   TEMPORAL_API_KEY = \"***\"",
    ] {
        assert!(printed.iter().any(|printed| printed == line), "no {line} in {printed:#?}");
    }
    assert!(!printed.join("\n").contains("s3cr3t"));

    std::fs::write(&file, printed.join("\n")).unwrap();
    let again = run(fleet(&["--config", path, "config", "--output", "json"])).success();
    let json: serde_json::Value = serde_json::from_str(&again.join("\n")).unwrap();
    assert_eq!(json["settings"]["connect_timeout"]["value"], "2m");
    assert_eq!(json["settings"]["connect_timeout"]["source"], path);
    assert_eq!(json["settings"]["max_cached_workflows"]["value"], "7");
    assert_eq!(json["connection"]["namespace"], "default");
}

#[test]
fn a_fleet_toml_in_the_current_folder_applies_to_up_and_its_workers() {
    let world = World::new();
    let folder = TempDir::new().unwrap();
    let queue = world.activity_queue();
    std::fs::write(
        folder.path().join("fleet.toml"),
        format!("activity_task_queue = \"{queue}\"\nworker_label = \"pid@host\"\n"),
    )
    .unwrap();
    let mut up = world.fleet(["up", "-w", "1"]);
    up.env_remove("FLEET_ACTIVITY_TASK_QUEUE").current_dir(folder.path());
    let _up = Process::start(up);
    let results = run(world.fleet(["starter", "-n", "1"])).success();
    assert!(results[0].contains('@'), "{results:?}");
}
