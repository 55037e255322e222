//! Secrets in every place that can hold one are in no output of any command, whatever the log level, and in nothing
//! that other programs can see.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    collector::Collector,
    server,
    support::{FLEET, Process, World, children_of, get, on_a_terminal, program, run},
};

/// A secret that says where it was planted.
fn planted(place: &str) -> String {
    format!("planted-{place}-5f3759df")
}

/// What a secret looks like wherever it comes from.
const MARK: &str = "5f3759df";

#[track_caller]
fn assert_none(what: &str, lines: &[String]) {
    let shown: Vec<_> = lines.iter().filter(|line| line.contains(MARK)).collect();
    assert!(shown.is_empty(), "{what}: {shown:#?}");
}

/// The commands that users see, each so that it ends soon.
const COMMANDS: [&[&str]; 13] = [
    &["config"],
    &["config", "--output", "json"],
    &["status", "--connect-timeout", "1s"],
    &["status", "--output", "json", "--connect-timeout", "1s"],
    &["trace", "no-such-workflow", "--connect-timeout", "1s"],
    &["starter", "-n", "1", "--timeout", "1s", "--connect-timeout", "1s"],
    &["starter", "-n", "1", "--output", "json", "--timeout", "1s", "--connect-timeout", "1s"],
    &["bench", "-n", "1", "--timeout", "1s", "--connect-timeout", "1s"],
    &["health"],
    &["worker", "--role", "worker", "--no-such-flag"],
    &["up", "--no-such-flag"],
    &["completions", "bash"],
    &["--version"],
];

/// Runs every command with these variables, on every log level that matters, and searches what it prints.
fn search(what: &str, variables: &[(&str, String)]) {
    let world = World::new();
    for arguments in COMMANDS {
        for level in ["trace", "warn"] {
            let mut command = world.fleet(arguments.iter().copied());
            command
                .envs(variables.iter().map(|(name, value)| (name, value)))
                .env("RUST_LOG", level);
            let finished = run(command);
            let what = format!("{what}: {arguments:?} at {level} ({})", finished.code);
            assert_none(&what, &[finished.out, finished.err].concat());
        }
    }
}

/// Variables of the connection and of telemetry that hold secrets and leave both usable.
fn usable(collector: &Collector) -> Vec<(&'static str, String)> {
    let endpoint = |place: &str| {
        let (path, query) = (planted(&format!("{place}-path")), planted(&format!("{place}-query")));
        format!("{}/{path}/v1/{place}?token={query}", collector.endpoint())
    };
    vec![
        ("TEMPORAL_GRPC_META_X_TOKEN", planted("metadata")),
        ("TEMPORAL_GRPC_META_AUTHORIZATION", format!("Bearer {}", planted("authorization"))),
        ("TEMPORAL_DB_PASSWORD", planted("database")),
        ("TEMPORAL_SECRET", planted("secret")),
        ("HTTPS_PROXY", format!("http://user:{}@127.0.0.1:9", planted("proxy"))),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".into()),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("x-all={}", planted("headers"))),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", format!("x-t={}", planted("trace-headers"))),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", format!("x-m={}", planted("metric-headers"))),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", format!("x-l={}", planted("log-headers"))),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint("traces")),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint("metrics")),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint("logs")),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            format!("service.namespace=shop,token={}", planted("resource")),
        ),
        ("OTEL_VENDOR_TOKEN", planted("vendor")),
    ]
}

