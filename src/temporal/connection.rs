//! Connects to Temporal, and keeps trying until the server is there.
//!
//! The SDK tries to connect once. A worker that starts together with its server, as in Docker Compose or
//! Kubernetes, has to wait for the server and to log that it waits. A worker whose configuration is wrong
//! fails at once instead.

use std::{borrow::Cow, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, NamespacedClient,
    errors::ClientConnectError,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::{
    protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest,
    telemetry::metrics::TemporalMeter,
};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{
    http_proxy::HttpProxy,
    options::{Described, Payloads, host_and_port, options},
    target::{Target, describe},
    tls_hint::{certificate_hint, port_hint},
    wire,
};
use crate::{
    config::{connect::ConnectSettings, show},
    error::{Error, chain, root_cause},
    telemetry::Traces,
};

/// The limit for one attempt to connect. The SDK has none, and an address that swallows packets would
/// otherwise block for minutes.
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// The last attempt gets at least this long, however little of the connect timeout is left.
const SHORTEST_TRY: Duration = Duration::from_secs(1);
/// The pause after the first attempt is at most this long. Each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Connects and looks up the namespace. Tries again until the connect timeout is over, and logs a line
/// for each failed attempt.
///
/// # Errors
/// [`Error::Unreachable`] and [`Error::NamespaceMissing`] when the time is over;
/// [`Error::ConnectionConfig`] and [`Error::Refused`] at once, since trying again cannot help.
pub(crate) async fn connect(
    settings: &ConnectSettings,
    role: &str,
    traces: Option<&Traces>,
) -> Result<Client, Error> {
    let mut server = Server::described(settings, role, Payloads::Sent)?;
    server.trace(traces);
    server.connect(settings.connect_timeout).await
}

/// Does the same as [`connect`] for a command that sends no payloads.
///
/// # Errors
/// Those of [`connect`].
pub(crate) async fn connect_to_read(
    settings: &ConnectSettings,
    role: &str,
) -> Result<Client, Error> {
    let server = Server::described(settings, role, Payloads::Read)?;
    server.connect(settings.connect_timeout).await
}

/// Does the same as [`connect`] for a worker, and has the SDK record the connection's metrics with `meter`.
///
/// # Errors
/// Those of [`connect`].
pub(crate) async fn connect_worker(
    settings: &ConnectSettings,
    role: &str,
    traces: Option<&Traces>,
    meter: TemporalMeter,
) -> Result<Client, Error> {
    let mut server = Server::described(settings, role, Payloads::Sent)?;
    server.connection.metrics_meter = Some(meter);
    server.needs_namespace = true;
    server.trace(traces);
    server.connect(settings.connect_timeout).await
}

/// A server that a connection is made to.
struct Server {
    connection: ConnectionOptions,
    client: ClientOptions,
    proxy: Option<HttpProxy>,
    /// Whether a key has to be allowed to describe the namespace. The SDK requires that of a worker's, and
    /// says so late and at length.
    needs_namespace: bool,
}

impl Server {
    /// The server of the settings, and a line in the log for each variable that is not read.
    fn described(
        settings: &ConnectSettings,
        role: &str,
        payloads: Payloads,
    ) -> Result<Self, Error> {
        let Described { connection, client, proxy, warnings, .. } =
            options(settings, role, payloads)?;
        for warning in warnings {
            warn!("{warning}");
        }
        Ok(Self { connection, client, proxy, needs_namespace: false })
    }

    fn trace(&mut self, traces: Option<&Traces>) {
        if let Some(traces) = traces {
            let namespace = self.client.namespace.clone();
            self.client = ClientOptions::new(namespace).plugins(traces.plugins()).build();
        }
    }

    async fn connect(&self, connect_timeout: Duration) -> Result<Client, Error> {
        let target = Target::new(&self.connection, connect_timeout);
        let namespace = &self.client.namespace;
        let deadline = Instant::now() + connect_timeout;
        let left = || deadline.saturating_duration_since(Instant::now());

        let attempt = || self.try_once(TRY_TIMEOUT.min(left().max(SHORTEST_TRY)));
        let connected = attempt
            .retry(pauses())
            .when(ConnectFailure::may_pass)
            // The last pause ends with the time, and one attempt more follows.
            .adjust(|_, pause| pause.filter(|_| !left().is_zero()).map(|pause| pause.min(left())))
            .notify(|failure, _| {
                let problem = failure.describe(&target, namespace);
                warn!("{problem}; trying again for another {}", show_tenths(left()));
            })
            .await
            .map_err(|failure| failure.into_error(&target, namespace))?;
        info!(address = %target.address, namespace = connected.namespace(), "connected to Temporal");
        Ok(connected)
    }

    /// Makes one attempt. Where it fails for a reason that may lie in the port, asks the port what it speaks.
    async fn try_once(&self, limit: Duration) -> Result<Client, ConnectFailure> {
        let failure = match self.connect_once(limit).await {
            Err(ConnectFailure::Absent { cause, hint }) if hint.is_empty() => cause,
            ended => return ended,
        };
        if is_closed_port(&failure) {
            return Err(ConnectFailure::absent(self.with_proxy(failure), ""));
        }
        let (host, port) = host_and_port(&self.connection.target);
        let spoken = wire::ask(host.trim_matches(['[', ']']), port, self.proxy.as_ref()).await;
        let hint = port_hint(spoken, &self.connection, self.proxy.as_ref());
        Err(ConnectFailure::Absent { cause: self.with_proxy(failure), hint })
    }

    /// A cause with the proxy, if there is one: it may be the proxy's.
    fn with_proxy(&self, cause: String) -> String {
        match &self.proxy {
            Some(proxy) => format!("{cause} (through the proxy {proxy})"),
            None => cause,
        }
    }

    async fn connect_once(&self, limit: Duration) -> Result<Client, ConnectFailure> {
        timeout(limit, self.connect_unlimited()).await.unwrap_or_else(|_| {
            Err(ConnectFailure::absent(format!("no answer within {}", show_tenths(limit)), ""))
        })
    }

    async fn connect_unlimited(&self) -> Result<Client, ConnectFailure> {
        let mut options = self.connection.clone();
        options.connect_timeout = Some(TRY_TIMEOUT);
        let connected = Connection::connect(options).await.map_err(|error| match error {
            ClientConnectError::TonicTransportError(error) => {
                let cause = root_cause(&error);
                let hint = certificate_hint(self.connection.tls_options.as_ref(), &cause, &error);
                ConnectFailure::absent(cause, hint)
            }
            ClientConnectError::DnsResolutionError { host, source } => {
                ConnectFailure::absent(format!("{host} cannot be resolved: {source}"), "")
            }
            ClientConnectError::SystemInfoCallError(status) => self.refused_or_absent(&status),
            other => ConnectFailure::Config(chain(&other)),
        })?;
        let client = Client::new(connected, self.client.clone())
            .map_err(|error| ConnectFailure::Config(error.to_string()))?;
        let request =
            DescribeNamespaceRequest { namespace: client.namespace(), ..Default::default() };
        match client.clone().describe_namespace(request.into_request()).await {
            Ok(_) => Ok(client),
            Err(status) if status.code() == Code::NotFound => Err(ConnectFailure::NamespaceMissing),
            // Some API keys may start workflows but not describe the namespace. That is enough for a starter.
            Err(status) if status.code() == Code::PermissionDenied && !self.needs_namespace => {
                Ok(client)
            }
            Err(status) => Err(self.refused_or_absent(&status)),
        }
    }

    fn refused_or_absent(&self, status: &Status) -> ConnectFailure {
        let cause = describe(status);
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => ConnectFailure::Refused(cause),
            Code::Unimplemented => ConnectFailure::absent(
                cause,
                "; this server does not know Temporal's calls: Temporal's port is 7233",
            ),
            _ => {
                let hint = certificate_hint(self.connection.tls_options.as_ref(), &cause, status);
                ConnectFailure::absent(cause, hint)
            }
        }
    }
}

