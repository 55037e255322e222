//! `temporal.toml`: which file and profile apply, and what is said of one that cannot be applied.

use std::process::Command;

use tempfile::TempDir;

use super::fleet;
use crate::{
    server,
    snapshot::assert_snapshot,
    support::{World, run},
};

/// A folder with a `temporal.toml`.
fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("temporal.toml"), text).unwrap();
    folder
}

fn with_file(mut command: Command, folder: &TempDir) -> Command {
    command.current_dir(folder.path()).env("TEMPORAL_CONFIG_FILE", "temporal.toml");
    command
}

/// What a command says of a file, and of the settings that come with it.
#[track_caller]
fn refusal(text: &str, settings: &[(&str, &str)]) -> String {
    let folder = folder(text);
    let mut command = with_file(fleet(&["status"]), &folder);
    command.envs(settings.iter().copied());
    let finished = run(command);
    assert_eq!(finished.code, 78, "{finished:#?}");
    let printed = finished.err.join("\n");
    assert!(!printed.contains("s3cr3t"), "{printed}");
    format!("{printed}\n")
}

#[test]
fn a_file_that_cannot_be_applied_is_refused_with_the_place_and_without_its_text() {
    let profile = "[profile.default]\naddress = \"localhost:7233\"\n";
    let refusals = [
        refusal("[profile.default]\nadress = \"s3cr3t\"\n", &[]),
        refusal(&format!("{profile}[profile.default.tls]\n  server_nam = \"s3cr3t\"\n"), &[]),
        refusal("[profile.default]\napi_key = s3cr3t\n", &[]),
        refusal("[profile.default]\napi_key = 5\nnamespace = true\n", &[]),
        refusal("[profile.default]\napi_key = \" s3cr3t\"\n", &[]),
        refusal("[profile.default]\naddress = \"::1:7233\"\n", &[]),
        refusal("[profile.default]\naddress = \"http://u:s3cr3t@a:1\"\n", &[]),
        refusal(profile, &[("TEMPORAL_PROFILE", "defualt")]),
        refusal("[profile.prod]\naddress = \"a:1\"\n", &[]),
        refusal(profile, &[("TEMPORAL_CONFIG_FILE", "temporal.tmol")]),
    ];
    assert_snapshot!(exact refusals.join(""));
}

#[test]
fn keys_that_nobody_reads_here_may_be_another_tools() {
    let folder = folder(
        "[other]\nx = 1\n[profile.default]\naddress = \"a:1\"\n[profile.b]\nadress = \"c\"\n",
    );
    let lines = run(with_file(fleet(&["config"]), &folder)).success();
    assert!(lines.contains(&"#   address = \"http://a:1\"".to_owned()), "{lines:#?}");
    let file = "#   file = \"temporal.toml (profile \\\"default\\\")\"";
    assert!(lines.contains(&file.to_owned()), "{lines:#?}");
}

#[test]
fn a_codec_is_refused_only_by_what_would_send_payloads() {
    let world = World::new();
    let address = server::address();
    let folder = folder(&format!(
        "[profile.default]\naddress = \"{address}\"\n[profile.default.codec]\nendpoint = \"http://127.0.0.1:1\"\n"
    ));
    let command = |arguments: &[&'static str]| {
        let mut command = with_file(world.fleet(arguments.iter().copied()), &folder);
        command.env_remove("TEMPORAL_ADDRESS");
        run(command)
    };
    command(&["status"]).success();
    let config = command(&["config"]).success();
    assert!(
        config.iter().any(|line| line.starts_with("#   codec = \"not applied: ")),
        "{config:#?}"
    );
    let missing = command(&["trace", "no-such-workflow"]);
    assert_eq!(missing.code, 1, "{missing:#?}");
    for sends in [
        &["starter", "-n", "1"][..],
        &["bench", "--count", "1"],
        &["worker", "--role", "worker"],
        &["up", "-w", "1", "-a", "0"],
    ] {
        let refused = command(sends);
        assert_eq!(refused.code, 78, "{refused:#?}");
        let expected = "codec (profile \"default\" in temporal.toml) sets a codec, which the Temporal Rust SDK \
                        ignores, so that payloads would be sent unencoded";
        assert!(refused.err.iter().any(|line| line.contains(expected)), "{refused:#?}");
    }
}

#[test]
fn an_empty_variable_leaves_the_file_as_it_is_except_for_a_header_which_it_takes_away() {
    let folder = folder(
        "[profile.default]\naddress = \"a:1\"\n[profile.default.grpc_meta]\nx-bin = \"1\"\n",
    );
    let config = |name: &str| {
        let mut config = with_file(fleet(&["config"]), &folder);
        config.env("TEMPORAL_ADDRESS", "").env(name, "");
        run(config)
    };
    assert_eq!(config("UNRELATED").code, 78);
    let lines = config("TEMPORAL_GRPC_META_X_BIN").success();
    assert!(lines.contains(&"#   address = \"http://a:1\"".to_owned()), "{lines:#?}");
}
