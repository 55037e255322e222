//! Checks the TLS settings, which the SDK reports late, vaguely, or not at all.

use std::net::IpAddr;

use temporalio_client::{
    TlsOptions, Url,
    tonic::transport::{ClientTlsConfig, Endpoint, Identity},
};
use temporalio_common::envconfig::{ClientConfigTLS, DataSource};

use super::{address, profile::Profile, texts};
use crate::{config::file, error::root_cause};

/// What is wrong with the TLS settings of a profile. In `tls`, which has the same settings, each path of a file
/// is replaced by what the file holds, so that it is read only once.
pub(super) fn problems(profile: &Profile, tls: Option<&mut ClientConfigTLS>) -> Vec<String> {
    let mut problems = Vec::new();
    let variables = &profile.environment;
    for name in ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"] {
        let switch = variables.get(name).unwrap_or("true");
        if !["true", "false", "1", "0"].iter().any(|known| switch.eq_ignore_ascii_case(known)) {
            problems.push(format!(
                "{name}={switch:?} (environment), which the Temporal Rust SDK ignores: expected true or \
                 false"
            ));
        }
    }
    let Some(tls) = tls else { return problems };
    if tls.disable_host_verification {
        let place =
            profile.place("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "disable_host_verification");
        problems.push(format!(
            "{place} is set, which the Temporal Rust SDK ignores: unset it, and name the server with \
             TEMPORAL_TLS_SERVER_NAME"
        ));
    }
    problems.extend(contradiction(profile, tls));
    if tls.disabled == Some(true) {
        return problems;
    }
    if let Some(flaw) = tls.server_name.as_deref().and_then(texts::server_name_flaw) {
        let place = profile.place("TEMPORAL_TLS_SERVER_NAME", "server_name");
        problems.push(format!("{place} {flaw}"));
    }
    problems.extend(missing_half(tls));
    problems.extend(read_files(profile, tls));
    problems
}

/// An address whose scheme contradicts the TLS settings.
fn contradiction(profile: &Profile, tls: &ClientConfigTLS) -> Option<String> {
    let address = profile.settings.address.as_deref().unwrap_or_default();
    if address::may_hold_password(address) {
        return None; // refused anyway
    }
    let is_off = tls.disabled == Some(true);
    let problem = match (address.split_once("://")?.0.to_ascii_lowercase().as_str(), is_off) {
        ("http", false) => {
            "TLS is set, but the address says http://: expected https:// or host:port"
        }
        ("https", true) => {
            "TLS is off, but the address says https://: expected http:// or host:port"
        }
        _ => return None,
    };
    let place = profile.place_of("TEMPORAL_ADDRESS", "address", &address::host_only(address));
    Some(format!("{place}: {problem}"))
}

/// A client certificate without its key, or a key without its certificate.
fn missing_half(tls: &ClientConfigTLS) -> Option<String> {
    let (has, needs) = match (&tls.client_cert, &tls.client_key) {
        (Some(_), None) => ("client certificate", "its key (TEMPORAL_TLS_CLIENT_KEY_PATH)"),
        (None, Some(_)) => ("client key", "its certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)"),
        _ => return None,
    };
    Some(format!("there is a {has} without {needs}"))
}

/// Reads the files that the settings name, and returns what is wrong with them. The SDK reports such files
/// without their names.
fn read_files(profile: &Profile, tls: &mut ClientConfigTLS) -> Vec<String> {
    let files = [
        (&mut tls.server_ca_cert, "TEMPORAL_TLS_SERVER_CA_CERT_PATH", "server_ca_cert_path"),
        (&mut tls.client_cert, "TEMPORAL_TLS_CLIENT_CERT_PATH", "client_cert_path"),
        (&mut tls.client_key, "TEMPORAL_TLS_CLIENT_KEY_PATH", "client_key_path"),
    ];
    let problem = |(source, variable, key): (&mut Option<DataSource>, &str, &str)| {
        let Some(DataSource::Path(path)) = source else { return None };
        if path.contains("-----BEGIN") || path.contains('\n') {
            let instead = variable.replace("_PATH", "_DATA");
            return Some(format!(
                "{} holds the text of a file, not its path: use {instead}",
                profile.place(variable, key)
            ));
        }
        match file::read(path.as_ref()) {
            Ok(content) => {
                *source = Some(DataSource::Data(content));
                None
            }
            Err(error) => {
                Some(format!("{}: cannot read it: {error}", profile.place_of(variable, key, path)))
            }
        }
    };
    files.into_iter().filter_map(problem).collect()
}

/// Parses the certificates and the key. The SDK parses them at each attempt to connect: it reports
/// wrong ones as it reports an unreachable server, and a file without a certificate not at all.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check_certificates(tls: &TlsOptions) -> Result<(), String> {
    let holds_certificate =
        |pem: &[u8]| String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----");
    let empty = |what: &str| Err(format!("the {what} holds no certificate in PEM form"));
    if tls.server_root_ca_cert.as_deref().is_some_and(|pem| !holds_certificate(pem)) {
        return empty("server's CA (TEMPORAL_TLS_SERVER_CA_CERT_PATH)");
    }
    let Some(client) = &tls.client_tls_options else { return Ok(()) };
    if !holds_certificate(&client.client_cert) {
        return empty("client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)");
    }
    let identity = Identity::from_pem(&client.client_cert, &client.client_private_key);
    Endpoint::from_static("https://temporal")
        .tls_config(ClientTlsConfig::new().identity(identity))
        .map_err(|error| {
            format!(
                "the client certificate and its key (TEMPORAL_TLS_CLIENT_CERT_PATH, \
                 TEMPORAL_TLS_CLIENT_KEY_PATH): {}",
                root_cause(&error)
            )
        })?;
    Ok(())
}

/// Refuses to send an API key over a network without TLS.
///
/// # Errors
/// What to do instead.
pub(super) fn check_api_key_is_protected(target: &Url) -> Result<(), String> {
    if target.scheme() == "https" || is_this_machine(target) {
        return Ok(());
    }
    Err("without TLS the API key would be sent unencrypted: use https:// or host:port as the address, and \
         do not set TEMPORAL_TLS=false"
        .into())
}

pub(super) fn is_this_machine(target: &Url) -> bool {
    let host = target.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
