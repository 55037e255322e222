//! `fleet health`: asks a health listener, for images without a shell or curl.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use super::Context;
use crate::{
    cli::HealthArgs,
    error::{Error, exit},
};

/// A probe that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(context: &Context<'_>, args: &HealthArgs) -> Result<u8, Error> {
    let flags = args.health_addr.map(|address| ("health_addr", address.to_string()));
    let config = context.config(flags.into_iter().collect())?;
    let address = config.health_addr.map(reachable).ok_or(Error::NoHealthAddress)?;
    let path = if args.live { "/livez" } else { "/readyz" };
    match ask(address, path) {
        Ok((true, _)) => Ok(0),
        Ok((false, answer)) => {
            let _ = writeln!(io::stderr().lock(), "{path} at {address}: {answer}");
            Ok(exit::FAILED)
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{path} at {address}: no answer: {error}");
            Ok(exit::FAILED)
        }
    }
}

/// Where a listener on `address` can be reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Whether the answer is 200, and its text.
fn ask(address: SocketAddr, path: &str) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream.take(64 * 1024));
    let mut status = String::new();
    answer.read_line(&mut status)?;
    let mut rest = String::new();
    answer.read_to_string(&mut rest)?;
    let body = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let code = status.split_whitespace().nth(1);
    Ok((code == Some("200"), format!("{} {}", code.unwrap_or("?"), body.trim())))
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn an_address_for_every_interface_is_asked_on_loopback() {
        for (given, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(given.parse().unwrap()).to_string(), asked);
        }
    }
}
