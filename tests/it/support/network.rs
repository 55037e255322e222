//! Free ports, and HTTP requests.

use std::{
    iter,
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1::handshake, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Returns a free port that stays free until the test uses it. Each port is returned only once, and
/// lies below the range that the kernel uses for outgoing connections (from 32768 on Linux, from
/// 49152 elsewhere).
pub(crate) fn free_port() -> u16 {
    const PORTS: Range<u16> = 16_384..32_768;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Several test programs may run at once.
    let first = u16::try_from(std::process::id() % 128 * 128).unwrap();
    let mut ports = iter::repeat_with(|| {
        PORTS.start + first.wrapping_add(GIVEN.fetch_add(1, Relaxed)) % (PORTS.end - PORTS.start)
    });
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(free).unwrap()
}

/// Returns the status code and the body of an HTTP server's answer, or `None` if no server listens or
/// the answer is incomplete.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.ok()?;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((code, str::from_utf8(&body).ok()?.trim().to_owned()))
    })
}
