//! Says what to correct after a failed attempt to connect.

use std::{borrow::Cow, error::Error as StdError};

use temporalio_client::{ConnectionOptions, TlsOptions};

use super::{http_proxy::HttpProxy, options::host_and_port, tls::is_this_machine, wire::Spoken};

/// What to correct where a certificate is not accepted. Returns an empty text where the failure shows nothing
/// of that kind.
pub(super) fn certificate_hint(
    tls: Option<&TlsOptions>,
    cause: &str,
    error: &(dyn StdError + 'static),
) -> &'static str {
    let Some(tls) = tls else { return "" };
    // The error types of rustls do not survive the layers in between; their texts do.
    let mentions = |phrase: &str| cause.contains(phrase);
    if mentions("not valid for name") {
        "; set TEMPORAL_TLS_SERVER_NAME to a name that the certificate is valid for"
    } else if mentions("UnknownIssuer") || mentions("BadSignature") {
        "; set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the authority that signed it"
    } else if mentions("HTTP/2 was not negotiated") || mentions("NoApplicationProtocol") {
        "; this port speaks HTTP/1 over TLS and not gRPC: is it Temporal's (7233), or a web page's?"
    } else if mentions("tls handshake eof") || !was_cut_off(error) {
        ""
    } else if tls.client_tls_options.is_none() {
        // The TLS alert that asks for a certificate is sent after the handshake and often gets lost.
        "; if the server wants a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
         TEMPORAL_TLS_CLIENT_KEY_PATH"
    } else {
        "; the server may not accept the client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)"
    }
}

/// Whether a connection was established and then broke. An error of hyper among the causes shows that:
/// there is none before the connection exists.
fn was_cut_off(error: &(dyn StdError + 'static)) -> bool {
    error.is::<hyper::Error>() || error.source().is_some_and(was_cut_off)
}

/// What to correct where a port speaks something else than what was spoken to it.
pub(super) fn port_hint(
    spoken: Spoken,
    options: &ConnectionOptions,
    proxy: Option<&HttpProxy>,
) -> Cow<'static, str> {
    let (host, _) = host_and_port(&options.target);
    let way = match proxy {
        Some(proxy) => format!("this connection goes through the proxy {proxy}"),
        None => format!("this connection uses no proxy; HTTPS_PROXY would name one for {host}"),
    };
    match (spoken, &options.tls_options) {
        (Spoken::Plaintext, Some(_))
            if options.api_key.is_some() && !is_this_machine(&options.target) =>
        {
            "; this port does not use TLS, without which an API key is not sent: give the address of a port \
             that does"
                .into()
        }
        (Spoken::Plaintext, Some(_)) => {
            "; this port does not use TLS: set TEMPORAL_TLS=false, and give the address without https://"
                .into()
        }
        (Spoken::Tls, None) => {
            "; this port uses TLS: set TEMPORAL_TLS=true, and give the address without http://".into()
        }
        (Spoken::Http1, _) => "; this port speaks HTTP/1 and not gRPC: Temporal's port is 7233, while 8233 \
                               and 8080 are those of its web UI"
            .into(),
        (Spoken::Closes, _) => format!(
            "; something closes every connection before a word is said, with TLS and without: a firewall, \
             a forwarded port with no server behind it, or a network that wants a proxy ({way})"
        )
        .into(),
        (Spoken::Silent, _) => format!(
            "; this port accepts connections and answers nothing, with TLS or without: is it Temporal's \
             (7233)? A firewall can do so too ({way})"
        )
        .into(),
        (Spoken::Other, _) => {
            "; this port speaks neither gRPC nor TLS: is it Temporal's (7233)?".into()
        }
        (Spoken::Plaintext, None) | (Spoken::Tls, Some(_)) | (Spoken::Closed, _) => "".into(),
    }
}
