//! TLS with the settings that all Temporal tools share: what works, and which errors are reported
//! when it does not.

use std::process::Command;

use crate::{
    proxy::{Authority, PollTrap, RefusingPort, TlsPort},
    server,
    support::{Finished, Process, World, free_port, labels, run},
};

type Settings<'a> = &'a [(&'a str, &'a str)];

const NO_TLS_THERE: &str = "; this port does not use TLS: set TEMPORAL_TLS=false, and give the address \
                            without https://";
const TLS_THERE: &str =
    "; this port uses TLS: set TEMPORAL_TLS=true, and give the address without http://";
const AUTHORITY: &str = "; set TEMPORAL_TLS_SERVER_CA_CERT_PATH to the authority that signed it";
const NAME: &str = "; set TEMPORAL_TLS_SERVER_NAME to a name that the certificate is valid for";
const CLIENT_CERTIFICATE: &str = "; if the server wants a client certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH and \
     TEMPORAL_TLS_CLIENT_KEY_PATH";
const OTHER_CLIENT_CERTIFICATE: &str =
    "; the server may not accept the client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH)";

fn with(mut command: Command, settings: Settings<'_>) -> Command {
    command.envs(settings.iter().copied());
    command
}

/// Runs a command that cannot connect, and checks that it reports the reason in exactly one line.
#[track_caller]
fn fails(command: Command) -> (Finished, String) {
    let finished = run(command);
    assert!(finished.out.is_empty(), "{finished:#?}");
    let (last, before) = finished.err.split_last().unwrap();
    assert!(last.starts_with("error: "), "{finished:#?}");
    assert!(before.iter().all(|line| line.contains("trying again")), "{finished:#?}");
    let last = last.clone();
    (finished, last)
}

/// Checks that a command retries until its connect timeout, as it does for a server that is down:
/// the server might be replaced by one that fits. The first message and the last give the hint.
#[track_caller]
fn gives_up(command: Command, settings: Settings<'_>, hint: &str) {
    let (finished, error) =
        fails(with(with(command, settings), &[("FLEET_CONNECT_TIMEOUT", "2s")]));
    assert_eq!(finished.code, 69, "{finished:#?}");
    assert!(error.starts_with("error: cannot reach Temporal at "), "{error}");
    assert!(error.ends_with(hint), "{error}");
    assert!(finished.err[0].contains(&format!("{hint}; trying again")), "{finished:#?}");
}

/// Checks that a command fails at once, because no other server could fix its configuration.
#[track_caller]
fn is_misconfigured(command: Command, settings: Settings<'_>, expected: &str) {
    let (finished, error) = fails(with(command, settings));
    assert_eq!(finished.code, 78, "{finished:#?}");
    let expected = format!("error: the connection to Temporal is misconfigured: {expected}");
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(finished.err.len(), 1, "{finished:#?}");
}

#[track_caller]
fn is_ready(command: Command, settings: Settings<'_>) {
    let worker = Process::start(with(command, settings));
    worker.err.wait_for("ready: the server lists this worker as a poller");
}

#[test]
fn tls_to_a_plaintext_port_exits_with_69_and_a_hint() {
    let world = World::new();
    let https = format!("https://{}", server::address());
    let starter = || world.fleet(["starter", "-n", "1"]);
    gives_up(
        world.fleet(["worker", "--role", "worker"]),
        &[("TEMPORAL_TLS", "true")],
        NO_TLS_THERE,
    );
    gives_up(starter(), &[("TEMPORAL_ADDRESS", &https)], NO_TLS_THERE);
    gives_up(starter(), &[("TEMPORAL_API_KEY", "turns-TLS-on")], NO_TLS_THERE);
}

#[test]
fn plaintext_to_a_tls_port_exits_with_69_and_a_hint() {
    let world = World::new();
    let port = TlsPort::open(&Authority::new("ours"), "127.0.0.1", None);
    for arguments in [&["worker", "--role", "worker"][..], &["starter", "-n", "1"]] {
        let command = world.fleet(arguments.iter().copied());
        gives_up(command, &[("TEMPORAL_ADDRESS", &port.address)], TLS_THERE);
    }
}

