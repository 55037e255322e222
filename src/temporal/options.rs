//! The SDK's connection options, built from Temporal's own settings and checked.
//!
//! The settings are those of every Temporal SDK: `TEMPORAL_*` variables, and the configuration file that
//! they may name. The Rust SDK ignores some of them and reports others late or vaguely, so everything
//! that can be checked without a connection is checked here, and every problem is reported at once.

use std::process;

use temporalio_client::{ClientOptions, ConnectionOptions, GrpcCompression, TlsOptions, Url};

use temporalio_common::envconfig::DataSource;

use super::{
    address,
    http_proxy::HttpProxy,
    profile::Profile,
    texts, tls,
    variables::{self, Unread},
};
use crate::{
    config::{Compression, connect::ConnectSettings, otel::shown_url},
    error::Error,
    process::identity::identity,
    terminal::stderr,
    text::list,
};

/// What a command does with payloads. A codec is applied by none: the Rust SDK ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// It sends them, and would send them unencoded.
    Sent,
    /// At most it reads them, and shows what it can.
    Read,
}

/// A connection as the settings describe it.
pub(super) struct Described {
    pub(super) connection: ConnectionOptions,
    pub(super) client: ClientOptions,
    /// The proxy that it goes through.
    pub(super) proxy: Option<HttpProxy>,
    /// Variables that are not read, while the one that is read has another value, and a key that was trimmed: a
    /// line for each.
    pub(super) warnings: Vec<String>,
    profile: Profile,
}

/// The options for a process in `role`, which becomes part of the identity that the server shows.
///
/// # Errors
/// [`Error::ConnectionConfig`] if a setting is wrong, contradicts another, or is one that the SDK ignores.
pub(super) fn options(
    settings: &ConnectSettings,
    role: &str,
    payloads: Payloads,
) -> Result<Described, Error> {
    let mut profile = Profile::load(&settings.environment)?;
    let mut warnings: Vec<_> = trim_key(&mut profile).into_iter().collect();
    let mut problems = plain_problems(&mut profile);
    let mut tls = profile.settings.tls.clone();
    problems.extend(tls::problems(&profile, tls.as_mut()));
    let (refused, unread) = unread_variables(&profile);
    warnings.extend(unread);
    problems.extend(refused);
    if payloads == Payloads::Sent {
        problems.extend(codec_problem(&profile));
    }
    refuse(&problems)?;

    let metadata = profile.settings.grpc_meta.values();
    profile.settings.api_key.iter().chain(metadata).for_each(|secret| stderr::conceal(secret));

    let has_api_key = profile.settings.api_key.is_some();
    let namespace = profile.settings.namespace.clone().unwrap_or_else(|| "default".into());
    let mut ready = profile.settings.clone();
    ready.tls = tls;
    let mut connection = ConnectionOptions::try_from(ready)
        .map_err(|error| Error::ConnectionConfig(error.to_string()))?;
    let mut problems = Vec::new();
    match &connection.tls_options {
        Some(tls) => problems.extend(tls::check_certificates(tls).err()),
        // The SDK does not turn TLS on for an https:// address, and its transport then refuses the address.
        None if connection.target.scheme() == "https" => {
            connection.tls_options = Some(TlsOptions::default());
        }
        None => {}
    }
    if has_api_key {
        problems.extend(tls::check_api_key_is_protected(&connection.target).err());
    }
    let proxy =
        HttpProxy::of(&settings.environment, &connection.target).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
    refuse(&problems)?;

    if let Some(proxy) = &proxy {
        connection.http_connect_proxy = Some(proxy.options());
        // The proxy resolves the name, and the SDK refuses both at once.
        connection.dns_load_balancing = None;
    }
    connection.identity = identity(role, process::id());
    connection.grpc_compression = match settings.compression {
        Compression::None => GrpcCompression::None,
        Compression::Gzip => GrpcCompression::Gzip,
    };
    let client = ClientOptions::new(namespace).build();
    Ok(Described { connection, client, proxy, warnings, profile })
}

