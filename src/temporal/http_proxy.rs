//! The HTTP proxy that a connection goes through, from `HTTPS_PROXY` and `NO_PROXY`.
//!
//! The rules are those of Go's gRPC, and so of the Temporal CLI: `HTTPS_PROXY` holds for connections with and
//! without TLS, `HTTP_PROXY` for none, and an address of this machine is never reached through a proxy.

use std::{fmt, net::IpAddr};

use percent_encoding::percent_decode_str;
use temporalio_client::{HttpConnectProxyOptions, Url};

use super::texts::flaw;
use crate::config::environment::Environment;

/// The port of a proxy that names none.
const PROXY_PORT: u16 = 80;

/// An HTTP proxy that connections are tunnelled through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpProxy {
    /// `host:port`.
    pub(super) address: String,
    pub(super) credentials: Option<(String, String)>,
    /// The variable that names it.
    pub(super) variable: &'static str,
}

/// Without the credentials.
impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{} ({})", self.address, self.variable)
    }
}

impl HttpProxy {
    /// The proxy for a connection to `target`, if there is one.
    ///
    /// # Errors
    /// The problem, for a message, if the proxy is none that can be used.
    pub(super) fn of(environment: &Environment, target: &Url) -> Result<Option<Self>, String> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, environment.get(name)?)))
        };
        let Some((variable, value)) = first(["HTTPS_PROXY", "https_proxy"]) else {
            return Ok(None);
        };
        let no_proxy = first(["NO_PROXY", "no_proxy"]).map_or("", |(_, list)| list);
        let host = target.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = target.port_or_known_default().unwrap_or_default();
        if is_local(host) || is_excluded(no_proxy, host, port) {
            return Ok(None);
        }
        // The value may hold a password, so that no message shows it.
        match parse(value) {
            Ok((address, credentials)) => Ok(Some(Self { address, credentials, variable })),
            Err(rule) => Err(format!(
                "{variable} (environment) {rule}; NO_PROXY={host} goes without a proxy"
            )),
        }
    }

    pub(super) fn options(&self) -> HttpConnectProxyOptions {
        HttpConnectProxyOptions::new(self.address.clone())
            .maybe_basic_auth(self.credentials.clone())
            .build()
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

type Credentials = Option<(String, String)>;

/// Reads `host:port` or `http://user:password@host:port`.
fn parse(value: &str) -> Result<(String, Credentials), &'static str> {
    const EXPECTED: &str = "is no proxy: expected http://host:port or host:port";
    let value = value.trim();
    if let Some(flaw) = flaw(value) {
        return Err(flaw);
    }
    let url = match value.split_once("://") {
        None => Url::parse(&format!("http://{value}")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Url::parse(value),
        Some(_) => {
            return Err(
                "names a proxy with a scheme other than http, which the Temporal Rust SDK does \
                        not support: expected http://host:port",
            );
        }
    };
    let url = url.map_err(|_| EXPECTED)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
    let decoded =
        |text: &str| percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| EXPECTED);
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, password) => Some((decoded(user)?, decoded(password.unwrap_or_default())?)),
    };
    Ok((format!("{host}:{}", url.port().unwrap_or(PROXY_PORT)), credentials))
}

/// Whether a list such as `NO_PROXY` excludes a host.
fn is_excluded(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let entries = list.split([',', ' ', '\t']).map(|entry| entry.trim().to_ascii_lowercase());
    entries.filter(|entry| !entry.is_empty()).any(|entry| excludes(&entry, &host, port))
}

