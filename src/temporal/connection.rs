//! Connects to Temporal, and keeps trying until the server is there.
//!
//! The SDK tries to connect once. A worker that starts together with its server, as in Docker Compose or
//! Kubernetes, has to wait for the server and to log that it waits. A worker whose configuration is wrong
//! fails at once instead.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, NamespacedClient, TlsOptions,
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
    options::options,
    target::{Target, describe},
    tls_hint::tls_hint,
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
    connect_with_meter(settings, role, traces, None).await
}

/// Does the same as [`connect`], and has the SDK record the connection's metrics with `meter`.
///
/// # Errors
/// Those of [`connect`].
pub(crate) async fn connect_with_meter(
    settings: &ConnectSettings,
    role: &str,
    traces: Option<&Traces>,
    meter: Option<TemporalMeter>,
) -> Result<Client, Error> {
    let (mut connection, mut client) = options(settings, role)?;
    connection.metrics_meter = meter;
    if let Some(traces) = traces {
        client = ClientOptions::new(client.namespace).plugins(traces.plugins()).build();
    }
    let target = Target::new(&connection, settings.connect_timeout);
    let deadline = Instant::now() + settings.connect_timeout;
    let left = || deadline.saturating_duration_since(Instant::now());

    let attempt = || try_once(&connection, &client, TRY_TIMEOUT.min(left().max(SHORTEST_TRY)));
    let connected = attempt
        .retry(pauses())
        .when(ConnectFailure::may_pass)
        .adjust(|_, pause| pause.filter(|pause| *pause < left()))
        .notify(|failure, _| {
            let problem = failure.describe(&target, &client.namespace);
            warn!("{problem}; trying again for another {}", show_tenths(left()));
        })
        .await
        .map_err(|failure| failure.into_error(&target, &client.namespace))?;
    info!(address = %target.address, namespace = connected.namespace(), "connected to Temporal");
    Ok(connected)
}

/// Makes one attempt to connect, for a server that is just starting. Returns whether the namespace is
/// there.
pub(crate) async fn probe(settings: &ConnectSettings) -> bool {
    let Ok((connection, client)) = options(settings, "probe") else {
        return false;
    };
    try_once(&connection, &client, TRY_TIMEOUT).await.is_ok()
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
    Absent { cause: String, hint: &'static str },
    /// The server does not know the namespace. A set-up job may create it after the server has started.
    NamespaceMissing,
}

impl ConnectFailure {
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

async fn try_once(
    connection: &ConnectionOptions,
    client: &ClientOptions,
    limit: Duration,
) -> Result<Client, ConnectFailure> {
    timeout(limit, connect_once(connection, client)).await.unwrap_or_else(|_| {
        let cause = format!("no answer within {}", show_tenths(limit));
        Err(ConnectFailure::Absent { cause, hint: "" })
    })
}

async fn connect_once(
    connection: &ConnectionOptions,
    client: &ClientOptions,
) -> Result<Client, ConnectFailure> {
    let tls = connection.tls_options.as_ref();
    let mut options = connection.clone();
    options.connect_timeout = Some(TRY_TIMEOUT);
    let connected = Connection::connect(options).await.map_err(|error| match error {
        ClientConnectError::TonicTransportError(error) => {
            let cause = root_cause(&error);
            let hint = tls_hint(tls, &cause, &error);
            ConnectFailure::Absent { cause, hint }
        }
        ClientConnectError::DnsResolutionError { host, source } => ConnectFailure::Absent {
            cause: format!("{host} cannot be resolved: {source}"),
            hint: "",
        },
        ClientConnectError::SystemInfoCallError(status) => refused_or_absent(tls, &status),
        other => ConnectFailure::Config(chain(&other)),
    })?;
    let client = Client::new(connected, client.clone())
        .map_err(|error| ConnectFailure::Config(error.to_string()))?;
    let request = DescribeNamespaceRequest { namespace: client.namespace(), ..Default::default() };
    match client.clone().describe_namespace(request.into_request()).await {
        Ok(_) => Ok(client),
        Err(status) if status.code() == Code::NotFound => Err(ConnectFailure::NamespaceMissing),
        // Some API keys may start workflows but not describe the namespace. That is enough for a starter.
        // A worker needs both, and the SDK's own check reports it.
        Err(status) if status.code() == Code::PermissionDenied => Ok(client),
        Err(status) => Err(refused_or_absent(tls, &status)),
    }
}

fn refused_or_absent(tls: Option<&TlsOptions>, status: &Status) -> ConnectFailure {
    let cause = describe(status);
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => ConnectFailure::Refused(cause),
        _ => {
            let hint = tls_hint(tls, &cause, status);
            ConnectFailure::Absent { cause, hint }
        }
    }
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
