//! OpenTelemetry's own variables (`OTEL_*`): where to, how and what, for each signal.
//!
//! They are read here and nowhere else: the crates read some of them by themselves, take what they
//! cannot parse for unset, and know only this process's environment. What is wrong is a problem like
//! any other setting's; what cannot be honoured is refused.

use std::{fmt, fs, time::Duration};

use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use temporalio_client::{
    Url,
    tonic::codegen::http::{HeaderName, HeaderValue},
};

use crate::{environment::Environment, settings::unknown};

/// What the fleet exports, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Where spans go; `None` where nothing is to be sent.
    pub(crate) traces: Option<Endpoint>,
    /// Where metrics go; `None` where none are to be sent.
    pub(crate) metrics: Option<Endpoint>,
    /// `OTEL_METRIC_EXPORT_INTERVAL`.
    pub(crate) metric_interval: Duration,
    /// `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub(crate) attributes: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and its argument.
    pub(crate) sampler: Option<Sampler>,
    /// `OTEL_PROPAGATORS`.
    pub(crate) propagators: Propagators,
    /// `OTEL_BSP_*`.
    pub(crate) batches: Batches,
    /// `OTEL_SPAN_*_COUNT_LIMIT`.
    pub(crate) limits: Limits,
}

/// Where one signal goes.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Over HTTP the whole address, with the signal's path.
    pub(crate) url: Url,
    pub(crate) protocol: Protocol,
    pub(crate) headers: Headers,
    /// How long a batch may take, with all tries.
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) tls: Tls,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.protocol, self.url)
    }
}

/// How OTLP is spoken.
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

/// Headers of each request. Their values are secrets: `Debug` shows none.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(HeaderName, HeaderValue)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Certificates and the key, in PEM form, where they are not the machine's own.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Which context goes along with a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Propagators {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl Default for Propagators {
    fn default() -> Self {
        Self { trace_context: true, baggage: true }
    }
}

/// How spans are gathered before they are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// How long a span waits for others.
    pub(crate) delay: Duration,
    /// How many may wait; further ones are dropped.
    pub(crate) queue: usize,
    /// How many go out at a time.
    pub(crate) most: usize,
}

impl Default for Batches {
    fn default() -> Self {
        // OpenTelemetry's, but for the delay of five seconds: what a process has not sent is lost
        // with it when it is killed.
        Self { delay: Duration::from_secs(1), queue: 2048, most: 512 }
    }
}

/// How much one span may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) attributes: Option<u32>,
    pub(crate) events: Option<u32>,
    pub(crate) links: Option<u32>,
}

/// What can be exported.
#[derive(Clone, Copy)]
enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// Its path below `OTEL_EXPORTER_OTLP_ENDPOINT`, over HTTP.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }
}

/// The settings of an exporter, each with and without a signal's name in the middle.
const EXPORTER: [&str; 8] = [
    "ENDPOINT",
    "PROTOCOL",
    "HEADERS",
    "TIMEOUT",
    "COMPRESSION",
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
];
const PREFIX: &str = "OTEL_EXPORTER_OTLP_";
/// OpenTelemetry's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// OpenTelemetry's default.
const METRIC_INTERVAL: Duration = Duration::from_mins(1);
/// The port of OTLP over HTTP.
const HTTP_PORT: u16 = 4318;

/// A setting that is wrong, and the rule. The first has the value too, unless that is a secret.
pub(crate) type Problem = (String, String);

impl Settings {
    /// Reads them, and what is wrong with them.
    pub(crate) fn read(environment: &Environment) -> (Self, Vec<Problem>) {
        let mut reader = Reader { environment, problems: Vec::new() };
        let disabled = reader.parse("OTEL_SDK_DISABLED", parse_switch).unwrap_or(false);
        if disabled {
            // A way out for a process whose surroundings are set up for something else.
            return (Self::default(), reader.problems);
        }
        reader.refuse_unknown();
        let settings = Self {
            traces: reader.endpoint(Signal::Traces),
            metrics: reader.endpoint(Signal::Metrics),
            metric_interval: reader
                .parse("OTEL_METRIC_EXPORT_INTERVAL", parse_milliseconds)
                .unwrap_or(METRIC_INTERVAL),
            service_name: reader.parse("OTEL_SERVICE_NAME", |text| Ok(text.to_owned())),
            attributes: reader
                .parse("OTEL_RESOURCE_ATTRIBUTES", parse_attributes)
                .unwrap_or_default(),
            sampler: reader.sampler(),
            propagators: reader.parse("OTEL_PROPAGATORS", parse_propagators).unwrap_or_default(),
            batches: reader.batches(),
            limits: Limits {
                attributes: reader.parse("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", parse_count),
                events: reader.parse("OTEL_SPAN_EVENT_COUNT_LIMIT", parse_count),
                links: reader.parse("OTEL_SPAN_LINK_COUNT_LIMIT", parse_count),
            },
        };
        reader.parse("OTEL_LOGS_EXPORTER", |text| match text {
            "none" => Ok(()),
            _ => Err("the fleet's log goes to stderr; expected none".into()),
        });
        (settings, reader.problems)
    }
}

