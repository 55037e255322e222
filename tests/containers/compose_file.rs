//! docker-compose.yml, as Compose itself resolves it.

use std::time::Duration;

use serde_json::{Map, Value, json};
use temporal_fleet::VARS;

use crate::{
    project::checkout,
    support::{Finished, program, run},
};

const FLEET: [&str; 3] = ["workflow-worker", "activity-worker", "starter"];
const POSTGRES: [&str; 4] = ["-f", "docker-compose.yml", "-f", "deploy/docker/postgres.yml"];

/// Returns the configuration that Compose resolves from these files with these profiles.
fn config(files: &[&str], profiles: &str) -> Value {
    config_of(files, Some(profiles))
}

/// Like [`config`], but with the profiles of `.env` if `profiles` is `None`.
fn config_of(files: &[&str], profiles: Option<&str>) -> Value {
    let mut command = program("docker");
    command.current_dir(checkout()).arg("compose").args(files).args(["config", "--format", "json"]);
    match profiles {
        Some(profiles) => command.env("COMPOSE_PROFILES", profiles),
        None => command.env_remove("COMPOSE_PROFILES"),
    };
    let Finished { code, out, err } = run(command);
    assert_eq!((code, &err[..]), (0, &[][..]), "Compose accepts the files without a warning");
    serde_json::from_str(&out.join("\n")).unwrap()
}

fn services(config: &Value) -> &Map<String, Value> {
    config["services"].as_object().unwrap()
}

fn seconds(text: &str) -> Duration {
    humantime::parse_duration(text).unwrap()
}

#[test]
fn the_fleets_containers_have_only_the_rights_that_they_need() {
    let config = config(&[], "");
    for name in FLEET {
        let service = &config["services"][name];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        for limit in ["mem_limit", "pids_limit"] {
            assert!(!service[limit].is_null(), "{name}: {limit}");
        }
    }
}

#[test]
fn workers_scale_freely_and_drain_before_their_grace_ends() {
    let config = config(&[], "");
    let drain = VARS.iter().find(|var| var.env == "FLEET_DRAIN_TIMEOUT").unwrap().default;
    for name in &FLEET[..2] {
        let service = &config["services"][name];
        assert!(service["ports"].is_null() && service["container_name"].is_null(), "{name}");
        assert_eq!(service["environment"]["FLEET_ROLE"], *name);
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let grace = seconds(service["stop_grace_period"].as_str().unwrap());
        assert!(grace > seconds(drain), "{name}: {grace:?}, and drains for {drain}");
    }
}

#[test]
fn everything_waits_for_the_server_and_the_starter_for_nothing_else() {
    let config = config(&[], "");
    for name in FLEET {
        let needs = config["services"][name]["depends_on"].as_object().unwrap();
        assert_eq!(needs.keys().collect::<Vec<_>>(), ["temporal"], "{name}");
        assert_eq!(needs["temporal"]["condition"], "service_healthy", "{name}");
    }
    let starter = &config["services"]["starter"];
    assert_eq!(starter["entrypoint"], json!(["/fleet", "starter"]));
    assert_eq!(starter["restart"], "no");
}

#[test]
fn no_port_is_published_to_the_network() {
    for files in [&[][..], &POSTGRES] {
        let config = config(files, "grafana");
        let mut ports = vec![];
        for (name, service) in services(&config) {
            for port in service["ports"].as_array().into_iter().flatten() {
                assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
                ports.push(port["published"].as_str().unwrap().to_owned());
            }
        }
        ports.sort();
        assert_eq!(ports, ["3000", "7233", "8233"]);
    }
}

#[test]
fn grafana_runs_by_default_and_images_are_pinned() {
    for files in [&[][..], &POSTGRES] {
        assert_eq!(
            config_of(files, None),
            config(files, "grafana"),
            "the default configuration, without any profile set by the user"
        );
        assert!(!services(&config(files, "")).contains_key("grafana"));
        for (name, service) in services(&config(files, "grafana")) {
            let (_, tag) = match service["image"].as_str().unwrap() {
                "temporal-fleet" => continue,
                image => image.split_once(':').unwrap_or_else(|| panic!("{name}: {image}")),
            };
            assert!(tag.starts_with(|character: char| character.is_ascii_digit()), "{name}: {tag}");
        }
    }
}

#[test]
fn a_server_with_a_database_changes_nothing_about_the_fleet() {
    let (plain, postgres) = (config(&[], ""), config(&POSTGRES, ""));
    for name in FLEET {
        assert_eq!(plain["services"][name], postgres["services"][name], "{name}");
    }
    let server = &postgres["services"]["temporal"];
    assert_eq!(server["command"], Value::Null, "the dev server's command is gone");
    assert_eq!(server["environment"]["DB"], "postgres12");
    let mut names: Vec<_> = services(&postgres).keys().map(String::as_str).collect();
    names.retain(|name| !FLEET.contains(name));
    assert_eq!(
        names,
        ["postgresql", "temporal", "temporal-namespace", "temporal-schema", "temporal-ui"]
    );
}

#[test]
fn telemetry_is_exported_to_grafana_only_if_it_runs() {
    for (profiles, endpoint) in [("grafana", "http://grafana:4317"), ("", "")] {
        let config = config(&[], profiles);
        for name in FLEET {
            let environment = &config["services"][name]["environment"];
            assert_eq!(environment["OTEL_EXPORTER_OTLP_ENDPOINT"], endpoint, "{name}");
        }
    }
    let config = config(&[], "grafana");
    for volume in config["services"]["grafana"]["volumes"].as_array().unwrap() {
        let source = volume["source"].as_str().unwrap();
        assert!(std::path::Path::new(source).exists(), "{source}");
        assert_eq!(volume["read_only"], true);
    }
}
