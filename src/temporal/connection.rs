//! The connection to Temporal: configured as in every Temporal SDK, retried until the server is
//! there.
//!
//! The SDK tries to connect once. A worker that starts together with its server, as in compose or
//! Kubernetes, must wait for it, and say so; a worker whose configuration is wrong must not.

use std::{error::Error as StdError, fs, net::IpAddr, time::Duration};

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, GrpcCompression, NamespacedClient,
    TlsOptions, Url,
    errors::ClientConnectError,
    grpc::WorkflowService,
    tonic::{
        Code, IntoRequest, Status,
        transport::{ClientTlsConfig, Endpoint, Identity},
    },
};
use temporalio_common::{
    envconfig::{
        ClientConfigProfile, DataSource, LoadClientConfigProfileOptions, load_client_config_profile,
    },
    protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest,
    telemetry::metrics::TemporalMeter,
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::{
    config::{Compression, Config, environment::Environment},
    error::{Error, chain, root_cause},
    process::identity::identity,
    telemetry::Traces,
};

/// How long one try may take: the SDK sets no limit, and an address that swallows packets would
/// otherwise hang for minutes.
pub(crate) const TRY_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Connects and finds the namespace, trying for [`Config::connect_timeout`], a log line each try.
///
/// # Errors
/// [`Error::Unreachable`] and [`Error::NamespaceMissing`] when the time is over;
/// [`Error::ConnectionConfig`] and [`Error::Refused`] at once, since trying again cannot help.
pub(crate) async fn connect(
    config: &Config,
    role: &str,
    traces: Option<&Traces>,
) -> Result<Client, Error> {
    connect_with(config, role, traces, None).await
}

/// [`connect`], for someone who measures the connection.
pub(crate) async fn connect_with(
    config: &Config,
    role: &str,
    traces: Option<&Traces>,
    meter: Option<TemporalMeter>,
) -> Result<Client, Error> {
    let (mut connection_options, mut client_options) = options(config, role)?;
    connection_options.metrics_meter = meter;
    if let Some(traces) = traces {
        client_options =
            ClientOptions::new(client_options.namespace).plugins(traces.plugins()).build();
    }
    let target = Target::new(&connection_options, config);
    let address = target.address.clone();
    let mut tries = Tries::new(config.connect_timeout);
    loop {
        let patience = TRY_TIMEOUT.min(tries.left().max(Duration::from_secs(1)));
        let one = try_once(&connection_options, &client_options);
        let failure = match timeout(patience, one).await {
            Ok(Ok(client)) => {
                info!(%address, namespace = client.namespace(), "connected to Temporal");
                return Ok(client);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Absent {
                cause: format!("no answer within {:.1} s", patience.as_secs_f64()),
                hint: "",
            },
        };
        let (problem, error) = match failure {
            Failure::Config(cause) => return Err(Error::ConnectionConfig(cause)),
            Failure::Refused(cause) => return Err(Error::Refused { address, cause }),
            Failure::Absent { cause, hint } => (
                format!("cannot reach Temporal at {address}: {cause}{hint}"),
                target.unreachable(cause, hint),
            ),
            Failure::NamespaceMissing => {
                let namespace = client_options.namespace.clone();
                (
                    format!("namespace {namespace:?} does not exist at {address}"),
                    Error::NamespaceMissing { namespace, address: address.clone() },
                )
            }
        };
        let Some(pause) = tries.next_pause() else {
            return Err(error);
        };
        warn!("{problem}; trying again for another {:.1} s", tries.left().as_secs_f64());
        sleep(pause).await;
    }
}

/// One try, for a server that is just starting: whether its namespace answers.
pub(crate) async fn probe(config: &Config) -> bool {
    let Ok((connection, client)) = options(config, "probe") else {
        return false;
    };
    matches!(timeout(TRY_TIMEOUT, try_once(&connection, &client)).await, Ok(Ok(_)))
}

fn options(config: &Config, role: &str) -> Result<(ConnectionOptions, ClientOptions), Error> {
    let wrong = |error: &dyn std::error::Error| Error::ConnectionConfig(error.to_string());
    let profile = load_client_config_profile(
        LoadClientConfigProfileOptions::default(),
        Some(&config.environment.temporal()),
    )
    .map_err(|error| Error::ConnectionConfig(chain(&error)))?;
    refuse_what_is_ignored(&profile, &config.environment)?;
    find_files(&profile)?;
    let given = profile.address.clone().unwrap_or_default();
    let has_api_key = profile.api_key.is_some();
    let namespace = profile.namespace.clone().unwrap_or_else(|| "default".into());
    let mut connection = ConnectionOptions::try_from(profile).map_err(|error| wrong(&error))?;
    // The SDK takes what is no URL for a host name, and would then look for that in the DNS.
    let target = &connection.target;
    if !matches!(target.scheme(), "http" | "https") || !matches!(target.path(), "" | "/") {
        return Err(Error::ConnectionConfig(format!(
            "address {given:?}: expected host:port, or a URL http://host:port or https://host:port"
        )));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Err(Error::ConnectionConfig(
            "the address holds a user name or password: Temporal takes TEMPORAL_API_KEY or a client \
             certificate"
                .into(),
        ));
    }
    match &connection.tls_options {
        Some(tls) => check_tls(tls)?,
        // The address alone turns no TLS on in the SDK, whose transport then refuses it.
        None if target.scheme() == "https" => connection.tls_options = Some(TlsOptions::default()),
        None => {}
    }
    if has_api_key && connection.target.scheme() != "https" && !is_this_machine(&connection.target)
    {
        return Err(Error::ConnectionConfig(
            "without TLS the API key would be sent in clear: expected https:// or host:port, and not \
             TEMPORAL_TLS=false"
                .into(),
        ));
    }
    connection.identity = identity(role, std::process::id());
    connection.connect_timeout = Some(TRY_TIMEOUT);
    connection.grpc_compression = match config.grpc_compression {
        Compression::None => GrpcCompression::None,
        Compression::Gzip => GrpcCompression::Gzip,
    };
    Ok((connection, ClientOptions::new(namespace).build()))
}

fn is_this_machine(target: &Url) -> bool {
    let host = target.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

/// The SDK reads these settings and does nothing with them (docs/sdk.md). A connection that is not
/// what it was told to be is worse than none.
fn refuse_what_is_ignored(
    profile: &ClientConfigProfile,
    environment: &Environment,
) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::ConnectionConfig(what.into()));
    let tls = profile.tls.as_ref();
    if tls.is_some_and(|tls| tls.disable_host_verification) {
        return refuse(
            "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION (or disable_host_verification) is set, which the \
             Temporal Rust SDK ignores: unset it, and name the server with TEMPORAL_TLS_SERVER_NAME",
        );
    }
    if profile.codec.is_some() {
        return refuse(
            "a codec is set (TEMPORAL_CODEC_ENDPOINT, TEMPORAL_CODEC_AUTH or codec), which the \
             Temporal Rust SDK ignores: unset it, or payloads would be sent as they are",
        );
    }
    let switch = environment.get("TEMPORAL_TLS").unwrap_or("true");
    if !["true", "false", "1", "0"].iter().any(|known| switch.eq_ignore_ascii_case(known)) {
        return Err(Error::ConnectionConfig(format!(
            "TEMPORAL_TLS={switch:?}, which the Temporal Rust SDK ignores: expected true or false"
        )));
    }
    let address = profile.address.as_deref().unwrap_or_default();
    if address.starts_with("http://") && tls.is_some_and(|tls| tls.disabled != Some(true)) {
        return refuse("TLS is set, but the address says http://: expected https:// or host:port");
    }
    if address.starts_with("https://") && tls.is_some_and(|tls| tls.disabled == Some(true)) {
        return refuse("TLS is off, but the address says https://: expected http:// or host:port");
    }
    Ok(())
}

/// The SDK says only that there is no such file, not which.
fn find_files(profile: &ClientConfigProfile) -> Result<(), Error> {
    let Some(tls) = profile.tls.as_ref().filter(|tls| tls.disabled != Some(true)) else {
        return Ok(());
    };
    for (source, what) in [
        (&tls.server_ca_cert, "TEMPORAL_TLS_SERVER_CA_CERT_PATH (or server_ca_cert_path)"),
        (&tls.client_cert, "TEMPORAL_TLS_CLIENT_CERT_PATH (or client_cert_path)"),
        (&tls.client_key, "TEMPORAL_TLS_CLIENT_KEY_PATH (or client_key_path)"),
    ] {
        if let Some(DataSource::Path(path)) = source {
            fs::read(path).map_err(|error| {
                Error::ConnectionConfig(format!("{what}: cannot read {path:?}: {error}"))
            })?;
        }
    }
    Ok(())
}

/// Reads the certificates and the key as the SDK will at each try, when it tells of a wrong file as
/// of a server that is away; and of one without certificates it tells nothing.
fn check_tls(tls: &TlsOptions) -> Result<(), Error> {
    let holds_certificate =
        |pem: &[u8]| String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----");
    let without = |what: &str| {
        Err(Error::ConnectionConfig(format!("the {what} holds no certificate in PEM form")))
    };
    if tls.server_root_ca_cert.as_deref().is_some_and(|pem| !holds_certificate(pem)) {
        return without("server's CA (TEMPORAL_TLS_SERVER_CA_CERT_PATH)");
    }
    let Some(client) = &tls.client_tls_options else { return Ok(()) };
    if !holds_certificate(&client.client_cert) {
        return without("client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)");
    }
    let identity = Identity::from_pem(&client.client_cert, &client.client_private_key);
    Endpoint::from_static("https://temporal")
        .tls_config(ClientTlsConfig::new().identity(identity))
        .map_err(|error| {
            Error::ConnectionConfig(format!(
                "the client certificate and its key (TEMPORAL_TLS_CLIENT_CERT_PATH, \
                 TEMPORAL_TLS_CLIENT_KEY_PATH): {}",
                root_cause(&error)
            ))
        })?;
    Ok(())
}

/// The connection's address and namespace as they are resolved, and the variables that are set for
/// it, with what is secret masked.
///
/// # Errors
/// [`Error::ConnectionConfig`].
pub(crate) fn describe_connection(config: &Config) -> Result<Vec<(String, String)>, Error> {
    let (connection, client) = options(config, "config")?;
    let mut lines = vec![
        ("address".to_owned(), shown_address(&connection)),
        ("namespace".to_owned(), client.namespace),
        ("tls".to_owned(), (connection.target.scheme() == "https").to_string()),
    ];
    let mut variables: Vec<_> = config.environment.temporal().into_iter().collect();
    variables.sort();
    for (name, value) in variables {
        // Keys, and headers, which may carry one. A path to a key is no secret.
        let is_secret = !name.ends_with("_PATH")
            && ["KEY", "AUTH", "GRPC_META", "DATA"].iter().any(|part| name.contains(part));
        lines.push((name, if is_secret { "***".into() } else { value }));
    }
    Ok(lines)
}

enum Failure {
    /// Trying again cannot help.
    Config(String),
    /// The server is there and says no.
    Refused(String),
    /// Nobody there, or not ready yet; and what may be wrong if it stays so.
    Absent { cause: String, hint: &'static str },
    /// Set-up jobs create namespaces after the server has started: try again.
    NamespaceMissing,
}

async fn try_once(
    connection: &ConnectionOptions,
    client: &ClientOptions,
) -> Result<Client, Failure> {
    let tls = connection.tls_options.as_ref();
    let connected = Connection::connect(connection.clone()).await;
    let connection = connected.map_err(|error| match error {
        ClientConnectError::TonicTransportError(error) => {
            let cause = root_cause(&error);
            let hint = tls_hint(tls, &cause, &error);
            Failure::Absent { cause, hint }
        }
        ClientConnectError::DnsResolutionError { host, source } => {
            Failure::Absent { cause: format!("{host} cannot be resolved: {source}"), hint: "" }
        }
        ClientConnectError::SystemInfoCallError(status) => refused_or_absent(tls, &status),
        other => Failure::Config(chain(&other)),
    })?;
    let client = Client::new(connection, client.clone())
        .map_err(|error| Failure::Config(error.to_string()))?;
    let request = DescribeNamespaceRequest { namespace: client.namespace(), ..Default::default() };
    match client.clone().describe_namespace(request.into_request()).await {
        Ok(_) => Ok(client),
        Err(status) if status.code() == Code::NotFound => Err(Failure::NamespaceMissing),
        // Some API keys may start workflows but not describe the namespace: enough for a starter. A
        // worker needs both, and the SDK's own check says so.
        Err(status) if status.code() == Code::PermissionDenied => Ok(client),
        Err(status) => Err(refused_or_absent(tls, &status)),
    }
}

fn refused_or_absent(tls: Option<&TlsOptions>, status: &Status) -> Failure {
    let cause = describe(status);
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Failure::Refused(cause),
        _ => {
            let hint = tls_hint(tls, &cause, status);
            Failure::Absent { cause, hint }
        }
    }
}

/// Whether a connection was made, and then broke: before that there is no error of hyper's.
fn hung_up(error: &(dyn StdError + 'static)) -> bool {
    error.is::<hyper::Error>() || error.source().is_some_and(hung_up)
}

/// What is likely wrong between a client with TLS or without and a server without or with, as far
/// as a failed try shows that. Certain is none of it: a server that is just being replaced may fail
/// in the same ways, so that it is tried again.
fn tls_hint(
    tls: Option<&TlsOptions>,
    cause: &str,
    error: &(dyn StdError + 'static),
) -> &'static str {
    // Their types are lost on the way; the words are those of rustls.
    let says = |words: &str| cause.contains(words);
    match tls {
        None if hung_up(error) => "; if the server wants TLS, set TEMPORAL_TLS=true",
        Some(_) if says("received corrupt message") || says("tls handshake eof") => {
            "; this port seems to speak no TLS: set TEMPORAL_TLS=false, and give the address \
             without https://"
        }
        Some(_) if says("not valid for name") => {
            "; set TEMPORAL_TLS_SERVER_NAME to a name that it is valid for"
        }
        Some(_) if says("UnknownIssuer") || says("BadSignature") => {
            "; set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the authority that signed it"
        }
        // The alert that tells of it comes after the handshake, and often not through.
        Some(tls) if hung_up(error) && tls.client_tls_options.is_none() => {
            "; if the server wants a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
             TEMPORAL_TLS_CLIENT_KEY_PATH"
        }
        Some(_) if hung_up(error) => {
            "; the server may not accept the client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)"
        }
        _ => "",
    }
}

/// A server's refusal in one phrase.
pub(crate) fn describe(status: &Status) -> String {
    let said =
        if status.message().is_empty() { status.code().description() } else { status.message() };
    match status.source().map(root_cause) {
        // With a host's name, for which the SDK balances over its addresses, the two are the same.
        Some(cause) if !said.contains(&cause) => format!("{said}: {cause}"),
        _ => said.to_owned(),
    }
}

/// The server as errors name it, and how long to wait for it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) patience: Duration,
    hint: &'static str,
}

impl Target {
    /// The server that the settings name.
    ///
    /// # Errors
    /// [`Error::ConnectionConfig`].
    pub(crate) fn of(config: &Config) -> Result<Self, Error> {
        let (connection, _) = options(config, "")?;
        Ok(Self::new(&connection, config))
    }

    fn new(connection: &ConnectionOptions, config: &Config) -> Self {
        Self {
            address: shown_address(connection),
            patience: config.connect_timeout,
            hint: start_hint(connection),
        }
    }

    /// It did not answer for as long as it was to be waited for. `hint` says what may be wrong, where
    /// something tells that.
    pub(crate) fn unreachable(&self, cause: String, hint: &'static str) -> Error {
        Error::Unreachable {
            address: self.address.clone(),
            tried: self.patience,
            cause,
            hint: if hint.is_empty() { self.hint } else { hint },
        }
    }

    /// It refused to do `what`.
    pub(crate) fn refusal(&self, what: &'static str, status: &Status) -> Error {
        let cause = describe(status);
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                Error::Refused { address: self.address.clone(), cause }
            }
            _ => Error::Rpc { what, cause },
        }
    }
}

fn shown_address(options: &ConnectionOptions) -> String {
    options.target.as_str().trim_end_matches('/').to_owned()
}

fn start_hint(options: &ConnectionOptions) -> &'static str {
    let local =
        options.target.host_str() == Some("localhost") && options.target.port() == Some(7233);
    if local { "; start one with fleet up --dev-server, or set TEMPORAL_ADDRESS" } else { "" }
}

/// The pauses between tries: doubling, up to [`LONGEST_PAUSE`], until the time is over.
struct Tries {
    deadline: Instant,
    pause: Duration,
}

impl Tries {
    fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, pause: FIRST_PAUSE }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn next_pause(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (Instant::now() + pause < self.deadline).then_some(pause)
    }
}