struct Reader<'a> {
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn parse<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.environment.get(name)?;
        parse(text).map_err(|rule| self.problem(name, rule)).ok()
    }

    fn problem(&mut self, name: &str, rule: String) {
        let value = self.environment.get(name).unwrap_or_default();
        let what =
            if is_secret(name) { name.to_owned() } else { format!("{name}={:?}", masked(value)) };
        // A setting of both signals is read twice.
        if !self.problems.iter().any(|(known, _)| *known == what) {
            self.problems.push((what, rule));
        }
    }

    /// A setting of an exporter: the signal's own, else the one for all. Both are checked.
    fn of<T>(
        &mut self,
        signal: Signal,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let all = self.parse(&format!("{PREFIX}{what}"), &parse);
        self.parse(&format!("{PREFIX}{}_{what}", signal.name()), &parse).or(all)
    }

    fn endpoint(&mut self, signal: Signal) -> Option<Endpoint> {
        let exporter = format!("OTEL_{}_EXPORTER", signal.name());
        let off = self.parse(&exporter, |text| match text {
            "otlp" => Ok(false),
            "none" => Ok(true),
            _ => Err("expected otlp or none".into()),
        });
        let own = format!("{PREFIX}{}_ENDPOINT", signal.name());
        let own = self.parse(&own, parse_endpoint);
        let all = self.parse("OTEL_EXPORTER_OTLP_ENDPOINT", parse_endpoint);
        let protocol = self.of(signal, "PROTOCOL", parse_protocol);
        let headers = self.of(signal, "HEADERS", parse_headers).unwrap_or_default();
        let timeout = self.of(signal, "TIMEOUT", parse_milliseconds).unwrap_or(TIMEOUT);
        let compression = self.of(signal, "COMPRESSION", |text| match text {
            "gzip" => Ok(true),
            // `opentelemetry-otlp` reads it as well, and does not know the word.
            "none" => Err("expected gzip; unset it for none".into()),
            _ => Err("expected gzip".into()),
        });
        let ca = self.of(signal, "CERTIFICATE", read_file);
        let certificate = self.of(signal, "CLIENT_CERTIFICATE", read_file);
        let key = self.of(signal, "CLIENT_KEY", read_file);
        if certificate.is_some() != key.is_some() {
            let (there, missing) = match certificate {
                Some(_) => ("CLIENT_CERTIFICATE", "CLIENT_KEY"),
                None => ("CLIENT_KEY", "CLIENT_CERTIFICATE"),
            };
            // Where the other is set and cannot be read, that has been said.
            let set =
                [format!("{PREFIX}{missing}"), format!("{PREFIX}{}_{missing}", signal.name())];
            if set.iter().all(|name| self.environment.get(name).is_none()) {
                let there = format!("{PREFIX}{there}");
                self.problem(&there, format!("a client certificate needs {PREFIX}{missing} too"));
            }
        }
        let (mut url, is_own) = own.map(|url| (url, true)).or(all.map(|url| (url, false)))?;
        if off == Some(true) {
            return None;
        }
        let has_path = !matches!(url.path(), "" | "/");
        let protocol = protocol.unwrap_or(if has_path || url.port() == Some(HTTP_PORT) {
            Protocol::Http
        } else {
            Protocol::Grpc
        });
        match protocol {
            Protocol::Grpc if has_path => {
                let name = if is_own {
                    format!("{PREFIX}{}_ENDPOINT", signal.name())
                } else {
                    format!("{PREFIX}ENDPOINT")
                };
                self.problem(
                    &name,
                    "over grpc an endpoint has no path: see OTEL_EXPORTER_OTLP_PROTOCOL".into(),
                );
            }
            Protocol::Http if !is_own => {
                let path = format!("{}/{}", url.path().trim_end_matches('/'), signal.path());
                url.set_path(&path);
            }
            _ => {}
        }
        let tls = Tls { ca, client: certificate.zip(key) };
        let gzip = compression.unwrap_or(false);
        Some(Endpoint { url, protocol, headers, timeout, gzip, tls })
    }

    fn sampler(&mut self) -> Option<Sampler> {
        let ratio = self.parse("OTEL_TRACES_SAMPLER_ARG", |text| match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err("expected a number from 0.0 to 1.0".into()),
        });
        let of_parent = |root| Sampler::ParentBased(Box::new(root));
        let by_ratio = || Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0));
        self.parse("OTEL_TRACES_SAMPLER", |text| {
            Ok(match text {
                "always_on" => Sampler::AlwaysOn,
                "always_off" => Sampler::AlwaysOff,
                "traceidratio" => by_ratio(),
                "parentbased_always_on" => of_parent(Sampler::AlwaysOn),
                "parentbased_always_off" => of_parent(Sampler::AlwaysOff),
                "parentbased_traceidratio" => of_parent(by_ratio()),
                _ => {
                    return Err("expected always_on, always_off, traceidratio, \
                                parentbased_always_on, parentbased_always_off or \
                                parentbased_traceidratio"
                        .into());
                }
            })
        })
    }

    fn batches(&mut self) -> Batches {
        let usual = Batches::default();
        let delay = self.parse("OTEL_BSP_SCHEDULE_DELAY", parse_milliseconds);
        let queue = self.parse("OTEL_BSP_MAX_QUEUE_SIZE", parse_size);
        let most = self.parse("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", parse_size);
        let queue = queue.unwrap_or(usual.queue);
        if most.is_some_and(|most| most > queue) {
            let rule = format!("must not be above OTEL_BSP_MAX_QUEUE_SIZE ({queue})");
            self.problem("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", rule);
        }
        let most = most.unwrap_or(usual.most).min(queue);
        Batches { delay: delay.unwrap_or(usual.delay), queue, most }
    }

    /// A typing error in one of these names would have nothing sent, or not there.
    fn refuse_unknown(&mut self) {
        let with = |signal: &str| EXPORTER.map(|what| format!("{PREFIX}{signal}{what}"));
        let known: Vec<_> = ["", "TRACES_", "METRICS_"].into_iter().flat_map(with).collect();
        let others = [
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_TRACES_EXPORTER",
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
        ];
        // How metrics are put together is told by whoever sends some.
        let foreign = [
            "OTEL_EXPORTER_OTLP_LOGS_",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        ];
        let known = || known.iter().map(String::as_str).chain(others);
        for name in self.environment.names() {
            let ours = [PREFIX, "OTEL_BSP_", "OTEL_TRACES_"].iter().any(|it| name.starts_with(it));
            if !ours
                || known().any(|it| it == name)
                || foreign.iter().any(|it| name.starts_with(it))
            {
                continue;
            }
            let rule = match name.rsplit_once('_') {
                Some((_, "INSECURE")) => {
                    "give the endpoint with http:// or https:// instead".into()
                }
                _ if name == "OTEL_BSP_EXPORT_TIMEOUT" => {
                    "see OTEL_EXPORTER_OTLP_TIMEOUT, which bounds the same".into()
                }
                _ => unknown(name, known()),
            };
            self.problems.push((name.to_owned(), rule));
        }
    }
}

