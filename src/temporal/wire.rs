//! What a port speaks, found out after a connection to it has failed.
//!
//! The errors of the layers in between look alike: a firewall that cuts a TLS handshake off and a server
//! without TLS both end in an unexpected end of file. So the port is asked, once without TLS and once with it,
//! and its first bytes tell.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::http_proxy::HttpProxy;

/// How long a port may take to accept a connection, and then to answer. A port that is asked twice takes at
/// most four times as long.
const LIMIT: Duration = Duration::from_millis(750);

/// What a port speaks, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/2 without TLS, as gRPC does.
    Plaintext,
    Tls,
    /// HTTP/1 without TLS.
    Http1,
    /// It closes each connection without a byte.
    Closes,
    /// It accepts connections and answers nothing.
    Silent,
    /// Something else.
    Other,
    /// It does not accept connections.
    Closed,
}

/// Asks a port what it speaks. It takes at most three seconds.
pub(super) async fn ask(host: &str, port: u16, proxy: Option<&HttpProxy>) -> Spoken {
    let without_tls = first_bytes(host, port, proxy, &http2_preface()).await;
    match recognise(&without_tls) {
        Spoken::Closes | Spoken::Silent => {}
        found => return found,
    }
    // Some servers with TLS close without an alert, or wait for the rest of what they take for a record.
    let with_tls = first_bytes(host, port, proxy, &client_hello(host)).await;
    match recognise(&with_tls) {
        Spoken::Closes | Spoken::Silent | Spoken::Closed => recognise(&without_tls),
        found => found,
    }
}

/// What came after a question.
#[derive(Debug)]
enum Answer {
    Bytes(Vec<u8>),
    End,
    Nothing,
    NotConnected,
}

async fn first_bytes(host: &str, port: u16, proxy: Option<&HttpProxy>, question: &[u8]) -> Answer {
    let connected = timeout(LIMIT, connect(host, port, proxy)).await.ok().flatten();
    let Some(mut stream) = connected else { return Answer::NotConnected };
    let exchange = async {
        stream.write_all(question).await.ok()?;
        let mut bytes = vec![0; 512];
        match stream.read(&mut bytes).await {
            Ok(count @ 1..) => {
                bytes.truncate(count);
                Some(bytes)
            }
            _ => None,
        }
    };
    match timeout(LIMIT, exchange).await {
        Ok(Some(bytes)) => Answer::Bytes(bytes),
        Ok(None) => Answer::End,
        Err(_) => Answer::Nothing,
    }
}

async fn connect(host: &str, port: u16, proxy: Option<&HttpProxy>) -> Option<TcpStream> {
    let Some(proxy) = proxy else {
        return TcpStream::connect((host, port)).await.ok();
    };
    let mut stream = TcpStream::connect(&proxy.address).await.ok()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authorization = proxy.credentials.as_ref().map_or_else(String::new, |(user, password)| {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        format!("Proxy-Authorization: Basic {encoded}\r\n")
    });
    let request =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        head.push(stream.read_u8().await.ok()?);
    }
    let status = head.split(|byte| *byte == b' ').nth(1)?;
    status.starts_with(b"2").then_some(stream)
}

fn recognise(answer: &Answer) -> Spoken {
    let bytes = match answer {
        Answer::Bytes(bytes) => bytes.as_slice(),
        Answer::End => return Spoken::Closes,
        Answer::Nothing => return Spoken::Silent,
        Answer::NotConnected => return Spoken::Closed,
    };
    match bytes {
        // Go's HTTP server answers so, without TLS, where it wants TLS.
        _ if bytes.starts_with(b"HTTP/") && contains(bytes, b"HTTPS server") => Spoken::Tls,
        _ if bytes.starts_with(b"HTTP/1") => Spoken::Http1,
        // The page of a server that takes the preface for HTTP 0.9.
        _ if bytes.starts_with(b"<") => Spoken::Http1,
        // An alert or a handshake record of TLS 1.x.
        [0x15 | 0x16, 3, ..] => Spoken::Tls,
        // A SETTINGS or GOAWAY frame of HTTP/2.
        [0, _, _, 4 | 7, ..] => Spoken::Plaintext,
        _ => Spoken::Other,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What a client of HTTP/2 sends first: the preface, and empty settings.
fn http2_preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat()
}

/// What a client of TLS 1.2 or 1.3 sends first. A server answers with a handshake or an alert. It cannot come to
/// a connection: there is no key behind it.
fn client_hello(host: &str) -> Vec<u8> {
    let mut extensions = Vec::new();
    // An address is no server name.
    if host.parse::<std::net::IpAddr>().is_err() {
        extensions.extend(extension(0, &counted(&[&[0][..], &counted(host.as_bytes())].concat())));
    }
    // Curves, how points and signatures are written, HTTP/2, versions.
    extensions.extend(extension(10, &counted(&[0, 29, 0, 23, 0, 24])));
    extensions.extend(extension(11, &[1, 0]));
    extensions.extend(extension(13, &counted(&[4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 5, 1, 8, 7])));
    extensions.extend(extension(16, &counted(b"\x02h2")));
    extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
    // No share of a key: the server asks for one, which is answer enough.
    extensions.extend(extension(51, &counted(&[])));
    let ciphers = [0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30];
    let hello =
        [&[3, 3][..], &[0x5a; 32], &[0], &counted(&ciphers), &[1, 0], &counted(&extensions)]
            .concat();
    let handshake = [&[1, 0][..], &counted(&hello)].concat();
    [&[0x16, 3, 1][..], &counted(&handshake)].concat()
}

fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &counted(body)].concat()
}

/// Bytes after their number, in two bytes.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&count.to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_recognised_by_its_first_bytes() {
        for (bytes, spoken) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Spoken::Http1),
            (
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                Spoken::Tls,
            ),
            (&[0x15, 3, 1, 0, 2, 2, 22], Spoken::Tls),
            (&[0x16, 3, 3, 0, 88, 2], Spoken::Tls),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0], Spoken::Plaintext),
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0], Spoken::Plaintext),
            (b"<!DOCTYPE HTML>\n<html lang=\"en\">", Spoken::Http1),
            (b"SSH-2.0-OpenSSH_9.9\r\n", Spoken::Other),
        ] {
            assert_eq!(recognise(&Answer::Bytes(bytes.into())), spoken, "{bytes:?}");
        }
        assert_eq!(recognise(&Answer::End), Spoken::Closes);
        assert_eq!(recognise(&Answer::Nothing), Spoken::Silent);
    }

    #[test]
    fn the_lengths_in_a_client_hello_fit() {
        let hello = client_hello("temporal.example");
        let record = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        assert_eq!(record, hello.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), record - 4);
        assert!(contains(&hello, b"temporal.example"));
        assert!(!contains(&client_hello("127.0.0.1"), b"127.0.0.1"));
    }
}
