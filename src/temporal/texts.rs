//! What is wrong with the text of a setting, before it is sent anywhere.
//!
//! The SDK leaves a header out if its value cannot be one, without a word. A key with a line break then fails as a
//! missing key does.

use temporalio_client::tonic::metadata::{Ascii, MetadataKey, MetadataValue};

/// Says what is wrong with a value that nobody can mean: it is blank, it begins or ends with a blank or a
/// line break, or it has quotes around it. The phrase continues a sentence that begins with the setting,
/// and it never shows the value.
pub(super) fn flaw(value: &str) -> Option<&'static str> {
    shape(value).or_else(|| {
        let is_quoted =
            |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        ['"', '\'', '`']
            .into_iter()
            .any(is_quoted)
            .then_some("has quotes around its value: remove them")
    })
}

fn shape(value: &str) -> Option<&'static str> {
    if value.trim().is_empty() {
        Some("is empty or blank: unset it, or give a value")
    } else if value.ends_with(['\n', '\r']) {
        Some("ends with a line break: remove it (echo adds one to a secret, printf does not)")
    } else if value.contains(char::is_control) {
        Some("contains a line break or another control character")
    } else if value.trim() != value {
        Some("begins or ends with a blank: remove it")
    } else {
        None
    }
}

/// Says what is wrong with an API key, as [`flaw`] does.
pub(super) fn key_flaw(key: &str) -> Option<&'static str> {
    flaw(key).or_else(|| {
        if starts_with_word(key, "bearer") {
            Some("begins with \"Bearer\", which is added to it: give the key alone")
        } else if key.contains(char::is_whitespace) {
            Some("contains a blank, which a key cannot")
        } else if is_header_value(key) {
            None
        } else {
            Some("contains a character that a header cannot carry: give the key in ASCII")
        }
    })
}

/// Says what is wrong with a gRPC header, as [`flaw`] does.
pub(super) fn header_flaw(name: &str, value: &str) -> Option<&'static str> {
    if name.ends_with("-bin") {
        return Some("is a binary header, which cannot be set: choose a name without -bin");
    }
    if MetadataKey::<Ascii>::from_bytes(name.as_bytes()).is_err() {
        return Some("does not name a header: use letters, digits, hyphens and underscores");
    }
    if name.starts_with("grpc-") || ["content-type", "te", "host"].contains(&name) {
        return Some("names a header that gRPC itself sets: choose another");
    }
    // Other headers may need their quotes.
    let flaw = if name == "authorization" { flaw(value) } else { shape(value) };
    flaw.or_else(|| {
        (!is_header_value(value)).then_some("contains a character that a header cannot carry")
    })
}

/// Says what is wrong with the name that a server's certificate must have, as [`flaw`] does.
pub(super) fn server_name_flaw(name: &str) -> Option<&'static str> {
    flaw(name).or_else(|| {
        let is_host = name.parse::<std::net::IpAddr>().is_ok()
            || name.chars().all(|char| char.is_ascii_alphanumeric() || "-._".contains(char));
        (!is_host).then_some("is not a host name: expected one without scheme and port")
    })
}

fn is_header_value(value: &str) -> bool {
    MetadataValue::<Ascii>::try_from(value).is_ok() && value.is_ascii()
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.split_once(' ').is_some_and(|(first, _)| first.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(flaw: Option<&str>, part: &str) {
        assert!(flaw.is_some_and(|flaw| flaw.contains(part)), "{flaw:?} has no {part:?}");
    }

    #[test]
    fn a_key_that_cannot_be_meant_is_reported_by_its_flaw() {
        says(key_flaw("key\n"), "line break");
        says(key_flaw("key\r\n"), "line break");
        says(key_flaw("k\ney"), "control character");
        says(key_flaw("key\t\u{7f}x"), "control character");
        says(key_flaw(" key"), "blank");
        says(key_flaw("key "), "blank");
        says(key_flaw("  "), "blank");
        says(key_flaw("\"key\""), "quotes");
        says(key_flaw("'key'"), "quotes");
        says(key_flaw("Bearer key"), "Bearer");
        says(key_flaw("a key"), "contains a blank");
        says(key_flaw("schlüssel"), "ASCII");
        assert_eq!(key_flaw("eyJhbGciOi.J9_x-y=="), None);
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_reported_by_its_flaw() {
        says(header_flaw("x", "a\nb"), "control character");
        says(header_flaw("x", "a\n"), "line break");
        says(header_flaw("x", "größe"), "cannot carry");
        says(header_flaw("x-bin", "a"), "binary");
        says(header_flaw("", "a"), "does not name a header");
        says(header_flaw("a b", "a"), "does not name a header");
        says(header_flaw("content-type", "a"), "gRPC itself");
        says(header_flaw("authorization", "\"Bearer a\""), "quotes");
        assert_eq!(header_flaw("x", "\"a\""), None);
        assert_eq!(header_flaw("authorization", "Bearer a"), None);
    }

    #[test]
    fn a_server_name_is_a_host_without_scheme_and_port() {
        assert_eq!(server_name_flaw("temporal.example"), None);
        assert_eq!(server_name_flaw("::1"), None);
        for wrong in ["temporal.example:7233", "https://temporal.example", "a b"] {
            says(server_name_flaw(wrong), "without scheme and port");
        }
    }
}