#[test]
fn no_command_shows_a_secret_at_any_log_level() {
    let collector = Collector::http();
    let variables = usable(&collector);
    search("usable settings", &variables);
    let mut config = World::new().fleet(["config"]);
    config.envs(variables);
    let shown = run(config).success();
    assert!(shown.iter().any(|line| line.contains("***/v1/traces?***")), "{shown:#?}");
    // A collector that is away has its address in the log.
    let away = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:1/{}?a={0}", planted("away"))),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("a={}", planted("away-headers"))),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
    ];
    search("a collector that is away", &away);
    let key = "-----BEGIN PRIVATE KEY-----\n";
    for (name, value) in [
        ("TEMPORAL_API_KEY", planted("key")),
        ("TEMPORAL_API_KEY", format!("{}\n", planted("key-with-line-end"))),
        ("TEMPORAL_API_KEY", format!("{}\u{1}", planted("key-with-control"))),
        ("TEMPORAL_API_KEY", format!(" {} ", planted("key-with-blanks"))),
        ("TEMPORAL_CODEC_AUTH", planted("codec")),
        ("TEMPORAL_CODEC_ENDPOINT", format!("http://u:{}@codec?k={0}", planted("codec-url"))),
        ("TEMPORAL_ADDRESS", format!("https://u:{}@127.0.0.1:1", planted("address"))),
        ("TEMPORAL_ADDRESS", format!("http://127.0.0.1:1/?key={}", planted("address-query"))),
        ("TEMPORAL_ADDRESS", format!("http://127.0.0.1:1/{}", planted("address-path"))),
        ("TEMPORAL_ADDRESS", format!("127.0.0.1:1#{}", planted("address-fragment"))),
        ("TEMPORAL_TLS_CLIENT_KEY_DATA", format!("{key}{}", planted("tls-key"))),
        ("TEMPORAL_TLS_CLIENT_CERT_DATA", planted("tls-certificate")),
        ("TEMPORAL_TLS_CLIENT_KEY_PATH", format!("{key}{}", planted("tls-key-for-path"))),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", format!("{key}{}", planted("otlp-key-for-path"))),
        ("TEMPORAL_GRPC_META_X", format!("{}\n", planted("metadata-line-end"))),
        ("TEMPORAL_TOKEN", planted("token")),
        ("TEMPORAL_CLOUD_TOKEN", planted("cloud")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://u:{}@127.0.0.1:1", planted("userinfo"))),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("127.0.0.1:1?a={}", planted("no-url"))),
        ("OTEL_EXPORTER_OTLP_HEADERS", planted("no-pair")),
        ("OTEL_EXPORTER_OTLP_TOKEN", planted("unknown")),
        ("OTEL_BSP_TOKEN", planted("unknown-batch")),
        ("OTEL_TOKEN_LIMIT", planted("unknown-limit")),
        ("HTTPS_PROXY", format!("socks5://u:{}@proxy", planted("socks"))),
    ] {
        search(name, &[(name, value)]);
    }
    // An API key to a server with TLS, through a proxy.
    search(
        "a key and a proxy",
        &[
            ("TEMPORAL_ADDRESS", "https://temporal.invalid:7233".into()),
            ("TEMPORAL_API_KEY", planted("key")),
            ("HTTPS_PROXY", format!("http://user:{}@127.0.0.1:1", planted("proxy"))),
        ],
    );
}

#[test]
fn no_file_is_quoted_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let secret = planted("file");
    for (number, text) in [
        format!("[profile.default]\napi_key = {secret}\n"),
        format!("[profile.default]\napi_key = \"{secret}\n"),
        format!("[profile.default]\napi_key = [\"{secret}\"]\n"),
        format!("[profile.default.tls]\nclient_key_data = \"{secret}\"\n"),
        format!("[profile.default]\ncodec = {{ endpoint = \"http://u:{secret}@c\", auth = \"{secret}\" }}\n"),
        format!("[profile.default.grpc_meta]\nx = \"{secret}\\n\"\n"),
        secret.clone(),
        format!("key = \"{secret}"),
        format!("role = {{ a = \"{secret}\" }}\n"),
        format!("TEMPORAL_API_KEY={secret}\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = write(&number.to_string(), text);
        for variable in [
            "TEMPORAL_CONFIG_FILE",
            "FLEET_CONFIG",
            "TEMPORAL_TLS_CLIENT_KEY_PATH",
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ] {
            let world = World::new();
            for arguments in [&["config"][..], &["status", "--connect-timeout", "1ms"]] {
                let mut command = world.fleet(arguments.iter().copied());
                command.env(variable, &path).env("RUST_LOG", "trace");
                let finished = run(command);
                let what = format!("{variable} of file {number}: {arguments:?}");
                assert_none(&what, &[finished.out, finished.err].concat());
            }
        }
    }
}