/// Makes one attempt to connect, for a server that is just starting. Returns whether the namespace is
/// there.
pub(crate) async fn probe(settings: &ConnectSettings) -> bool {
    let Ok(server) = Server::described(settings, "probe", Payloads::Read) else {
        return false;
    };
    server.connect_once(TRY_TIMEOUT).await.is_ok()
}

/// The pauses between attempts. They double up to [`LONGEST_PAUSE`], and each is shortened at random by
/// up to a half, so that workers that lost the same server do not all come back at the same time.
fn pauses() -> ExponentialBuilder {
    // The crate's jitter lengthens a pause by up to its own length.
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE / 2)
        .with_max_delay(LONGEST_PAUSE / 2)
        .without_max_times()
        .with_jitter()
}

/// A time as text, rounded to tenths of a second.
pub(super) fn show_tenths(time: Duration) -> String {
    const TENTH: u128 = 100;
    let tenths = (time.as_millis() + TENTH / 2) / TENTH;
    show(Duration::from_millis(u64::try_from(tenths * TENTH).unwrap_or(u64::MAX)))
}

/// Why an attempt to connect failed.
enum ConnectFailure {
    /// The SDK does not accept the options.
    Config(String),
    /// The server answered and refused.
    Refused(String),
    /// The server is not there, or not ready yet. `hint` says what may be wrong if it stays so.
    Absent { cause: String, hint: Cow<'static, str> },
    /// The server does not know the namespace. A set-up job may create it after the server has started.
    NamespaceMissing,
}

impl ConnectFailure {
    fn absent(cause: String, hint: &'static str) -> Self {
        Self::Absent { cause, hint: hint.into() }
    }