/// Whether an entry excludes a host: `*`, an address, a network as `10.0.0.0/8`, `example.com` with all below
/// it, or `.example.com` and `*.example.com` for what is below alone; each perhaps with a port.
fn excludes(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let address = host.parse::<IpAddr>().ok();
    if let Some((network, length)) = entry.split_once('/') {
        let network = network.parse::<IpAddr>().ok();
        return match (network, length.parse().ok(), address) {
            (Some(network), Some(length), Some(address)) => contains(network, length, address),
            _ => false,
        };
    }
    let (entry, its_port) = without_port(entry);
    if its_port.is_some_and(|its_port| its_port != port) {
        return false;
    }
    if let (Some(address), Ok(excluded)) = (address, entry.parse::<IpAddr>()) {
        return address == excluded;
    }
    let name = entry.trim_start_matches('*').trim_end_matches('.');
    match name.strip_prefix('.') {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

/// Splits the port off `name:8080`, `1.2.3.4:8080` or `[::1]:8080`.
fn without_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(inside) = entry.strip_prefix('[') {
        return match inside.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':').and_then(|port| port.parse().ok())),
            None => (entry, None),
        };
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn contains(network: IpAddr, length: u32, address: IpAddr) -> bool {
    let bits = |address| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((network, width), (address, its_width)) = (bits(network), bits(address));
    let shift = 128_u32.saturating_sub(length);
    let first = |bits: u128| bits.checked_shr(shift).unwrap_or_default();
    width == its_width && length <= width && first(network) == first(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(lines: &str, target: &str) -> Result<Option<HttpProxy>, String> {
        HttpProxy::of(&lines.parse().unwrap(), &Url::parse(target).unwrap())
    }

    #[test]
    fn a_proxy_is_read_with_its_port_and_its_credentials() {
        for (value, address, credentials) in [
            ("proxy:3128", "proxy:3128", None),
            ("http://proxy:3128/", "proxy:3128", None),
            ("HTTP://proxy", "proxy:80", None),
            ("http://[::2]:3128", "[::2]:3128", None),
            ("http://me:p%40ss@proxy:1", "proxy:1", Some(("me", "p@ss"))),
            ("me@proxy:1", "proxy:1", Some(("me", ""))),
        ] {
            let found = proxy(&format!("HTTPS_PROXY={value}"), "https://a:7233").unwrap().unwrap();
            assert_eq!(found.address, address);
            let expected = credentials.map(|(user, pass)| (user.to_owned(), pass.to_owned()));
            assert_eq!(found.credentials, expected, "{value}");
            assert_eq!(found.to_string(), format!("http://{address} (HTTPS_PROXY)"));
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_showing_it() {
        for value in [
            "https://me:s3cr3t@proxy:1",
            "socks5://me:s3cr3t@proxy:1",
            "http://me:s3cr3t@",
            "a:s3cr3t",
        ] {
            let problem = proxy(&format!("https_proxy={value}"), "https://a:7233").unwrap_err();
            assert!(problem.starts_with("https_proxy (environment) "), "{problem}");
            assert!(problem.contains("expected http://host:port"), "{problem}");
            assert!(!problem.contains("s3cr3t"), "{problem}");
            let quoted = format!("https_proxy=\"{value}\"");
            let problem = proxy(&quoted, "https://a:7233").unwrap_err();
            assert!(problem.starts_with("https_proxy (environment) has quotes"), "{problem}");
            // It is of no concern where no proxy is used.
            assert_eq!(proxy(&format!("https_proxy={value}"), "https://localhost:7233"), Ok(None));
        }
    }

    #[test]
    fn a_proxy_holds_for_tls_and_plaintext_but_never_for_this_machine() {
        for target in ["https://a:7233", "http://a:7233", "https://10.0.0.1:7233"] {
            assert!(proxy("HTTPS_PROXY=p:1", target).unwrap().is_some(), "{target}");
            assert_eq!(proxy("HTTP_PROXY=p:1\nALL_PROXY=p:1", target), Ok(None), "{target}");
        }
        for target in ["http://localhost:1", "https://127.0.0.9:1", "https://[::1]:1"] {
            assert_eq!(proxy("HTTPS_PROXY=p:1", target), Ok(None), "{target}");
        }
        let both = proxy("HTTPS_PROXY=upper:1\nhttps_proxy=lower:1", "https://a:1").unwrap();
        assert_eq!(both.unwrap().address, "upper:1");
    }

    #[test]
    fn no_proxy_excludes_names_domains_addresses_networks_and_ports() {
        for (entry, host) in [
            ("*", "a"),
            ("a.example", "a.example"),
            ("A.Example", "a.example"),
            ("example", "a.example"),
            (".example", "a.example"),
            ("*.example", "a.example"),
            ("other, a.example", "a.example"),
            ("other a.example", "a.example"),
            ("a.example:7233", "a.example"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:7233", "10.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("0.0.0.0/0", "10.1.2.3"),
            ("2001:db8::/32", "2001:db8::1"),
            ("[2001:db8::1]:7233", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert!(is_excluded(entry, host, 7233), "{entry} {host}");
        }
        for (entry, host) in [
            ("", "a.example"),
            ("ample", "a.example"),
            (".a.example", "a.example"),
            ("b.example", "a.example"),
            ("a.example:443", "a.example"),
            ("10.1.2.4", "10.1.2.3"),
            ("11.0.0.0/8", "10.1.2.3"),
            ("10.0.0.0/33", "10.1.2.3"),
            ("10.0.0.0/8", "a.example"),
            ("::/0", "10.1.2.3"),
        ] {
            assert!(!is_excluded(entry, host, 7233), "{entry} {host}");
        }
    }
}
