//! The `TEMPORAL_*` variables: those that are read, and those that look as if they were.
//!
//! Other tools, and older ones, have other names for the same settings. A connection without TLS because the
//! certificate stands in a variable that nobody reads is worse than none.

use crate::config::environment::Environment;

/// The prefix of the variables that are headers of each call.
pub(super) const HEADER_PREFIX: &str = "TEMPORAL_GRPC_META_";

const ADDRESS: &str = "TEMPORAL_ADDRESS";
const NAMESPACE: &str = "TEMPORAL_NAMESPACE";
const API_KEY: &str = "TEMPORAL_API_KEY";
const TLS: &str = "TEMPORAL_TLS";
const CLIENT_CERT: &str = "TEMPORAL_TLS_CLIENT_CERT_PATH";
const CLIENT_CERT_DATA: &str = "TEMPORAL_TLS_CLIENT_CERT_DATA";
const CLIENT_KEY: &str = "TEMPORAL_TLS_CLIENT_KEY_PATH";
const CLIENT_KEY_DATA: &str = "TEMPORAL_TLS_CLIENT_KEY_DATA";
const CA: &str = "TEMPORAL_TLS_SERVER_CA_CERT_PATH";
const CA_DATA: &str = "TEMPORAL_TLS_SERVER_CA_CERT_DATA";
const SERVER_NAME: &str = "TEMPORAL_TLS_SERVER_NAME";

/// The variables that describe the connection.
const READ: [&str; 16] = [
    ADDRESS,
    NAMESPACE,
    API_KEY,
    TLS,
    CLIENT_CERT,
    CLIENT_CERT_DATA,
    CLIENT_KEY,
    CLIENT_KEY_DATA,
    CA,
    CA_DATA,
    SERVER_NAME,
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
    "TEMPORAL_CODEC_ENDPOINT",
    "TEMPORAL_CODEC_AUTH",
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_PROFILE",
];

/// Whether the value of a variable is no secret.
pub(super) fn is_public(name: &str) -> bool {
    let secrets = [API_KEY, CLIENT_CERT_DATA, CLIENT_KEY_DATA, CA_DATA, "TEMPORAL_CODEC_AUTH"];
    READ.contains(&name) && !secrets.contains(&name)
}

/// Whether a variable describes the connection.
pub(super) fn is_read(name: &str) -> bool {
    READ.contains(&name) || name.starts_with(HEADER_PREFIX)
}

/// A variable that looks as if it described the connection, and is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) name: String,
    /// The variable that is read in its place.
    pub(super) read: &'static str,
}

/// The variables that look as if they described the connection, and are not read.
pub(super) fn unread(environment: &Environment) -> Vec<Unread> {
    environment
        .names()
        .filter_map(|name| {
            let read = read_instead(name, environment.get(name)?)?;
            Some(Unread { name: name.to_owned(), read })
        })
        .collect()
}

/// The variable that is read in place of the one called `name`, if it looks like one of the connection's.
fn read_instead(name: &str, value: &str) -> Option<&'static str> {
    if is_read(name) || is_service_link(name, value) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    if name != upper {
        return READ.into_iter().find(|read| *read == upper);
    }
    match name.strip_prefix("TEMPORAL_") {
        Some(rest) => meant(&rest.split('_').collect::<Vec<_>>(), value).or_else(|| nearest(name)),
        None => name.starts_with("TEMP").then(|| nearest(name)).flatten(),
    }
}

/// Whether Kubernetes sets a variable for a service called `temporal` or `temporal-…`. It does so in every
/// pod of the service's namespace.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    is_url
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || ["_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_UDP_ADDR", "_UDP_PORT", "_UDP_PROTO"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// What other tools mean by a variable whose name has these words after `TEMPORAL_`.
fn meant(words: &[&str], value: &str) -> Option<&'static str> {
    let has = |word: &str| words.contains(&word);
    // What the server, its web UI and other products read.
    let is_others =
        ["UI", "WEB", "CODEC", "CORS", "METRICS", "INTERNODE", "REQUIRE", "DEFAULT", "VERSION"];
    if is_others.iter().any(|other| has(other)) {
        return None;
    }
    certificate(words, value).or_else(|| plain_setting(words))
}

