//! Collectors behind TLS: which certificates the fleet trusts, and which one it presents.

use std::{fs, process::Command};

use crate::{
    collector::Collector,
    proxy::{Authority, TlsPort},
    support::{Finished, World, run},
};

/// Starts a collector and a TLS port in front of it, with a certificate of `authority`.
fn behind_tls(
    collector: Collector,
    authority: &Authority,
    clients: Option<&Authority>,
) -> (Collector, TlsPort) {
    let protocol = if collector.is_http() { "http/1.1" } else { "h2" };
    let address = format!("127.0.0.1:{}", collector.port);
    let port = TlsPort::before(address, protocol, authority, "127.0.0.1", clients);
    (collector, port)
}

/// Returns a starter without any workers: it exports two spans and one log record, and exits with 1.
fn starter(world: &World, collector: &Collector, port: &TlsPort) -> Command {
    let mut command = world.fleet(["starter", "-n", "1", "--timeout", "1s"]);
    let protocol = if collector.is_http() { "http/protobuf" } else { "grpc" };
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://{}", port.address))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("TRACEPARENT", "nonsense");
    command
}

#[track_caller]
fn arrives(collector: &Collector, finished: &Finished) {
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert!(!finished.err.iter().any(|line| line.contains("telemetry ")), "{finished:#?}");
    assert_eq!((collector.spans().len(), collector.logs().len()), (2, 1), "{finished:#?}");
}

#[test]
fn telemetry_is_exported_to_a_collector_with_a_configured_certificate_authority() {
    let (world, authority) = (World::new(), Authority::new("ours"));
    for collector in [Collector::grpc(), Collector::http()] {
        let (collector, port) = behind_tls(collector, &authority, None);
        let mut starter = starter(&world, &collector, &port);
        starter.env("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.file());
        arrives(&collector, &run(starter));
    }
}

#[test]
fn nothing_is_exported_to_an_untrusted_collector_and_one_line_warns() {
    let (world, authority) = (World::new(), Authority::new("ours"));
    for collector in [Collector::grpc(), Collector::http()] {
        let (collector, port) = behind_tls(collector, &authority, None);
        for trusted in [None, Some(Authority::new("theirs"))] {
            let mut starter = starter(&world, &collector, &port);
            if let Some(other) = &trusted {
                starter.env("OTEL_EXPORTER_OTLP_CERTIFICATE", other.file());
            }
            let finished = run(starter);
            assert_eq!(finished.code, 1, "{finished:#?}");
            let warnings =
                finished.err.iter().filter(|line| line.contains("telemetry cannot be exported"));
            assert_eq!(warnings.count(), 1, "{finished:#?}");
            assert!(collector.spans().is_empty() && collector.logs().is_empty());
        }
    }
}

#[test]
fn a_collector_that_requires_a_client_certificate_receives_it() {
    let (world, authority) = (World::new(), Authority::new("ours"));
    let [certificate, key] = authority.client_files();
    for collector in [Collector::grpc(), Collector::http()] {
        let (collector, port) = behind_tls(collector, &authority, Some(&authority));
        let with = |client: bool| {
            let mut starter = starter(&world, &collector, &port);
            starter.env("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.file());
            if client {
                starter.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate);
                starter.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key);
            }
            run(starter)
        };
        let refused = with(false);
        assert!(collector.spans().is_empty(), "{refused:#?}");
        arrives(&collector, &with(true));
    }
}

#[test]
fn a_collector_setting_that_names_a_file_without_a_certificate_is_refused() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let authority = Authority::new("ours");
    let [certificate, key] = authority.client_files();
    let broken = folder.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")
        .unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        for (name, file) in [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", broken.to_str().unwrap()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &key),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &key),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &certificate),
        ] {
            let mut starter = world.fleet(["starter", "-n", "1", "--timeout", "1ms"]);
            starter
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1")
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
            if name.contains("CLIENT") {
                starter.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate);
                starter.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key);
            }
            starter.env(name, file);
            let finished = run(starter);
            assert!(!finished.err[0].contains("cannot read it"), "{finished:#?}");
            assert_eq!(
                (finished.code, finished.err.len()),
                (78, 1),
                "{name}={file}: {finished:#?}"
            );
        }
    }
}
