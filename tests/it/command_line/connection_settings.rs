//! Wrong settings of the connection to Temporal, and how they are reported.

use super::{fleet, refusals};
use crate::{
    server,
    snapshot::assert_snapshot,
    support::{World, run},
};

#[test]
fn a_malformed_address_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_ADDRESS", "http://[::")]),
        (&["starter"], &[("TEMPORAL_ADDRESS", "::1:7233")]),
        (&["status"], &[("TEMPORAL_ADDRESS", "\"localhost:7233\"")]),
        (&["trace", "x"], &[("TEMPORAL_ADDRESS", " localhost:7233")]),
        (&["config"], &[("TEMPORAL_ADDRESS", "a:1,b:2")]),
        (&["bench"], &[("TEMPORAL_ADDRESS", "localhost:port")]),
        (&["starter"], &[("TEMPORAL_ADDRESS", "grpc://localhost:7233")]),
        (&["starter"], &[("TEMPORAL_ADDRESS", "localhost:7233/default")]),
    ]));
}

#[test]
fn an_address_with_a_password_is_refused_without_showing_it() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_ADDRESS", "http://u:s3cr3t@127.0.0.1:1")]),
    ]));
}

#[test]
fn an_api_key_is_not_sent_without_tls() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_ADDRESS", "http://temporal.invalid:7233")]),
    ]));
}

#[test]
fn connection_settings_that_fleet_cannot_apply_are_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")]),
        (&["starter"], &[("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1")]),
    ]));
}

#[test]
fn wrong_tls_settings_are_refused_by_every_command() {
    assert_snapshot!(exact refusals(&[
        (&["trace", "x"], &[("TEMPORAL_TLS", "yes")]),
        (&["starter"], &[("TEMPORAL_TLS", "yes")]),
        (&["starter"], &[("TEMPORAL_TLS", "true"), ("TEMPORAL_ADDRESS", "http://127.0.0.1:1")]),
        (&["starter"], &[("TEMPORAL_TLS", "true"), ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere")]),
    ]));
}

#[test]
fn an_unknown_profile_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_PROFILE", "nowhere"), ("TEMPORAL_CONFIG_FILE", "/dev/null")]),
    ]));
}

#[test]
fn a_secret_that_cannot_be_sent_is_refused_without_showing_it() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_API_KEY", "s3\ncr3t")]),
        (&["status"], &[("TEMPORAL_API_KEY", "s3cr3t\u{1}")]),
        (&["trace", "x"], &[("TEMPORAL_API_KEY", " s3cr3t")]),
        (&["config"], &[("TEMPORAL_API_KEY", "\"s3cr3t\"")]),
        (&["bench"], &[("TEMPORAL_API_KEY", "Bearer s3cr3t")]),
        (&["starter"], &[("TEMPORAL_GRPC_META_AUTHORIZATION", "Bearer s3cr3t\n")]),
        (&["starter"], &[("TEMPORAL_GRPC_META_X_BIN", "s3cr3t")]),
    ]));
}

#[test]
fn a_name_with_a_line_break_or_blanks_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_NAMESPACE", "default\n")]),
        (&["status"], &[("TEMPORAL_NAMESPACE", " default")]),
        (&["starter"], &[("TEMPORAL_TLS_SERVER_NAME", "temporal.example:7233")]),
        (&["starter"], &[("TEMPORAL_PROFILE", "default "), ("TEMPORAL_CONFIG_FILE", "/dev/null")]),
    ]));
}

#[test]
fn a_variable_that_is_not_read_is_refused_with_the_one_that_is() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_ADRESS", "localhost:7233")]),
        (&["status"], &[("TEMPORAL_CLI_ADDRESS", "localhost:7233")]),
        (&["config"], &[("TEMPORAL_HOST_PORT", "localhost:7233")]),
        (&["worker", "--role", "worker"], &[("TEMPORAL_CLI_NAMESPACE", "orders")]),
        (&["trace", "x"], &[
            ("TEMPORAL_TLS_CERT", "/c.pem"), ("TEMPORAL_TLS_KEY", "/c.key"), ("TEMPORAL_TLS_CA", "/ca.pem"),
        ]),
    ]));
}

#[test]
fn a_variable_that_is_not_read_is_a_warning_if_the_one_that_is_has_another_value() {
    let world = World::new();
    let warnings = |name: &str, value: &str| {
        let mut status = world.fleet(["status"]);
        status.env(name, value);
        let finished = run(status);
        assert_eq!(finished.code, 0, "{finished:#?}");
        finished.err
    };
    let lines = warnings("TEMPORAL_CLI_ADDRESS", "elsewhere:7233");
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    let expected = "TEMPORAL_CLI_ADDRESS (environment) is not read: TEMPORAL_ADDRESS holds";
    assert!(line.ends_with(expected), "{line}");

    // The same, said twice.
    assert!(warnings("TEMPORAL_CLI_ADDRESS", server::address()).is_empty());
}

#[test]
fn variables_of_kubernetes_and_of_other_products_are_harmless() {
    let world = World::new();
    let mut status = world.fleet(["status"]);
    for (name, value) in [
        ("TEMPORAL_PORT", "tcp://10.0.0.1:7233"),
        ("TEMPORAL_SERVICE_HOST", "10.0.0.1"),
        ("TEMPORAL_SERVICE_PORT_GRPC_RPC", "7233"),
        ("TEMPORAL_FRONTEND_PORT_7233_TCP_ADDR", "10.0.0.1"),
        ("TEMPORAL_UI_PORT", "8080"),
        ("TEMPORAL_ENV", "prod"),
        ("TEMPORAL_VERSION", "1.29"),
    ] {
        status.env(name, value);
    }
    let finished = run(status);
    assert!(finished.err.is_empty(), "{finished:#?}");
    finished.success();
}

#[test]
fn tls_holds_for_the_default_address_too() {
    let mut config = fleet(&["config", "--output", "json"]);
    config.env("TEMPORAL_TLS", "true").env("TEMPORAL_CONFIG_FILE", "/dev/null");
    let json: serde_json::Value = serde_json::from_str(&run(config).success().join("\n")).unwrap();
    assert_eq!(json["connection"]["address"], "https://localhost:7233");
    assert_eq!(json["connection"]["tls"], "true");
}

#[test]
fn config_lists_only_what_is_read() {
    let mut config = fleet(&["config", "--output", "json"]);
    config.env("TEMPORAL_UI_PORT", "8080").env("TEMPORAL_ADDRESS", "temporal");
    let json: serde_json::Value = serde_json::from_str(&run(config).success().join("\n")).unwrap();
    let connection = &json["connection"];
    assert_eq!(connection["address"], "http://temporal:7233");
    assert_eq!(connection["TEMPORAL_ADDRESS"], "temporal");
    assert!(connection["TEMPORAL_UI_PORT"].is_null(), "{connection:#}");
}