/// What is meant by words that name a certificate, a key or an authority.
fn certificate(words: &[&str], value: &str) -> Option<&'static str> {
    const WORDS: [&str; 22] = [
        "CA",
        "CACERT",
        "CERT",
        "CERTIFICATE",
        "CLI",
        "CLIENT",
        "CLOUD",
        "CONTENT",
        "CRT",
        "DATA",
        "FILE",
        "FRONTEND",
        "GRPC",
        "KEY",
        "MTLS",
        "PATH",
        "PEM",
        "PRIVATE",
        "ROOT",
        "SERVER",
        "SSL",
        "TLS",
    ];
    if !words.iter().all(|word| WORDS.contains(word)) {
        return None;
    }
    let has = |word: &str| words.contains(&word);
    let is_data = has("DATA") || value.starts_with("-----BEGIN");
    let pick = |path, data| Some(if is_data { data } else { path });
    let is_tls = is_tls(words);
    if has("CA") || has("CACERT") || (has("ROOT") && (is_tls || has("CERT"))) {
        return pick(CA, CA_DATA);
    }
    let is_servers = has("FRONTEND") || (has("SERVER") && !has("CLIENT"));
    let is_client = has("CLIENT") || has("CERT") || has("PRIVATE");
    if has("KEY") && !has("API") && (is_tls || is_client || words == ["KEY"]) {
        return if is_servers { None } else { pick(CLIENT_KEY, CLIENT_KEY_DATA) };
    }
    if has("CERT") || has("CERTIFICATE") || has("CRT") {
        return if is_servers { None } else { pick(CLIENT_CERT, CLIENT_CERT_DATA) };
    }
    None
}

fn is_tls(words: &[&str]) -> bool {
    ["TLS", "MTLS", "SSL"].iter().any(|word| words.contains(word))
}

/// What is meant by words that name another setting of the connection.
fn plain_setting(words: &[&str]) -> Option<&'static str> {
    let has = |word: &str| words.contains(&word);
    if is_tls(words)
        && (has("SNI")
            || has("SERVERNAME")
            || has("DOMAIN")
            || words.ends_with(&["SERVER", "NAME"]))
    {
        return Some(SERVER_NAME);
    }
    let plain: Vec<_> = words.iter().copied().filter(|word| !is_prefix(word)).collect();
    match plain.as_slice() {
        ["TLS" | "MTLS" | "SSL"] if words.len() > 1 || !has("TLS") => Some(TLS),
        ["TLS" | "MTLS" | "SSL", "ENABLE" | "ENABLED" | "DISABLE" | "DISABLED" | "ON"]
        | ["ENABLE" | "DISABLE" | "USE", "TLS" | "MTLS" | "SSL"] => Some(TLS),
        ["NAMESPACE" | "NS"] | ["NAMESPACE", "NAME" | "ID"] => Some(NAMESPACE),
        ["API", "KEY" | "TOKEN"] if !has("CLOUD") => Some(API_KEY),
        ["APIKEY" | "TOKEN"] | ["AUTH", "TOKEN"] => Some(API_KEY),
        [
            "ADDRESS" | "ADDR" | "HOST" | "HOSTNAME" | "HOSTPORT" | "ENDPOINT" | "URL" | "URI"
            | "TARGET",
        ]
        | ["HOST", "PORT" | "URL" | "NAME" | "ADDRESS"]
        | ["TARGET", "HOST" | "ADDRESS" | "URL"] => Some(ADDRESS),
        [] if words == ["SERVER"] || words == ["FRONTEND"] => Some(ADDRESS),
        ["PORT"] if words.len() == 1 => Some(ADDRESS),
        _ => None,
    }
}