/// The variables that are set, with what is secret masked.
pub(crate) fn describe(environment: &Environment) -> Vec<(String, String)> {
    let names = environment.names().filter(|name| name.starts_with("OTEL_"));
    names
        .map(|name| {
            let value = environment.get(name).unwrap_or_default();
            (name.to_owned(), if is_secret(name) { "***".into() } else { masked(value) })
        })
        .collect()
}

fn is_secret(name: &str) -> bool {
    name.ends_with("_HEADERS")
}

/// An address without the password that may be in it.
fn masked(value: &str) -> String {
    match Url::parse(value) {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            let _ = url.set_password(None);
            let _ = url.set_username("***");
            url.into()
        }
        _ => value.to_owned(),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "expected true or false".into())
}

fn parse_endpoint(text: &str) -> Result<Url, String> {
    const RULE: &str = "expected a URL, as http://localhost:4317";
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

/// `name=value` pairs, with commas between them and with `%20` and the like in values.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
        })
        .collect()
}

fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    pairs(text).ok_or_else(|| "expected name=value pairs with commas between them".into())
}

fn parse_headers(text: &str) -> Result<Headers, String> {
    const RULE: &str =
        "expected name=value pairs with commas between them (the values are not shown)";
    let header = |(name, value): (String, String)| {
        // gRPC has no others than in lower case, and HTTP does not care.
        let name = HeaderName::try_from(name.to_ascii_lowercase()).ok()?;
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers = pairs(text).and_then(|it| it.into_iter().map(header).collect());
    headers.map(Headers).ok_or_else(|| RULE.into())
}

fn parse_propagators(text: &str) -> Result<Propagators, String> {
    let mut propagators = Propagators { trace_context: false, baggage: false };
    for name in text.split(',').map(str::trim) {
        match name {
            "tracecontext" => propagators.trace_context = true,
            "baggage" => propagators.baggage = true,
            "none" => {}
            _ => return Err("expected tracecontext, baggage, both with a comma, or none".into()),
        }
    }
    Ok(propagators)
}

fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    const RULE: &str = "expected a whole number of milliseconds, from 1 to 3600000";
    match text.parse() {
        Ok(number @ 1..=3_600_000) => Ok(Duration::from_millis(number)),
        _ => Err(RULE.into()),
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("expected a whole number from 1 to 1000000".into()),
    }
}

