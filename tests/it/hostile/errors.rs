//! Error lines, which quote arguments, settings, files and servers.

use super::{assert_harmless, assert_harmless_on_a_terminal, hostile};
use crate::support::{World, on_a_terminal, run};

#[test]
fn usage_errors_show_arguments_without_their_power() {
    let world = World::new();
    let text = hostile("argument");
    let flag = format!("--{text}");
    let value = format!("--width={text}");
    for arguments in [
        vec![text.as_str()],
        vec!["trace", &flag],
        vec!["trace", &value, "x"],
        vec!["starter", "-n", &text],
        vec!["starter", "--input", &text],
        vec!["starter", "--workflow-type", &text],
        vec!["starter", "--input-meta", &text],
        vec!["starter", "--inputs", &text],
        vec!["status", "--task-queue", &text],
        vec!["up", "--config", &text],
        vec!["config", "--log", &text],
        vec!["health", "--health-addr", &text],
    ] {
        let finished = run(world.fleet(arguments.iter().copied()));
        assert!(!finished.err.is_empty(), "{arguments:?}");
        assert_harmless(&format!("{arguments:?}"), &[finished.out, finished.err].concat());
        let seen = on_a_terminal(world.fleet(arguments.iter().copied()));
        assert_harmless_on_a_terminal(&format!("{arguments:?}"), &seen);
    }
}

#[test]
fn errors_about_settings_and_files_show_them_without_their_power() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let name = hostile("file").replace('/', "");
    let named = |content: &str| {
        let path = folder.path().join(&name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let text = hostile("value");
    for (variable, value) in [
        ("TEMPORAL_NAMESPACE", text.as_str()),
        ("TEMPORAL_ADDRESS", &text),
        ("TEMPORAL_PROFILE", &text),
        ("TEMPORAL_CONFIG_FILE", &text),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", &text),
        ("FLEET_CONFIG", &text),
        ("FLEET_WORKFLOW_TASK_QUEUE", &text),
        ("FLEET_TEMPORAL_CLI", &text),
        ("FLEET_DRAIN_TIMEOUT", &text),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &text),
        ("OTEL_TRACES_SAMPLER", &text),
        ("OTEL_SERVICE_NAME", &text),
        ("HTTPS_PROXY", &text),
        ("RUST_LOG", &text),
    ] {
        for command in [
            &["config"][..],
            &["config", "--output", "json"],
            &["status", "--connect-timeout", "1ms"],
        ] {
            let mut command = world.fleet(command.iter().copied());
            let finished = run({
                command.env(variable, value);
                command
            });
            assert_harmless(variable, &[finished.out, finished.err].concat());
        }
    }
    for content in ["key = [", "[profile.default]\nadress = \"x\"", "nonsense = 1"] {
        let path = named(content);
        for variable in ["FLEET_CONFIG", "TEMPORAL_CONFIG_FILE"] {
            let mut command = world.fleet(["config"]);
            command.env(variable, &path);
            let finished = run(command);
            assert_harmless(variable, &[finished.out, finished.err].concat());
        }
    }
}
