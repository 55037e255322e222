//! HTTP proxies: connections go through the one that `HTTPS_PROXY` names, unless `NO_PROXY` excludes the server.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::{
    proxy::{Authority, TlsPort},
    server,
    support::{Process, World, free_port, labels, run},
};

/// A name that no DNS knows: only a proxy can lead there.
const SERVER: &str = "temporal.invalid:7233";

/// An HTTP proxy of this machine, which leads every connection to one address.
struct ConnectProxy {
    address: String,
    /// The heads of the requests so far.
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl ConnectProxy {
    /// With `credentials` as they stand in the header, it refuses whoever has others.
    fn before(target: &str, credentials: Option<&'static str>) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (seen, target) = (requests.clone(), target.to_owned());
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, target) = (seen.clone(), target.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let is_welcome = credentials.is_none_or(|expected| head.contains(expected));
                    seen.lock().unwrap().push(head);
                    if !is_welcome {
                        let no = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                        let _ = stream.write_all(no.as_bytes()).await;
                        return;
                    }
                    let mut server = TcpStream::connect(target).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { address, requests, _runtime: runtime }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn through(mut command: Command, proxy: &str, address: &str) -> Command {
    command.env("HTTPS_PROXY", proxy).env("TEMPORAL_ADDRESS", address);
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    command
}

#[test]
fn a_fleet_and_its_starter_work_through_a_proxy() {
    let world = World::new();
    let proxy = ConnectProxy::before(server::address(), None);
    let up = world.fleet(["up", "-w", "1", "-a", "1"]);
    let _up = Process::start(through(up, &proxy.address, SERVER));
    let url = format!("http://{}", proxy.address);
    let results = run(through(world.fleet(["starter", "-n", "3"]), &url, SERVER)).success();
    assert_eq!(results.len(), 3);
    for line in &results {
        labels(line);
    }
    let requests = proxy.requests();
    // The workers' and the starter's.
    assert!(requests.len() >= 3, "{requests:#?}");
    let first_line = format!("CONNECT {SERVER} HTTP/1.1\r\n");
    assert!(requests.iter().all(|head| head.starts_with(&first_line)), "{requests:#?}");
}

#[test]
fn a_proxy_with_a_password_leads_to_a_server_with_tls() {
    let world = World::new();
    let authority = Authority::new("ours");
    let port = TlsPort::open(&authority, "temporal.invalid", None);
    // "me:s3cr3t" in Base64.
    let proxy = ConnectProxy::before(&port.address, Some("Basic bWU6czNjcjN0\r\n"));
    let status = |credentials: &str| {
        let url = format!("http://{credentials}{}", proxy.address);
        let status = world.fleet(["status", "--connect-timeout", "200ms"]);
        let mut status = through(status, &url, SERVER);
        status.env("TEMPORAL_TLS_SERVER_CA_CERT_PATH", authority.file());
        run(status)
    };
    status("me:s3cr3t@").success();

    let refused = status("me:wr0ng@");
    assert_eq!(refused.code, 69, "{refused:#?}");
    let error = refused.err.last().unwrap();
    let expected =
        format!("407 Proxy Authentication Required (through the proxy http://{}", proxy.address);
    assert!(error.contains(&expected), "{error}");
    assert!(!refused.err.join("\n").contains("wr0ng"), "{refused:#?}");
}

#[test]
fn no_proxy_and_this_machine_go_without_a_proxy() {
    let world = World::new();
    // A proxy that is not there: whatever goes to it fails.
    let nobody = format!("http://me:s3cr3t@127.0.0.1:{}", free_port());
    run(through(world.fleet(["status"]), &nobody, server::address())).success();

    let config = |no_proxy: &str| {
        let mut config = through(world.fleet(["config"]), &nobody, SERVER);
        config.env("NO_PROXY", no_proxy);
        let lines = run(config).success();
        assert!(!lines.join("\n").contains("s3cr3t"), "{lines:#?}");
        lines.into_iter().find(|line| line.contains("proxy = "))
    };
    let shown = nobody.replace("me:s3cr3t@", "");
    assert_eq!(config("other.invalid"), Some(format!("#   proxy = \"{shown} (HTTPS_PROXY)\"")));
    for no_proxy in ["temporal.invalid", ".invalid", "*", "other, invalid:7233"] {
        assert_eq!(config(no_proxy), None, "{no_proxy}");
    }
}

#[test]
fn a_proxy_that_is_not_there_or_cannot_be_used_is_named_without_its_password() {
    let world = World::new();
    let status = |proxy: &str| {
        let status = world.fleet(["status", "--connect-timeout", "200ms"]);
        let finished = run(through(status, proxy, SERVER));
        assert!(!finished.err.join("\n").contains("s3cr3t"), "{finished:#?}");
        (finished.code, finished.err.last().unwrap().clone())
    };
    let nobody = format!("127.0.0.1:{}", free_port());
    let (code, error) = status(&format!("http://me:s3cr3t@{nobody}"));
    assert_eq!(code, 69, "{error}");
    assert!(
        error.contains(&format!("(through the proxy http://{nobody} (HTTPS_PROXY))")),
        "{error}"
    );

    let (code, error) = status(&format!("socks5://me:s3cr3t@{nobody}"));
    assert_eq!(code, 78, "{error}");
    assert!(
        error.contains("HTTPS_PROXY (environment) names a proxy with a scheme other than http"),
        "{error}"
    );
}
