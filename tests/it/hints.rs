//! Ports that are not Temporal's: what a failed connection says of them, with and without TLS.

use std::{process::Command, thread};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::{
    proxy::{Authority, TlsPort},
    support::{Finished, World, run},
};

/// A port of this machine where each connection gets the same answer.
struct OddPort {
    address: String,
    _runtime: Runtime,
}

/// What a connection gets once it has said something.
#[derive(Clone, Copy)]
enum Answer {
    Text(&'static str),
    End,
    Nothing,
}

impl OddPort {
    fn open(answer: Answer) -> Self {
        Self::serve(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            match answer {
                Answer::Text(text) => drop(stream.write_all(text.as_bytes()).await),
                Answer::End => {}
                // Held open until the client goes.
                Answer::Nothing => {
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
                }
            }
        })
    }

    fn serve<F: Future<Output = ()> + Send + 'static>(
        mut serve: impl FnMut(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, _runtime: runtime }
    }
}

fn status_at(address: &str, tls: &str) -> Command {
    let mut command = World::new().fleet(["status", "--connect-timeout", "200ms"]);
    command.env("TEMPORAL_ADDRESS", address).env("TEMPORAL_TLS", tls);
    command
}

/// The error of a command that cannot connect, with TLS and without: the same hint both times.
#[track_caller]
fn hints(address: &str, hint: &str) {
    for tls in ["true", "false"] {
        let finished = run(status_at(address, tls));
        let error = unreachable(&finished);
        assert!(error.contains(hint), "TEMPORAL_TLS={tls}: {error}");
        assert!(!error.contains("TEMPORAL_TLS="), "a hint that leads back: {error}");
    }
}

#[track_caller]
fn unreachable(finished: &Finished) -> &str {
    assert_eq!(finished.code, 69, "{finished:#?}");
    let error = finished.err.last().unwrap();
    assert!(error.starts_with("error: cannot reach Temporal at "), "{error}");
    error
}

#[test]
fn a_port_that_closes_every_connection_is_reported_as_a_firewall_and_not_as_a_matter_of_tls() {
    let port = OddPort::open(Answer::End);
    hints(&port.address, "; something closes every connection before a word is said");
    hints(&port.address, "or a network that wants a proxy (this connection uses no proxy");
}

#[test]
fn a_port_that_speaks_http_1_is_reported_with_temporals_port() {
    let port = OddPort::open(Answer::Text("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    hints(&port.address, "; this port speaks HTTP/1 and not gRPC: Temporal's port is 7233");
}

#[test]
fn a_port_of_another_protocol_is_reported_as_one() {
    let port = OddPort::open(Answer::Text("-ERR unknown command\r\n"));
    hints(&port.address, "; this port speaks neither gRPC nor TLS: is it Temporal's (7233)?");
}

#[test]
fn a_port_that_never_answers_is_reported_as_silent() {
    let port = OddPort::open(Answer::Nothing);
    hints(&port.address, "; this port accepts connections and answers nothing");
}

#[test]
fn a_web_page_over_tls_is_reported_as_one() {
    let page = OddPort::open(Answer::Text("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    let authority = Authority::new("ours");
    let port = TlsPort::before(page.address.clone(), "http/1.1", &authority, "127.0.0.1", None);
    let mut command = status_at(&port.address, "true");
    command.env("TEMPORAL_TLS_SERVER_CA_CERT_PATH", authority.file());
    let finished = run(command);
    let error = unreachable(&finished);
    assert!(error.contains("HTTP/1"), "{error}");
}

#[test]
fn a_port_with_tls_that_closes_on_anything_else_is_reported_as_one_with_tls() {
    let authority = Authority::new("ours");
    let tls = TlsPort::open(&authority, "127.0.0.1", None);
    let address = tls.address.clone();
    let port = OddPort::serve(move |mut stream| {
        let address = address.clone();
        async move {
            // As servers in Go do: they close where the first record is none of TLS.
            if first_byte(&stream).await == Some(0x16) {
                let mut server = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            } else {
                let _ = stream.read(&mut [0; 4096]).await;
            }
        }
    });
    let finished = run(status_at(&port.address, "false"));
    let error = unreachable(&finished);
    assert!(error.contains("; this port uses TLS: set TEMPORAL_TLS=true"), "{error}");
}

async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    stream.peek(&mut byte).await.ok().filter(|count| *count > 0).map(|_| byte[0])
}

#[test]
fn a_closed_port_is_reported_with_the_port_that_was_tried() {
    // Nobody listens there, on any machine that runs tests with servers of their own.
    let attempts = ["127.0.0.77", "127.0.0.77:", "http://127.0.0.77", "https://127.0.0.77"];
    let attempts = attempts.map(|address| {
        thread::spawn(move || {
            let mut command = World::new().fleet(["status", "--connect-timeout", "200ms"]);
            command.env("TEMPORAL_ADDRESS", address);
            (address, run(command))
        })
    });
    for attempt in attempts {
        let (address, finished) = attempt.join().unwrap();
        let error = unreachable(&finished);
        assert!(error.contains("://127.0.0.77:7233 "), "{address}: {error}");
    }
}