    /// Whether a later attempt may succeed.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::NamespaceMissing)
    }

    fn describe(&self, target: &Target, namespace: &str) -> String {
        let address = &target.address;
        match self {
            Self::Config(cause) | Self::Refused(cause) => cause.clone(),
            Self::Absent { cause, hint } => {
                format!("cannot reach Temporal at {address}: {cause}{hint}")
            }
            Self::NamespaceMissing => {
                format!("namespace {namespace:?} does not exist at {address}")
            }
        }
    }

    fn into_error(self, target: &Target, namespace: &str) -> Error {
        let address = target.address.clone();
        match self {
            Self::Config(cause) => Error::ConnectionConfig(cause),
            Self::Refused(cause) => Error::Refused { address, cause },
            Self::Absent { cause, hint } => target.unreachable(cause, hint),
            Self::NamespaceMissing => {
                Error::NamespaceMissing { namespace: namespace.to_owned(), address }
            }
        }
    }
}

/// Whether a port does not accept connections, so that there is nothing to ask it.
fn is_closed_port(cause: &str) -> bool {
    cause.contains("Connection refused") || cause.contains("cannot be resolved")
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn pauses_double_within_their_limits_and_differ_at_random() {
        let both = [pauses().build(), pauses().build()].map(|pauses| pauses.take(20).collect());
        for pauses in &both as &[Vec<Duration>] {
            let longest = (0..20).map(|nth| (FIRST_PAUSE * (1 << nth.min(10))).min(LONGEST_PAUSE));
            for (pause, longest) in pauses.iter().zip(longest) {
                assert!(*pause >= longest / 2 && *pause <= longest, "{pause:?} of {longest:?}");
            }
        }
        assert_ne!(both[0], both[1]);
    }

    #[test]
    fn a_time_is_shown_in_tenths_of_a_second() {
        let shown = |millis| show_tenths(Duration::from_millis(millis));
        assert_eq!([shown(5000), shown(9849), shown(960)], ["5s", "9s 800ms", "1s"]);
    }
}
