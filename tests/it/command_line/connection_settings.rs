//! Wrong settings of the connection to Temporal, and how they are reported.

use super::refusals;
use crate::snapshot::assert_snapshot;

#[test]
fn a_malformed_address_is_refused() {
    assert_snapshot!(exact refusals(&[
        (&["starter"], &[("TEMPORAL_ADDRESS", "http://[::")]),
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
        (&["starter"], &[("TEMPORAL_PROFILE", "nowhere")]),
    ]));
}
