//! The SDK's connection options, built from Temporal's own settings and checked.
//!
//! The settings are those of every Temporal SDK: `TEMPORAL_*` variables, and the configuration file that
//! they may name. The Rust SDK ignores some of them and reports others late or vaguely, so everything
//! that can be checked without a connection is checked here.

use std::{fs, net::IpAddr, process};

use temporalio_client::{
    ClientOptions, ConnectionOptions, GrpcCompression, TlsOptions, Url,
    tonic::transport::{ClientTlsConfig, Endpoint, Identity},
};
use temporalio_common::envconfig::{
    ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
};

use crate::{
    config::{Compression, connect::ConnectSettings, environment::Environment},
    error::{Error, chain, root_cause},
    process::identity::identity,
};

/// The options for a process in `role`, which becomes part of the identity that the server shows.
///
/// # Errors
/// [`Error::ConnectionConfig`] if a setting is wrong, contradicts another, or is one that the SDK ignores.
pub(super) fn options(
    settings: &ConnectSettings,
    role: &str,
) -> Result<(ConnectionOptions, ClientOptions), Error> {
    let environment = &settings.environment;
    let load = LoadClientConfigProfileOptions::default();
    let profile = load_client_config_profile(load, Some(&environment.temporal()))
        .map_err(|error| wrong(chain(&error)))?;
    refuse_ignored_settings(&profile)?;
    refuse_ignored_tls_switch(environment)?;
    refuse_contradictory_tls(&profile)?;
    check_files(&profile)?;

    let given_address = profile.address.clone().unwrap_or_default();
    let has_api_key = profile.api_key.is_some();
    let namespace = profile.namespace.clone().unwrap_or_else(|| "default".into());
    let mut connection =
        ConnectionOptions::try_from(profile).map_err(|error| wrong(error.to_string()))?;
    check_address(&connection.target, &given_address)?;
    match &connection.tls_options {
        Some(tls) => check_certificates(tls)?,
        // The SDK does not turn TLS on for an https:// address, and its transport then refuses the address.
        None if connection.target.scheme() == "https" => {
            connection.tls_options = Some(TlsOptions::default());
        }
        None => {}
    }
    if has_api_key {
        check_api_key_is_protected(&connection.target)?;
    }
    connection.identity = identity(role, process::id());
    connection.grpc_compression = match settings.compression {
        Compression::None => GrpcCompression::None,
        Compression::Gzip => GrpcCompression::Gzip,
    };
    Ok((connection, ClientOptions::new(namespace).build()))
}

fn wrong(problem: impl Into<String>) -> Error {
    Error::ConnectionConfig(problem.into())
}

/// Refuses settings that the SDK reads and then ignores (docs/sdk.md). A connection that silently differs
/// from its settings is worse than no connection.
fn refuse_ignored_settings(profile: &ClientConfigProfile) -> Result<(), Error> {
    if profile.tls.as_ref().is_some_and(|tls| tls.disable_host_verification) {
        return Err(wrong(
            "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION (or disable_host_verification) is set, which the \
             Temporal Rust SDK ignores: unset it, and name the server with TEMPORAL_TLS_SERVER_NAME",
        ));
    }
    if profile.codec.is_some() {
        return Err(wrong(
            "a codec is set (TEMPORAL_CODEC_ENDPOINT, TEMPORAL_CODEC_AUTH or codec), which the \
             Temporal Rust SDK ignores: unset it; payloads would be sent unencoded",
        ));
    }
    Ok(())
}

