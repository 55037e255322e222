//! The server's address, read from text.
//!
//! The SDK hands the text to a URL parser, whose errors name neither the value nor its place, and which takes
//! port 80 or 443 where the text has none. Other Temporal SDKs take 7233.

use std::{borrow::Cow, net::Ipv6Addr};

use temporalio_client::Url;

/// Temporal's port, for an address that names none.
pub(super) const PORT: u16 = 7233;

const EXPECTED: &str = "expected host:port, http://host:port or https://host:port";

/// Reads an address: `host`, `host:port`, or either as an `http://` or `https://` URL. Returns it with its
/// port, and with its scheme if it has one.
///
/// # Errors
/// The rule that the address breaks, for a message.
pub(super) fn parse(given: &str) -> Result<String, Cow<'static, str>> {
    check_form(given)?;
    let (scheme, rest) = match given.split_once("://") {
        None => ("", given),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http://", rest),
            "https" => ("https://", rest),
            _ => return Err(format!("unknown scheme {scheme:?}: {EXPECTED}").into()),
        },
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '\\']) {
        return Err(format!("it has a path: {EXPECTED}").into());
    }
    let (host, port) = split_port(rest)?;
    let port = read_port(port)?;
    check_host(host)?;
    Ok(format!("{scheme}{host}:{port}"))
}

/// Whether an address holds a user name, and so perhaps a password, of which no message may show anything.
pub(super) fn may_hold_password(given: &str) -> bool {
    given.contains('@')
}

/// An address as messages show it: without a path, a query and a fragment, which may hold a token.
pub(super) fn host_only(given: &str) -> Cow<'_, str> {
    let begin = given.find("://").map_or(0, |scheme| scheme + "://".len());
    let rest = &given[begin..];
    match rest.find(['/', '?', '#', '\\']) {
        Some(end) if end + 1 < rest.len() => format!("{}…", &given[..=begin + end]).into(),
        _ => given.into(),
    }
}

fn check_form(given: &str) -> Result<(), Cow<'static, str>> {
    if given.contains('@') {
        return Err(
            "it holds a user name or a password: Temporal takes TEMPORAL_API_KEY or a client \
                    certificate"
                .into(),
        );
    }
    if given.contains([',', ';']) {
        return Err(format!("it lists several addresses, not one: {EXPECTED}").into());
    }
    Ok(())
}

/// Splits an address into its host and the text of its port, if it has one.
fn split_port(address: &str) -> Result<(&str, Option<&str>), Cow<'static, str>> {
    if address.starts_with('[') {
        return match address.find(']').map(|end| address.split_at(end + 1)) {
            Some((host, "")) => Ok((host, None)),
            Some((host, port)) if port.starts_with(':') => Ok((host, Some(&port[1..]))),
            _ => Err("an IPv6 address is written as in [::1]:7233".into()),
        };
    }
    match address.matches(':').count() {
        0 => Ok((address, None)),
        1 => Ok(address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)))),
        _ if could_be_ipv6(address) => {
            Err("an IPv6 address needs brackets, as in [::1]:7233".into())
        }
        _ => Err(format!("it has more than one colon: {EXPECTED}").into()),
    }
}

fn could_be_ipv6(text: &str) -> bool {
    text.chars().all(|char| char.is_ascii_hexdigit() || matches!(char, ':' | '.' | '%'))
}

/// An empty port, as in `host:`, counts as none.
fn read_port(port: Option<&str>) -> Result<u16, Cow<'static, str>> {
    let Some(digits) = port.filter(|digits| !digits.is_empty()) else { return Ok(PORT) };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port @ 1..) if is_number => Ok(port),
        _ => Err("its port is not a number from 1 to 65535".into()),
    }
}

