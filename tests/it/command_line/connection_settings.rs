//! Wrong settings of the connection to Temporal.

use super::assert_refused;

#[test]
fn a_malformed_address_is_refused() {
    assert_refused(&[(
        &["starter"],
        &[("TEMPORAL_ADDRESS", "http://[::")],
        78,
        "error: the connection to Temporal is misconfigured: address \"http://[::\": expected host:port, or a URL http://host:port or https://host:port",
    )]);
}

#[test]
fn an_address_with_a_password_is_refused_without_showing_it() {
    assert_refused(&[(
        &["starter"],
        &[("TEMPORAL_ADDRESS", "http://u:s3cr3t@127.0.0.1:1")],
        78,
        "error: the connection to Temporal is misconfigured: the address holds a user name",
    )]);
}

#[test]
fn an_api_key_is_not_sent_without_tls() {
    assert_refused(&[(
        &["starter"],
        &[("TEMPORAL_ADDRESS", "http://temporal.invalid:7233")],
        78,
        "error: the connection to Temporal is misconfigured: without TLS the API key would be sent",
    )]);
}

#[test]
fn connection_settings_that_fleet_cannot_apply_are_refused() {
    assert_refused(&[
        (
            &["starter"],
            &[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
        ),
        (
            &["starter"],
            &[("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1")],
            78,
            "error: the connection to Temporal is misconfigured: a codec is set",
        ),
    ]);
}

#[test]
fn wrong_tls_settings_are_refused_by_every_command() {
    assert_refused(&[
        (
            &["trace", "x"],
            &[("TEMPORAL_TLS", "yes")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS=\"yes\", which",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "yes")],
            78,
            "error: the connection to Temporal is misconfigured: TEMPORAL_TLS=\"yes\", which",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "true"), ("TEMPORAL_ADDRESS", "http://127.0.0.1:1")],
            78,
            "error: the connection to Temporal is misconfigured: TLS is set, but the address says",
        ),
        (
            &["starter"],
            &[("TEMPORAL_TLS", "true"), ("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere")],
            78,
            "error: the connection to Temporal is misconfigured: ",
        ),
    ]);
}

#[test]
fn an_unknown_profile_is_refused() {
    assert_refused(&[(
        &["starter"],
        &[("TEMPORAL_PROFILE", "nowhere")],
        78,
        "error: the connection to Temporal is misconfigured: ",
    )]);
}