fn refuse(problems: &[String]) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::ConnectionConfig(list(problems))) }
}

/// Takes the line break from the end of a key, which `echo` and editors leave in a file, and says so: the SDK would
/// send no key at all. Nobody can mean it.
fn trim_key(profile: &mut Profile) -> Option<String> {
    let place = profile.place("TEMPORAL_API_KEY", "api_key");
    let key = profile.settings.api_key.as_mut()?;
    let trimmed = key.trim_end_matches(['\r', '\n']).len();
    if trimmed == key.len() {
        return None;
    }
    key.truncate(trimmed);
    Some(format!("{place} ends with a line break, which is left out"))
}

/// Checks the address, the namespace, the key and the headers, and completes the address.
fn plain_problems(profile: &mut Profile) -> Vec<String> {
    let mut problems = Vec::new();
    if profile.settings.address.is_none() && profile.settings.tls.is_some() {
        // The SDK's own default says http://, which overrides TLS.
        profile.settings.address = Some(format!("localhost:{}", address::PORT));
    }
    if let Some(given) = profile.settings.address.clone() {
        // A line break at the end is what a file of variables with foreign line ends leaves.
        let address = given.trim_end_matches(['\r', '\n']);
        let place = if address::may_hold_password(&given) {
            profile.place("TEMPORAL_ADDRESS", "address")
        } else {
            profile.place_of("TEMPORAL_ADDRESS", "address", &address::host_only(&given))
        };
        match (texts::flaw(address), address::parse(address)) {
            (Some(flaw), _) => problems.push(format!("{place} {flaw}")),
            (None, Err(rule)) => problems.push(format!("{place}: {rule}")),
            (None, Ok(complete)) => profile.settings.address = Some(complete),
        }
    }
    if let Some(namespace) = &profile.settings.namespace
        && let Some(flaw) = texts::flaw(namespace)
    {
        let place = profile.place_of("TEMPORAL_NAMESPACE", "namespace", namespace);
        problems.push(format!("{place} {flaw}"));
    }
    if let Some(flaw) = profile.settings.api_key.as_deref().and_then(texts::key_flaw) {
        problems.push(format!("{} {flaw}", profile.place("TEMPORAL_API_KEY", "api_key")));
    }
    let mut headers: Vec<_> = profile.settings.grpc_meta.iter().collect();
    headers.sort();
    for (name, value) in headers {
        if let Some(flaw) = texts::header_flaw(name, value) {
            let suffix = name.to_ascii_uppercase().replace('-', "_");
            let variable = format!("{}{suffix}", variables::HEADER_PREFIX);
            let key = format!("grpc_meta.{name}");
            problems.push(format!("{} {flaw}", profile.place(&variable, &key)));
        }
    }
    problems
}

/// The variables that are not read and look as if they were: refusals, where nothing gives what they mean,
/// and warnings, where it has another value than they have.
fn unread_variables(profile: &Profile) -> (Vec<String>, Vec<String>) {
    let environment = &profile.environment;
    let (mut refused, mut warnings) = (Vec::new(), Vec::new());
    for Unread { name, read } in variables::unread(environment) {
        match given(profile, read) {
            None => refused.push(format!(
                "{name} (environment) is not read: set {read}, which is, or unset it"
            )),
            Some(value) => {
                let other = environment.get(&name).unwrap_or_default();
                if !value.contains(other) {
                    warnings.push(format!("{name} (environment) is not read: {read} holds"));
                }
            }
        }
    }
    (refused, warnings)
}

