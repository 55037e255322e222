//! The endpoint of one signal: where it is sent and how, by `OTEL_EXPORTER_OTLP_*`.

use std::{fmt, time::Duration};

use temporalio_client::{
    Url,
    tonic::codegen::http::{HeaderName, HeaderValue},
};

use super::{
    reader::{Reader, pairs, parse_milliseconds, shown_url},
    signal::{PREFIX, Signal},
};
use crate::config::file;

/// Where one signal is sent, and how.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The address; over HTTP with the signal's path.
    pub(crate) url: Url,
    pub(crate) protocol: Protocol,
    pub(crate) headers: Headers,
    /// How long a batch may take, with all retries.
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) tls: Tls,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = shown_url(&self.url).unwrap_or_else(|| "***".into());
        write!(f, "{} to {url}", self.protocol)
    }
}

/// How OTLP is transported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        })
    }
}

/// The headers of each request. Their values are secrets, so `Debug` shows none.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(HeaderName, HeaderValue)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Certificates and the key, in PEM form, where they replace those of the machine.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    /// The client certificate and its key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The default of OpenTelemetry's specification.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The port of OTLP over HTTP, by its specification.
const HTTP_PORT: u16 = 4318;

impl Reader<'_> {
    /// Where `signal` is sent; `None` if it is not exported.
    pub(super) fn endpoint(&mut self, signal: Signal) -> Option<Endpoint> {
        // All of them are read, so that every problem is reported, whatever the result.
        let off = self.parse(&format!("OTEL_{}_EXPORTER", signal.name()), parse_off);
        let address = self.address(signal);
        let protocol = self.of_exporter(signal, "PROTOCOL", parse_protocol);
        let headers = self.of_exporter(signal, "HEADERS", parse_headers).unwrap_or_default();
        let timeout = self.of_exporter(signal, "TIMEOUT", parse_milliseconds).unwrap_or(TIMEOUT);
        let gzip = self.of_exporter(signal, "COMPRESSION", parse_gzip).unwrap_or(false);
        let tls = self.tls(signal);
        let address = address.filter(|_| off != Some(true))?;
        let protocol = protocol.unwrap_or_else(|| address.usual_protocol());
        let url = self.url(address, protocol, signal);
        Some(Endpoint { url, protocol, headers, timeout, gzip, tls })
    }

    /// The signal's own endpoint, else the one for all signals.
    fn address(&mut self, signal: Signal) -> Option<Address> {
        let own = self.parse(&format!("{PREFIX}{}_ENDPOINT", signal.name()), parse_endpoint);
        let shared = self.parse(&format!("{PREFIX}ENDPOINT"), parse_endpoint);
        let own = own.map(|url| Address { url, is_own: true });
        own.or(shared.map(|url| Address { url, is_own: false }))
    }

    fn tls(&mut self, signal: Signal) -> Tls {
        let ca = self.of_exporter(signal, "CERTIFICATE", read_certificate);
        let certificate = self.of_exporter(signal, "CLIENT_CERTIFICATE", read_certificate);
        let key = self.of_exporter(signal, "CLIENT_KEY", read_key);
        match (&certificate, &key) {
            (Some(_), None) => self.require_pair(signal, "CLIENT_CERTIFICATE", "CLIENT_KEY"),
            (None, Some(_)) => self.require_pair(signal, "CLIENT_KEY", "CLIENT_CERTIFICATE"),
            _ => {}
        }
        Tls { ca, client: certificate.zip(key) }
    }

    /// Adds a problem where `missing` is not set. If it is set but cannot be read, it has a problem already.
    fn require_pair(&mut self, signal: Signal, present: &str, missing: &str) {
        let names = [format!("{PREFIX}{missing}"), format!("{PREFIX}{}_{missing}", signal.name())];
        if names.iter().all(|name| self.environment.get(name).is_none()) {
            let rule = format!("a client certificate needs {PREFIX}{missing} too");
            self.problem(&format!("{PREFIX}{present}"), rule);
        }
    }

    /// The URL to send to. Over HTTP the shared endpoint gets the signal's path; over gRPC there is no path.
    fn url(&mut self, address: Address, protocol: Protocol, signal: Signal) -> Url {
        let Address { mut url, is_own } = address;
        match protocol {
            Protocol::Grpc if has_path(&url) => {
                let infix = if is_own { format!("{}_", signal.name()) } else { String::new() };
                let rule = "over grpc an endpoint has no path: see OTEL_EXPORTER_OTLP_PROTOCOL";
                self.problem(&format!("{PREFIX}{infix}ENDPOINT"), rule.into());
            }
            Protocol::Http if !is_own => {
                let path = format!("{}/{}", url.path().trim_end_matches('/'), signal.path());
                url.set_path(&path);
            }
            _ => {}
        }
        url
    }
}

/// An endpoint as it was given.
struct Address {
    url: Url,
    /// Whether it is the signal's own, and not the one for all signals.
    is_own: bool,
}

impl Address {
    /// The protocol that a path or OTLP's port for HTTP suggest.
    fn usual_protocol(&self) -> Protocol {
        if has_path(&self.url) || self.url.port() == Some(HTTP_PORT) {
            Protocol::Http
        } else {
            Protocol::Grpc
        }
    }
}

fn has_path(url: &Url) -> bool {
    !matches!(url.path(), "" | "/")
}

