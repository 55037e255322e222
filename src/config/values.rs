//! How the values of settings are read from text.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

/// The longest accepted duration: longer than any useful one, and too short to overflow a clock.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Parses a whole number from `min` to `max`, both included.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ if max == usize::MAX => Err(format!("expected a whole number, {min} or more")),
        _ => Err(format!("expected a whole number from {min} to {max}")),
    }
}

/// Returns a parser of whole numbers from 1 to `max`.
pub(super) fn one_to(max: usize) -> impl Fn(&str) -> Result<NonZeroUsize, String> {
    move |text| {
        let number = parse_number(text, 1, max)?;
        Ok(NonZeroUsize::new(number).expect("1 or more"))
    }
}

/// Parses an address to listen on.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 0.0.0.0:8080")
}

/// Parses the name of a task queue or the like.
///
/// # Errors
/// The rule, for a message.
pub(crate) fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err("expected a name, not empty or blank, on one line");
    }
    Ok(text.to_owned())
}

/// Parses the name of something of the fleet's own, as [`parse_name`] does. Nobody means blanks or quotes around
/// one; a file of variables may leave them there.
///
/// # Errors
/// The rule, for a message.
pub(super) fn parse_own_name(text: &str) -> Result<String, &'static str> {
    let is_quoted = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    let name = parse_name(text)?;
    if text.trim() != text || is_quoted('"') || is_quoted('\'') {
        return Err("expected a name without blanks or quotes around it");
    }
    Ok(name)
}

/// Parses `500ms`, `3s`, `2m`, `1h 30m`.
///
/// # Errors
/// The rule, for a message. A number without a unit is an error, because its unit would be a guess.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "expected a duration with its unit, such as 500ms, 3s or 2m";
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RULE);
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("expected a duration of at most a year"),
        Err(_) => Err(RULE),
    }
}

/// Parses how long a worker may give no sign of life: five seconds or more, or 0 for any time. A sign of life is
/// due each second, and on a machine without free CPU a few of them may be late.
///
/// # Errors
/// The rule, for a message.
pub(super) fn parse_stuck_timeout(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "expected 0, or a duration with its unit of at least 5s, such as 30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() || duration >= Duration::from_secs(5) => Ok(duration),
        _ => Err(RULE),
    }
}

/// Parses a yes or no.
///
/// # Errors
/// The rule, for a message.
pub(super) fn parse_bool(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "expected true or false")
}

/// Writes a duration as [`parse_duration`] reads it.
pub(crate) fn show(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