/// The value of what a variable sets, from wherever it comes.
fn given(profile: &Profile, variable: &str) -> Option<String> {
    let settings = &profile.settings;
    let tls = settings.tls.as_ref();
    let source = |source: &Option<DataSource>| match source.as_ref()? {
        DataSource::Path(path) => Some(path.clone()),
        DataSource::Data(data) => Some(String::from_utf8_lossy(data).into_owned()),
        _ => Some(String::new()),
    };
    match variable {
        "TEMPORAL_ADDRESS" => settings.address.clone(),
        "TEMPORAL_NAMESPACE" => settings.namespace.clone(),
        "TEMPORAL_API_KEY" => settings.api_key.clone(),
        "TEMPORAL_TLS" => tls.map(|tls| (tls.disabled != Some(true)).to_string()),
        "TEMPORAL_TLS_SERVER_NAME" => tls?.server_name.clone(),
        name if name.contains("CLIENT_CERT") => source(&tls?.client_cert),
        name if name.contains("CLIENT_KEY") => source(&tls?.client_key),
        name if name.contains("CA_CERT") => source(&tls?.server_ca_cert),
        name => profile.environment.get(name).map(Into::into),
    }
}

/// A codec, for a command that would send payloads without it.
fn codec_problem(profile: &Profile) -> Option<String> {
    profile.settings.codec.as_ref()?;
    let variables = ["TEMPORAL_CODEC_ENDPOINT", "TEMPORAL_CODEC_AUTH"];
    let variable = variables.into_iter().find(|name| profile.environment.get(name).is_some());
    let place = profile.place(variable.unwrap_or_default(), "codec");
    Some(format!(
        "{place} sets a codec, which the Temporal Rust SDK ignores, so that payloads would be sent \
         unencoded: unset it, or choose another profile with TEMPORAL_PROFILE"
    ))
}

/// The address, the namespace and the use of TLS as they are resolved, where they come from, and the
/// variables of the connection that are set, as pairs of name and value. Secrets are masked.
///
/// # Errors
/// [`Error::ConnectionConfig`] if the settings of the connection are wrong.
pub(crate) fn describe_connection(
    settings: &ConnectSettings,
) -> Result<Vec<(String, String)>, Error> {
    let described = options(settings, "config", Payloads::Read)?;
    let Described { connection, client, proxy, profile, warnings } = described;
    let mut lines = vec![
        ("address".to_owned(), shown_address(&connection)),
        ("namespace".to_owned(), client.namespace),
        ("tls".to_owned(), (connection.target.scheme() == "https").to_string()),
    ];
    lines.extend(proxy.map(|proxy| ("proxy".to_owned(), proxy.to_string())));
    if let Some(file) = &profile.file {
        let shown = format!("{} (profile {:?})", file.display(), profile.name());
        lines.push(("file".to_owned(), shown));
    }
    if profile.settings.codec.is_some() {
        let shown = "not applied: starter, bench and workers refuse it";
        lines.push(("codec".to_owned(), shown.to_owned()));
    }
    lines.extend(warnings.into_iter().map(|warning| ("warning".to_owned(), warning)));
    let mut variables: Vec<_> = settings.environment.temporal().into_iter().collect();
    variables.retain(|(name, _)| variables::is_read(name));
    variables.sort();
    for (name, value) in variables {
        let shown = shown(&name, &value);
        lines.push((name, shown));
    }
    Ok(lines)
}

/// The value of a variable as it may be shown. Of headers and of what is not known, anything may be a secret.
fn shown(variable: &str, value: &str) -> String {
    match variable {
        "TEMPORAL_CODEC_ENDPOINT" => {
            let url = Url::parse(value).ok();
            url.and_then(|url| shown_url(&url)).unwrap_or_else(|| "***".into())
        }
        // A path may have been taken for the place of the key itself.
        _ if variables::is_public(variable) && !value.contains("-----BEGIN") => value.to_owned(),
        _ => "***".into(),
    }
}

/// The address as a URL with its port, without a final slash.
pub(super) fn shown_address(options: &ConnectionOptions) -> String {
    let (host, port) = host_and_port(&options.target);
    format!("{}://{host}:{port}", options.target.scheme())
}

/// The host, an IPv6 address in its brackets, and the port.
pub(super) fn host_and_port(target: &Url) -> (&str, u16) {
    (target.host_str().unwrap_or_default(), target.port_or_known_default().unwrap_or_default())
}