fn check_host(host: &str) -> Result<(), Cow<'static, str>> {
    if host.is_empty() {
        return Err(format!("it has no host: {EXPECTED}").into());
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let is_ipv6 = inside.parse::<Ipv6Addr>().is_ok();
        return if is_ipv6 { Ok(()) } else { Err("its IPv6 address is not valid".into()) };
    }
    if host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a number is not a host: {EXPECTED}").into());
    }
    // A name in another script is for the URL parser, which knows how the DNS writes it.
    let allowed = |char: char| {
        char.is_alphanumeric()
            || matches!(char, '-' | '.' | '_')
            || !(char.is_ascii() || char.is_control())
    };
    if let Some(wrong) = host.chars().find(|char| !allowed(*char)) {
        return Err(format!("{wrong:?} cannot be in a host name: {EXPECTED}").into());
    }
    // The DNS knows no longer ones, and a name may end with a dot.
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let is_name = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-');
    if host.len() > 254 || !labels.into_iter().all(is_name) {
        return Err(format!("its host is no name that the DNS can know: {EXPECTED}").into());
    }
    Url::parse(&format!("http://{host}/"))
        .map(|_| ())
        .map_err(|error| format!("{error}: {EXPECTED}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_nothing_that_follows_the_host() {
        for (given, shown) in [
            ("https://h:7233/s3cr3t", "https://h:7233/…"),
            ("https://h:7233#s3cr3t", "https://h:7233#…"),
            ("h:7233?token=s3cr3t", "h:7233?…"),
            ("h\\s3cr3t", "h\\…"),
            ("https://h:7233/", "https://h:7233/"),
            ("é://ü/s3cr3t", "é://ü/…"),
            ("h:7233", "h:7233"),
        ] {
            assert_eq!(host_only(given), shown);
        }
    }

    #[test]
    fn an_address_without_a_port_gets_temporals() {
        for (given, expected) in [
            ("temporal", "temporal:7233"),
            ("temporal:", "temporal:7233"),
            ("127.0.0.1", "127.0.0.1:7233"),
            ("[::1]", "[::1]:7233"),
            ("[::1]:", "[::1]:7233"),
            ("http://temporal", "http://temporal:7233"),
            ("https://temporal/", "https://temporal:7233"),
            ("HTTPS://temporal", "https://temporal:7233"),
            ("https://[::1]", "https://[::1]:7233"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn an_address_with_a_port_keeps_it() {
        for (given, expected) in [
            ("temporal:1", "temporal:1"),
            ("my_server.local:65535", "my_server.local:65535"),
            ("http://127.0.0.1:80", "http://127.0.0.1:80"),
            ("https://temporal:443/", "https://temporal:443"),
            ("[2001:db8::1]:7234", "[2001:db8::1]:7234"),
            ("bücher.example:7233", "bücher.example:7233"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn a_wrong_address_is_reported_by_what_is_wrong_in_it() {
        for (given, part) in [
            ("", "no host"),
            (":7233", "no host"),
            ("http://", "no host"),
            ("7233", "a number is not a host"),
            ("::1", "needs brackets"),
            ("::1:7233", "needs brackets"),
            ("2001:db8::1", "needs brackets"),
            ("host:x:7233", "more than one colon"),
            ("[::1", "as in [::1]:7233"),
            ("[::1]7233", "as in [::1]:7233"),
            ("[::g]:7233", "IPv6 address is not valid"),
            ("[fe80::1%eth0]:7233", "IPv6 address is not valid"),
            ("host:port", "not a number from 1 to 65535"),
            ("host:0", "not a number from 1 to 65535"),
            ("host:+7233", "not a number from 1 to 65535"),
            ("host:70000", "not a number from 1 to 65535"),
            ("a:1,b:2", "several addresses"),
            ("a:1;b:2", "several addresses"),
            ("grpc://host:7233", "unknown scheme \"grpc\""),
            ("dns:///host:7233", "unknown scheme \"dns\""),
            ("://host", "unknown scheme"),
            ("host:7233/path", "has a path"),
            ("https://host:7233/?a=b", "has a path"),
            ("http://u:p@host:7233", "user name or a password"),
            ("me@host", "user name or a password"),
            ("a b:7233", "' ' cannot be in a host name"),
            ("${HOST}:7233", "'$' cannot be in a host name"),
            ("<host>:7233", "'<' cannot be in a host name"),
            ("256.1.1.1:7233", "expected host:port"),
            ("host..name:7233", "no name that the DNS can know"),
            ("-host:7233", "no name that the DNS can know"),
        ] {
            let rule = parse(given).expect_err(given);
            assert!(rule.contains(part), "{given}: {rule}");
        }
    }
}