#[test]
fn a_fleet_and_its_starter_work_over_tls() {
    let world = World::new();
    let authority = Authority::new("ours");
    let port = TlsPort::open(&authority, "127.0.0.1", None);
    let trusted = ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", authority.file());
    let trusted = (trusted.0, trusted.1.as_str());
    let up = world.fleet(["up", "-w", "1", "-a", "1"]);
    let _up = Process::start(with(up, &[("TEMPORAL_ADDRESS", &port.address), trusted]));
    let https = format!("https://{}", port.address);
    for address in [&port.address, &https] {
        let starter = world.fleet(["starter", "-n", "5"]);
        let results = run(with(starter, &[("TEMPORAL_ADDRESS", address), trusted])).success();
        assert_eq!(results.len(), 5);
        for line in &results {
            labels(line);
        }
    }
}

#[test]
fn an_untrusted_server_exits_with_69_and_a_hint() {
    let world = World::new();
    let starter = || world.fleet(["starter", "-n", "1"]);
    let authority = Authority::new("ours");
    let port = TlsPort::open(&authority, "127.0.0.1", None);
    let address = ("TEMPORAL_ADDRESS", port.address.as_str());
    // None of the machine's own authorities signed the server's certificate.
    gives_up(starter(), &[address, ("TEMPORAL_TLS", "true")], AUTHORITY);
    // Other authorities did not sign it either, even one with the same name: that happens after all
    // certificates were created again.
    for other in ["theirs", "ours"] {
        let other = Authority::new(other);
        let trusted = ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", &*other.file());
        gives_up(starter(), &[address, trusted], AUTHORITY);
    }

    let port = TlsPort::open(&authority, "temporal.test", None);
    let address = ("TEMPORAL_ADDRESS", port.address.as_str());
    let trusted = authority.file();
    let trusted = ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", trusted.as_str());
    gives_up(starter(), &[address, trusted], NAME);
    let worker = world.fleet(["worker", "--role", "worker"]);
    is_ready(worker, &[address, trusted, ("TEMPORAL_TLS_SERVER_NAME", "temporal.test")]);
}

