//! Free ports, and questions by HTTP.

use std::{
    io::{Read, Write},
    iter,
    net::{TcpListener, TcpStream},
    ops::Range,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// A port that is free, and stays so until it is used: it is given once, and is none of those that
/// the kernel gives to connections that go out (from 32768 on Linux, 49152 elsewhere).
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

/// The status code and the body that a health listener answers with; `None` while nobody listens.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    // Of HTTP/1.0, so that no answer comes in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.trim().to_owned()))
}