/// Refuses a value of `TEMPORAL_TLS` that is no truth value, because the SDK ignores it.
fn refuse_ignored_tls_switch(environment: &Environment) -> Result<(), Error> {
    let switch = environment.get("TEMPORAL_TLS").unwrap_or("true");
    if ["true", "false", "1", "0"].iter().any(|known| switch.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(wrong(format!(
        "TEMPORAL_TLS={switch:?}, which the Temporal Rust SDK ignores: expected true or false"
    )))
}

/// Refuses an address whose scheme contradicts the TLS settings.
fn refuse_contradictory_tls(profile: &ClientConfigProfile) -> Result<(), Error> {
    let address = profile.address.as_deref().unwrap_or_default();
    let Some(tls) = &profile.tls else { return Ok(()) };
    let is_off = tls.disabled == Some(true);
    if address.starts_with("http://") && !is_off {
        return Err(wrong(
            "TLS is set, but the address says http://: expected https:// or host:port",
        ));
    }
    if address.starts_with("https://") && is_off {
        return Err(wrong(
            "TLS is off, but the address says https://: expected http:// or host:port",
        ));
    }
    Ok(())
}

/// Reads the files that the TLS settings name. The SDK reports a missing file without its name.
fn check_files(profile: &ClientConfigProfile) -> Result<(), Error> {
    let Some(tls) = profile.tls.as_ref().filter(|tls| tls.disabled != Some(true)) else {
        return Ok(());
    };
    for (source, setting) in [
        (&tls.server_ca_cert, "TEMPORAL_TLS_SERVER_CA_CERT_PATH (or server_ca_cert_path)"),
        (&tls.client_cert, "TEMPORAL_TLS_CLIENT_CERT_PATH (or client_cert_path)"),
        (&tls.client_key, "TEMPORAL_TLS_CLIENT_KEY_PATH (or client_key_path)"),
    ] {
        if let Some(DataSource::Path(path)) = source {
            fs::read(path)
                .map_err(|error| wrong(format!("{setting}: cannot read {path:?}: {error}")))?;
        }
    }
    Ok(())
}

/// Checks the form of the address. The SDK takes a text that is not a URL for a host name and would look
/// it up in the DNS.
fn check_address(target: &Url, given: &str) -> Result<(), Error> {
    if !matches!(target.scheme(), "http" | "https") || !matches!(target.path(), "" | "/") {
        return Err(wrong(format!(
            "address {given:?}: expected host:port, or a URL http://host:port or https://host:port"
        )));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err(wrong(
            "the address holds a user name or password: Temporal takes TEMPORAL_API_KEY or a client \
             certificate",
        ));
    }
    Ok(())
}

/// Parses the certificates and the key. The SDK parses them only at each attempt to connect. It reports a
/// wrong certificate as an unreachable server, and a file without a certificate not at all.
fn check_certificates(tls: &TlsOptions) -> Result<(), Error> {
    let holds_certificate =
        |pem: &[u8]| String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----");
    let empty = |what: &str| wrong(format!("the {what} holds no certificate in PEM form"));
    if tls.server_root_ca_cert.as_deref().is_some_and(|pem| !holds_certificate(pem)) {
        return Err(empty("server's CA (TEMPORAL_TLS_SERVER_CA_CERT_PATH)"));
    }
    let Some(client) = &tls.client_tls_options else { return Ok(()) };
    if !holds_certificate(&client.client_cert) {
        return Err(empty("client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)"));
    }
    let identity = Identity::from_pem(&client.client_cert, &client.client_private_key);
    Endpoint::from_static("https://temporal")
        .tls_config(ClientTlsConfig::new().identity(identity))
        .map_err(|error| {
            wrong(format!(
                "the client certificate and its key (TEMPORAL_TLS_CLIENT_CERT_PATH, \
                 TEMPORAL_TLS_CLIENT_KEY_PATH): {}",
                root_cause(&error)
            ))
        })?;
    Ok(())
}

/// Refuses to send an API key over a network without TLS.
fn check_api_key_is_protected(target: &Url) -> Result<(), Error> {
    if target.scheme() == "https" || is_this_machine(target) {
        return Ok(());
    }
    Err(wrong(
        "without TLS the API key would be sent unencrypted: use https:// or host:port as the address, \
         and do not set TEMPORAL_TLS=false",
    ))
}

fn is_this_machine(target: &Url) -> bool {
    let host = target.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The address, the namespace and the use of TLS as they are resolved, then the `TEMPORAL_*` variables
/// that are set, as pairs of name and value. Secrets are masked.
///
/// # Errors
/// [`Error::ConnectionConfig`] if the settings of the connection are wrong.
pub(crate) fn describe_connection(
    settings: &ConnectSettings,
) -> Result<Vec<(String, String)>, Error> {
    let (connection, client) = options(settings, "config")?;
    let mut lines = vec![
        ("address".to_owned(), shown_address(&connection)),
        ("namespace".to_owned(), client.namespace),
        ("tls".to_owned(), (connection.target.scheme() == "https").to_string()),
    ];
    let mut variables: Vec<_> = settings.environment.temporal().into_iter().collect();
    variables.sort();
    for (name, value) in variables {
        let shown = if is_secret(&name) { "***".into() } else { value };
        lines.push((name, shown));
    }
    Ok(lines)
}

/// Whether a variable holds a key, or headers, which may carry one. The path to a key is not secret.
fn is_secret(variable: &str) -> bool {
    !variable.ends_with("_PATH")
        && ["KEY", "AUTH", "GRPC_META", "DATA"].iter().any(|part| variable.contains(part))
}

/// The address as a URL, without a final slash.
pub(super) fn shown_address(options: &ConnectionOptions) -> String {
    options.target.as_str().trim_end_matches('/').to_owned()
}