#[test]
fn a_running_fleet_shows_no_secret_to_those_who_look_at_it() {
    let world = World::new();
    let collector = Collector::http();
    let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
    // Attributes of the resource are labels of all metrics: no place for a secret.
    let variables: Vec<_> = usable(&collector)
        .into_iter()
        .filter(|(name, _)| *name != "OTEL_RESOURCE_ATTRIBUTES")
        .collect();
    up.envs(variables).env("RUST_LOG", "trace");
    let (mut up, health) = Process::start_probed(up);
    crate::support::eventually("the fleet is ready", || {
        get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
    let mut starter = world.fleet(["starter", "-n", "5"]);
    starter.envs(usable(&collector));
    assert_none("starter", &run(starter).success());
    for path in ["/livez", "/readyz", "/status", "/metrics"] {
        assert_none(path, &[get(&health, path).unwrap().1]);
    }
    for (pid, command_line) in children_of(up.pid()) {
        assert_none(&format!("the command line of {pid}"), &[command_line]);
    }
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
    assert_none("up", &[up.out.wait_end(), up.err.wait_end()].concat());
    // They were sent to where they belong.
    assert!(!collector.logs().is_empty(), "nothing arrived");
    assert_none(
        "a terminal",
        &[on_a_terminal({
            let mut config = world.fleet(["config"]);
            config.envs(usable(&collector));
            config
        })],
    );
}

/// The variables of a process and of its children, as far as they can be read.
#[cfg(target_os = "linux")]
fn environments_below(pid: u32, found: &mut Vec<(String, String)>) {
    for (child, command_line) in children_of(pid) {
        let environment = fs::read(Path::new("/proc").join(child.to_string()).join("environ"));
        let environment = String::from_utf8_lossy(&environment.unwrap_or_default()).into_owned();
        found.push((command_line, environment));
        environments_below(child, found);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_the_fleet_starts_gets_no_secret() {
    let mut command: Command = program(FLEET);
    command.args(["up", "--dev-server", "--port", "0", "--ui-port", "0", "-w", "1", "-a", "0"]);
    command.envs([
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("a={}", planted("headers"))),
        ("TEMPORAL_API_KEY", planted("key")),
        ("TEMPORAL_DB_PASSWORD", planted("database")),
    ]);
    let mut up = Process::start(command);
    up.err.wait_for("export TEMPORAL_ADDRESS=");
    let mut found = Vec::new();
    environments_below(up.pid(), &mut found);
    let foreign: Vec<_> = found.iter().filter(|(line, _)| line.contains("start-dev")).collect();
    assert!(foreign.len() >= 2, "guard and server: {found:#?}");
    for (line, environment) in &foreign {
        assert_none(line, std::slice::from_ref(environment));
        assert!(environment.contains("PATH="), "{line}: cannot be read");
    }
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0);
    assert_none("up", &[up.out.wait_end(), up.err.wait_end()].concat());
}

#[test]
fn a_key_with_a_line_end_is_sent_without_it_and_that_is_reported() {
    let world = World::new();
    for (key, code, words) in [
        (
            "key\n",
            69,
            Some("TEMPORAL_API_KEY (environment) ends with a line break, which is left out"),
        ),
        ("key\r\n", 69, Some("ends with a line break, which is left out")),
        ("key", 69, None),
        ("key\u{1}", 78, Some("contains a line break or another control character")),
        ("ke\ny", 78, Some("contains a line break or another control character")),
        (" key", 78, Some("begins or ends with a blank")),
        ("\n", 78, Some("is empty or blank")),
    ] {
        let mut command = world.fleet(["status", "--connect-timeout", "1ms"]);
        command.env("TEMPORAL_ADDRESS", "https://127.0.0.1:1").env("TEMPORAL_API_KEY", key);
        let finished = run(command);
        assert_eq!(finished.code, code, "{key:?}: {finished:#?}");
        let lines = finished.err.iter().filter(|line| line.contains("TEMPORAL_API_KEY"));
        assert_eq!(lines.count(), usize::from(words.is_some()), "{key:?}: {finished:#?}");
        if let Some(words) = words {
            assert!(finished.err.iter().any(|line| line.contains(words)), "{key:?}: {finished:#?}");
        }
    }
    let _ = server::address();
}