fn parse_off(text: &str) -> Result<bool, String> {
    match text {
        "otlp" => Ok(false),
        "none" => Ok(true),
        _ => Err("expected otlp or none".into()),
    }
}

fn parse_gzip(text: &str) -> Result<bool, String> {
    match text {
        "gzip" => Ok(true),
        // `opentelemetry-otlp` reads this variable as well, and does not know the word.
        "none" => Err("expected gzip; unset it for none".into()),
        _ => Err("expected gzip".into()),
    }
}

fn parse_endpoint(text: &str) -> Result<Url, String> {
    const RULE: &str = "expected a URL, such as http://localhost:4317";
    let url = Url::parse(text).map_err(|_| RULE)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(RULE.into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password: see OTEL_EXPORTER_OTLP_HEADERS".into());
    }
    Ok(url)
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::Http),
        _ => Err("expected grpc or http/protobuf".into()),
    }
}

fn parse_headers(text: &str) -> Result<Headers, String> {
    const RULE: &str =
        "expected name=value pairs with commas between them (the values are not shown)";
    let header = |(name, value): (String, String)| {
        // gRPC has header names in lower case only, and HTTP ignores the case.
        let name = HeaderName::try_from(name.to_ascii_lowercase()).ok()?;
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers = pairs(text).and_then(|pairs| pairs.into_iter().map(header).collect());
    headers.map(Headers).ok_or_else(|| RULE.into())
}

fn read_certificate(path: &str) -> Result<Vec<u8>, String> {
    read_pem(path, "-----BEGIN CERTIFICATE-----")
        .and_then(|pem| pem.ok_or_else(|| "holds no certificate in PEM form".into()))
}

fn read_key(path: &str) -> Result<Vec<u8>, String> {
    read_pem(path, "PRIVATE KEY-----")
        .and_then(|pem| pem.ok_or_else(|| "holds no private key in PEM form".into()))
}

/// The contents of the file; `None` if `word` is not in it.
fn read_pem(path: &str, word: &str) -> Result<Option<Vec<u8>>, String> {
    let pem = file::read(path.as_ref()).map_err(|error| format!("cannot read it: {error}"))?;
    Ok(String::from_utf8_lossy(&pem).contains(word).then_some(pem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::otel::settings::Settings;

    fn read(environment: &str) -> (Settings, Vec<String>) {
        let (settings, problems) = Settings::read(&environment.parse().unwrap());
        (settings, problems.into_iter().map(|(what, rule)| format!("{what}: {rule}")).collect())
    }

    #[track_caller]
    fn traces(environment: &str) -> Option<Endpoint> {
        let (settings, problems) = read(environment);
        assert!(problems.is_empty(), "{problems:#?}");
        settings.traces
    }

    #[test]
    fn without_an_endpoint_nothing_is_sent() {
        assert!(traces("OTEL_TRACES_EXPORTER=otlp\nOTEL_SERVICE_NAME=a").is_none());
        assert!(traces("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://a:1").is_none());
        for off in ["OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=none"] {
            assert!(traces(&format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1\n{off}")).is_none());
        }
    }

    #[test]
    fn the_protocol_follows_from_port_and_path_unless_it_is_named() {
        for (environment, shown) in [
            ("ENDPOINT=http://a:4317", "grpc to http://a:4317/"),
            ("ENDPOINT=http://a:4318", "http/protobuf to http://a:4318/v1/traces"),
            ("ENDPOINT=https://a/otlp/", "http/protobuf to https://a/otlp/v1/traces"),
            ("TRACES_ENDPOINT=https://a/own", "http/protobuf to https://a/own"),
            (
                "ENDPOINT=http://a:1\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
                "http/protobuf to http://a:1/v1/traces",
            ),
            (
                "ENDPOINT=http://a:4318\nOTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc",
                "grpc to http://a:4318/",
            ),
        ] {
            let endpoint = traces(&format!("OTEL_EXPORTER_OTLP_{environment}")).unwrap();
            assert_eq!(endpoint.to_string(), shown);
        }
    }

    #[test]
    fn a_signals_own_setting_wins_over_the_one_for_all() {
        let (settings, problems) = read(
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://all:4317\n\
             OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://own:4317\n\
             OTEL_EXPORTER_OTLP_HEADERS=a=1, B = x%20y\n\
             OTEL_EXPORTER_OTLP_METRICS_HEADERS=c=2\n\
             OTEL_EXPORTER_OTLP_TIMEOUT=2000\nOTEL_EXPORTER_OTLP_TRACES_COMPRESSION=gzip",
        );
        assert!(problems.is_empty(), "{problems:#?}");
        let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
        assert_eq!(traces.url.host_str(), Some("own"));
        assert_eq!(metrics.url.host_str(), Some("all"));
        let headers = |endpoint: &Endpoint| -> Vec<String> {
            let all = endpoint.headers.0.iter();
            all.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
        };
        assert_eq!(headers(&traces), ["a: 1", "b: x y"]);
        assert_eq!(headers(&metrics), ["c: 2"]);
        assert_eq!((traces.timeout, traces.gzip), (Duration::from_secs(2), true));
        assert!(!metrics.gzip);
        assert!(!format!("{traces:?}").contains("x y"), "{traces:?}");
    }
}