fn parse_count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".into())
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot read it: {error}"))?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN ") {
        return Err("holds nothing in PEM form".into());
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn every_wrong_value_is_named_with_its_rule_and_no_secret() {
        for (variable, problem) in [
            ("OTEL_SDK_DISABLED=yes", "OTEL_SDK_DISABLED=\"yes\": expected true or false"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"localhost:4317\": expected a URL, as http://localhost:4317",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@a:1",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://***@a:1/\": holds a user name or password: see \
                 OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
                "OTEL_EXPORTER_OTLP_PROTOCOL=\"http/json\": expected grpc or http/protobuf",
            ),
            (
                "OTEL_EXPORTER_OTLP_HEADERS=secret",
                "OTEL_EXPORTER_OTLP_HEADERS: expected name=value pairs with commas between them (the \
                 values are not shown)",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=10s",
                "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=\"10s\": expected a whole number of milliseconds, \
                 from 1 to 3600000",
            ),
            (
                "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
                "OTEL_EXPORTER_OTLP_COMPRESSION=\"zstd\": expected gzip",
            ),
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere",
                "OTEL_EXPORTER_OTLP_CERTIFICATE=\"/nowhere\": cannot read it: No such file or \
                 directory (os error 2)",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPONT=http://a",
                "OTEL_EXPORTER_OTLP_ENDPONT: no such setting; the nearest is \
                 OTEL_EXPORTER_OTLP_ENDPOINT",
            ),
            (
                "OTEL_EXPORTER_OTLP_INSECURE=true",
                "OTEL_EXPORTER_OTLP_INSECURE: give the endpoint with http:// or https:// instead",
            ),
            (
                "OTEL_TRACES_EXPORTER=zipkin",
                "OTEL_TRACES_EXPORTER=\"zipkin\": expected otlp or none",
            ),
            (
                "OTEL_METRICS_EXPORTER=statsd",
                "OTEL_METRICS_EXPORTER=\"statsd\": expected otlp or none",
            ),
            (
                "OTEL_LOGS_EXPORTER=otlp",
                "OTEL_LOGS_EXPORTER=\"otlp\": the fleet's log goes to stderr; expected none",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES=a",
                "OTEL_RESOURCE_ATTRIBUTES=\"a\": expected name=value pairs with commas between them",
            ),
            (
                "OTEL_TRACES_SAMPLER=xray",
                "OTEL_TRACES_SAMPLER=\"xray\": expected always_on, always_off, traceidratio, \
                 parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
            ),
            (
                "OTEL_TRACES_SAMPLER_ARG=2",
                "OTEL_TRACES_SAMPLER_ARG=\"2\": expected a number from 0.0 to 1.0",
            ),
            (
                "OTEL_PROPAGATORS=b3",
                "OTEL_PROPAGATORS=\"b3\": expected tracecontext, baggage, both with a comma, or none",
            ),
            (
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4000",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=\"4000\": must not be above OTEL_BSP_MAX_QUEUE_SIZE \
                 (2048)",
            ),
            (
                "OTEL_SPAN_EVENT_COUNT_LIMIT=-1",
                "OTEL_SPAN_EVENT_COUNT_LIMIT=\"-1\": expected a whole number, 0 or more",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://a/b\nOTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                "OTEL_EXPORTER_OTLP_ENDPOINT=\"http://a/b\": over grpc an endpoint has no path: see \
                 OTEL_EXPORTER_OTLP_PROTOCOL",
            ),
        ] {
            assert_eq!(read(variable).1, [problem], "{variable}");
        }
    }

    #[test]
    fn what_is_switched_off_is_not_looked_at() {
        assert!(traces("OTEL_SDK_DISABLED=true\nOTEL_TRACES_EXPORTER=zipkin").is_none());
    }
}