/// Words that say whose setting it is, and not which.
fn is_prefix(word: &str) -> bool {
    ["CLI", "CLIENT", "CLOUD", "CLUSTER", "FRONTEND", "GRPC", "SDK", "SERVER"].contains(&word)
}

/// The variable whose name differs from `name` by a slip of the hand.
fn nearest(name: &str) -> Option<&'static str> {
    let slips = |read: &&str| strsim::damerau_levenshtein(name, read);
    let read = READ.into_iter().min_by_key(slips)?;
    // The longer the name, the more slips still leave it recognisable.
    let most = match read.len() - "TEMPORAL_".len() {
        ..=5 => 1,
        6..=15 => 2,
        _ => 3,
    };
    (slips(&read) <= most).then_some(read)
}

/// Files of certificates and keys that are given beside their content: a line for each.
pub(super) fn set_twice(environment: &Environment) -> Vec<String> {
    let problem = |what| {
        let [path, data] = ["PATH", "DATA"].map(|form| format!("{TLS}_{what}_{form}"));
        let both = environment.get(&path).is_some() && environment.get(&data).is_some();
        both.then(|| format!("{path} and {data} (environment) are both set: unset one"))
    };
    ["CLIENT_CERT", "CLIENT_KEY", "SERVER_CA_CERT"].into_iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_its_content_is_refused_without_showing_it() {
        let both = "TEMPORAL_TLS_CLIENT_KEY_PATH=a\nTEMPORAL_TLS_CLIENT_KEY_DATA=s3cr3t";
        assert_eq!(
            set_twice(&both.parse().unwrap()),
            [
                "TEMPORAL_TLS_CLIENT_KEY_PATH and TEMPORAL_TLS_CLIENT_KEY_DATA (environment) are both set: \
              unset one"
            ]
        );
    }

    #[test]
    fn a_variable_of_another_tool_is_reported_with_the_one_that_is_read() {
        for (name, value, read) in [
            ("TEMPORAL_CLI_ADDRESS", "a:1", ADDRESS),
            ("TEMPORAL_HOST_PORT", "a:1", ADDRESS),
            ("TEMPORAL_HOST", "a", ADDRESS),
            ("TEMPORAL_HOST_URL", "a:1", ADDRESS),
            ("TEMPORAL_PORT", "7233", ADDRESS),
            ("TEMPORAL_GRPC_ENDPOINT", "a:1", ADDRESS),
            ("TEMPORAL_SERVER_URL", "a:1", ADDRESS),
            ("TEMPORAL_FRONTEND_ADDRESS", "a:1", ADDRESS),
            ("TEMPORAL_SERVER", "a:1", ADDRESS),
            ("TEMPORAL_CLI_NAMESPACE", "n", NAMESPACE),
            ("TEMPORAL_CLOUD_NAMESPACE", "n", NAMESPACE),
            ("TEMPORAL_APIKEY", "k", API_KEY),
            ("TEMPORAL_CLIENT_API_KEY", "k", API_KEY),
            ("TEMPORAL_TLS_CERT", "/c", CLIENT_CERT),
            ("TEMPORAL_TLS_CERT_PATH", "/c", CLIENT_CERT),
            ("TEMPORAL_TLS_CERT_DATA", "c", CLIENT_CERT_DATA),
            ("TEMPORAL_TLS_CERT", "-----BEGIN CERTIFICATE-----", CLIENT_CERT_DATA),
            ("TEMPORAL_CERT", "/c", CLIENT_CERT),
            ("TEMPORAL_CLIENT_CERT_PATH", "/c", CLIENT_CERT),
            ("TEMPORAL_TLS_KEY", "/k", CLIENT_KEY),
            ("TEMPORAL_CLI_TLS_KEY", "/k", CLIENT_KEY),
            ("TEMPORAL_CLIENT_KEY", "/k", CLIENT_KEY),
            ("TEMPORAL_TLS_CA", "/a", CA),
            ("TEMPORAL_CA_CERT", "/a", CA),
            ("TEMPORAL_TLS_ROOT_CERT", "/a", CA),
            ("TEMPORAL_CLI_TLS_SERVER_NAME", "s", SERVER_NAME),
            ("TEMPORAL_TLS_ENABLED", "true", TLS),
            ("TEMPORAL_USE_TLS", "true", TLS),
        ] {
            assert_eq!(read_instead(name, value), Some(read), "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_is_reported_with_the_nearest_variable() {
        for (name, read) in [
            ("TEMPORAL_ADRESS", ADDRESS),
            ("TEMPORAL_ADDRES", ADDRESS),
            ("TEMPRAL_ADDRESS", ADDRESS),
            ("temporal_address", ADDRESS),
            ("TEMPORAL_NAMESPCE", NAMESPACE),
            ("TEMPORAL_API_KEYS", API_KEY),
            ("TEMPORAL_TLS_CLIENT_CERTPATH", CLIENT_CERT),
            ("TEMPORAL_PROFIL", "TEMPORAL_PROFILE"),
            ("TEMPORAL_CONFIGFILE", "TEMPORAL_CONFIG_FILE"),
        ] {
            assert_eq!(read_instead(name, "x"), Some(read), "{name}");
        }
    }

    #[test]
    fn variables_of_kubernetes_and_of_other_products_are_left_alone() {
        for (name, value) in [
            ("TEMPORAL_PORT", "tcp://10.0.0.1:7233"),
            ("TEMPORAL_HOST_PORT", "tcp://10.0.0.1:7233"),
            ("TEMPORAL_SERVICE_HOST", "10.0.0.1"),
            ("TEMPORAL_SERVICE_PORT", "7233"),
            ("TEMPORAL_FRONTEND_SERVICE_HOST", "10.0.0.1"),
            ("TEMPORAL_FRONTEND_PORT", "tcp://10.0.0.1:7233"),
            ("TEMPORAL_FRONTEND_PORT_7233_TCP", "tcp://10.0.0.1:7233"),
            ("TEMPORAL_FRONTEND_PORT_7233_TCP_ADDR", "10.0.0.1"),
            ("TEMPORAL_FRONTEND_PORT_7233_TCP_PORT", "7233"),
            ("TEMPORAL_UI_PORT", "8233"),
            ("TEMPORAL_WEB_HOST", "x"),
            ("TEMPORAL_CORS_ORIGINS", "x"),
            ("TEMPORAL_ENV", "prod"),
            ("TEMPORAL_ENV_FILE", "x"),
            ("TEMPORAL_DEBUG", "1"),
            ("TEMPORAL_VERSION", "1.2"),
            ("TEMPORAL_TASK_QUEUE", "q"),
            ("TEMPORAL_MAX_INCOMING_GRPC_BYTES", "1"),
            ("TEMPORAL_DEPLOYMENT_NAME", "d"),
            ("TEMPORAL_WORKER_BUILD_ID", "b"),
            ("TEMPORAL_CLOUD_API_KEY", "k"),
            ("TEMPORAL_DB_HOST", "db"),
            ("TEMPORAL_DB_TLS_CERT", "/c"),
            ("TEMPORAL_ENCRYPTION_KEY", "k"),
            ("TEMPORAL_TLS_SERVER_CERT", "/c"),
            ("TEMPORAL_TLS_SERVER_KEY", "/c"),
            ("TEMPORAL_TLS_REQUIRE_CLIENT_AUTH", "true"),
            ("TEMPORAL_DEFAULT_NAMESPACE", "n"),
            ("TEMPORAL_ADDRESS", "a"),
            ("TEMPORAL_TLS", "true"),
            ("TEMPORAL_GRPC_META_X", "y"),
            ("TEMPDIR", "/tmp"),
            ("TEMP", "/tmp"),
        ] {
            assert_eq!(read_instead(name, value), None, "{name}");
        }
    }
}