#[test]
fn a_server_that_requires_client_certificates_accepts_only_those_of_its_authority() {
    let world = World::new();
    let worker = || world.fleet(["worker", "--role", "worker"]);
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let port = TlsPort::open(&servers, "127.0.0.1", Some(&clients));
    let trusted = servers.file();
    let settings = [
        ("TEMPORAL_ADDRESS", port.address.as_str()),
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", trusted.as_str()),
    ];
    gives_up(worker(), &settings, CLIENT_CERTIFICATE);
    let with_certificate_of = |authority: &Authority| {
        let [certificate, key] = authority.client_files();
        let mut command = worker();
        command.env("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate);
        command.env("TEMPORAL_TLS_CLIENT_KEY_PATH", key);
        command
    };
    gives_up(with_certificate_of(&servers), &settings, OTHER_CLIENT_CERTIFICATE);
    is_ready(with_certificate_of(&clients), &settings);
}

#[test]
fn invalid_certificates_are_refused_with_78_immediately() {
    let world = World::new();
    let starter = || world.fleet(["starter", "-n", "1"]);
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let ([certificate, key], [_, other_key]) = (ours.client_files(), theirs.client_files());
    is_misconfigured(
        starter(),
        &[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", &key)],
        "the server's CA (TEMPORAL_TLS_SERVER_CA_CERT_PATH) holds no certificate in PEM form",
    );
    for (certificate, key, problem) in [
        (&key, &key, "the client certificate (TEMPORAL_TLS_CLIENT_CERT_PATH) holds no certificate"),
        (&certificate, &certificate, "the client certificate and its key "),
        (&certificate, &other_key, "the client certificate and its key "),
    ] {
        let files = [
            ("TEMPORAL_TLS_CLIENT_CERT_PATH", certificate.as_str()),
            ("TEMPORAL_TLS_CLIENT_KEY_PATH", key.as_str()),
        ];
        is_misconfigured(starter(), &files, problem);
    }
    is_misconfigured(
        starter(),
        &[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem")],
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH=\"/nowhere/ca.pem\" (environment): cannot read it: No such file",
    );
    let pem = std::fs::read_to_string(&key).unwrap();
    for [name, instead] in [
        ["TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_SERVER_CA_CERT_DATA"],
        ["TEMPORAL_TLS_CLIENT_KEY_PATH", "TEMPORAL_TLS_CLIENT_KEY_DATA"],
    ] {
        let command =
            with(starter(), &[("TEMPORAL_TLS_CLIENT_CERT_PATH", &certificate), (name, &pem)]);
        let finished = run(command);
        assert_eq!(finished.code, 78, "{finished:#?}");
        let printed = finished.err.join("\n");
        let expected =
            format!("{name} (environment) holds the text of a file, not its path: use {instead}");
        assert!(printed.contains(&expected) && !printed.contains("BEGIN"), "{printed}");
    }
    is_misconfigured(
        starter(),
        &[("TEMPORAL_TLS", "false"), ("TEMPORAL_ADDRESS", "https://127.0.0.1:1")],
        "TEMPORAL_ADDRESS=\"https://127.0.0.1:1\" (environment): TLS is off, but the address says https://",
    );
}

#[test]
fn messages_are_compressed_only_on_request() {
    let world = World::new();
    let compressions = |settings: Settings<'_>| {
        let port = PollTrap::open(server::address(), || {});
        let mut command = with(world.fleet(["status"]), settings);
        command.env("TEMPORAL_ADDRESS", &port.address);
        run(command).success();
        port.compressions()
    };
    assert_eq!(compressions(&[]), [None].into());
    // The first call is not compressed: it asks whether the server supports compression.
    let compressed = compressions(&[("FLEET_GRPC_COMPRESSION", "gzip")]);
    assert!(compressed.contains(&Some("gzip".into())), "{compressed:?}");

    let finished = run(with(world.fleet(["status"]), &[("FLEET_GRPC_COMPRESSION", "zstd")]));
    assert_eq!(finished.code, 78, "{finished:#?}");
    assert_eq!(
        finished.err,
        ["error: FLEET_GRPC_COMPRESSION=\"zstd\" (environment): expected none or gzip"]
    );
}

#[test]
fn a_result_that_the_server_failed_to_deliver_is_polled_again() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    let port = PollTrap::losing(server::address(), "GetWorkflowExecutionHistory");
    let mut starter = world.fleet(["starter", "-n", "1", "--output", "json"]);
    starter.env("TEMPORAL_ADDRESS", &port.address);
    let lines = run(starter).success();
    let workflow: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    // The latency includes the whole second that the first poll waited, because it was lost.
    let latency = workflow["latency_ms"].as_f64().unwrap();
    assert!(latency > 1000.0, "no poll was lost: {latency} ms");
    assert!(latency < 20_000.0, "as late as without a second poll: {latency} ms");
}

#[test]
fn every_command_exits_with_78_for_a_key_without_permissions() {
    let port = RefusingPort::open(server::address());
    let world = World::new();
    for arguments in [
        &["status"][..],
        &["starter", "-n", "1"],
        &["bench", "--count", "1"],
        &["up", "-w", "1", "-a", "0"],
        &["trace", "no-such-workflow"],
        &["worker", "--role", "workflow-worker"],
        &["worker", "--role", "activity-worker"],
    ] {
        let command = world.fleet(arguments.iter().copied());
        let finished = run(with(command, &[("TEMPORAL_ADDRESS", &port.address)]));
        assert_eq!(finished.code, 78, "{arguments:?}: {finished:#?}");
        let errors: Vec<_> =
            finished.err.iter().filter(|line| line.contains("no permission")).collect();
        let [error] = errors[..] else {
            panic!("{arguments:?}: not exactly one error: {finished:#?}")
        };
        assert!(error.starts_with("error: Temporal "), "{arguments:?}: {error}");
        assert!(error.ends_with(": no permission"), "{arguments:?}: {error}");
        assert!(finished.err.iter().all(|line| !line.contains("Status {")), "{finished:#?}");
    }
}

#[test]
fn one_cause_has_one_exit_code_in_every_command() {
    let world = World::new();
    let nobody = format!("127.0.0.1:{}", free_port());
    for (setting, code, said) in [
        (("TEMPORAL_ADDRESS", nobody.as_str()), 69, "error: cannot reach Temporal at "),
        (("TEMPORAL_NAMESPACE", "nowhere"), 78, "error: namespace \"nowhere\" does not exist at "),
        (("TEMPORAL_TLS", "maybe"), 78, "error: the connection to Temporal is misconfigured: "),
    ] {
        for arguments in [
            &["status"][..],
            &["starter", "-n", "1"],
            &["bench", "--count", "1"],
            &["trace", "no-such-workflow"],
            &["worker", "--role", "workflow-worker"],
            &["up", "-w", "1", "-a", "0"],
        ] {
            let mut command = world.fleet(arguments.iter().copied());
            command.env("FLEET_CONNECT_TIMEOUT", "200ms");
            let finished = run(with(command, &[setting]));
            assert_eq!(finished.code, code, "{arguments:?}: {finished:#?}");
            let count = finished.err.iter().filter(|line| line.starts_with(said)).count();
            assert_eq!(count, 1, "{arguments:?}: {finished:#?}");
        }
    }
}
