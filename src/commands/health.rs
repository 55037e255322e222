//! `fleet health`: asks a health listener, for images without a shell or curl.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::context::Context;
use crate::{
    cli::HealthArgs,
    error::{CommandError, Exit},
    health::ask,
    terminal::stderr,
    text::one_line,
};

/// The time limit of a probe.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The size limit of a probe's answer, which is a word or a sentence.
const LARGEST: usize = 64 * 1024;

pub(super) async fn run(context: &Context<'_>, args: &HealthArgs) -> Result<Exit, CommandError> {
    let flags = args.health_addr.map(|address| ("health_addr", address.to_string()));
    let config = context.config(flags.into_iter().collect())?;
    let address = config.health_addr.map(reachable).ok_or(CommandError::NoHealthAddress)?;
    let path = if args.live { "/livez" } else { "/readyz" };
    match ask(address, path, TIMEOUT, LARGEST).await {
        Ok((200, _)) => Ok(Exit::Success),
        Ok((code, answer)) => {
            stderr::say(&format!("{path} at {address}: {code} {}\n", one_line(&answer)));
            Ok(Exit::Failed)
        }
        Err(error) => {
            stderr::say(&format!("{path} at {address}: no answer: {error}\n"));
            Ok(Exit::Failed)
        }
    }
}

/// Returns the address at which this machine reaches a listener on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
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
