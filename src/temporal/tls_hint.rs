//! Guesses, from a failed attempt to connect, which TLS setting is wrong.

use std::error::Error as StdError;

use temporalio_client::TlsOptions;

/// Suggests what to correct when one side of the connection uses TLS and the other does not, or when a
/// certificate is not accepted. Returns an empty text where the failure shows nothing of that kind.
///
/// The hint is a guess: a server that is being replaced can fail in the same ways. So the caller
/// prints it and still tries again.
pub(super) fn tls_hint(
    tls: Option<&TlsOptions>,
    cause: &str,
    error: &(dyn StdError + 'static),
) -> &'static str {
    // The error types of rustls do not survive the layers in between; their texts do.
    let mentions = |phrase: &str| cause.contains(phrase);
    match tls {
        None if was_cut_off(error) => "; if the server wants TLS, set TEMPORAL_TLS=true",
        Some(_) if mentions("received corrupt message") || mentions("tls handshake eof") => {
            "; this port does not seem to use TLS: set TEMPORAL_TLS=false, and give the address \
             without https://"
        }
        Some(_) if mentions("not valid for name") => {
            "; set TEMPORAL_TLS_SERVER_NAME to a name that the certificate is valid for"
        }
        Some(_) if mentions("UnknownIssuer") || mentions("BadSignature") => {
            "; set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the authority that signed it"
        }
        // The TLS alert that asks for a certificate is sent after the handshake and often gets lost.
        Some(tls) if was_cut_off(error) && tls.client_tls_options.is_none() => {
            "; if the server wants a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
             TEMPORAL_TLS_CLIENT_KEY_PATH"
        }
        Some(_) if was_cut_off(error) => {
            "; the server may not accept the client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)"
        }
        _ => "",
    }
}

/// Whether a connection was established and then broke. An error of hyper among the causes shows that:
/// there is none before the connection exists.
fn was_cut_off(error: &(dyn StdError + 'static)) -> bool {
    error.is::<hyper::Error>() || error.source().is_some_and(was_cut_off)
}
