//! Payloads that people and scripts give and get: JSON in, one line or JSON out.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{json, value::RawValue};
use temporalio_common::protos::temporal::api::common::v1::Payload;

/// The JSON as it was given: parsed and printed again, large numbers would be other ones.
pub(crate) fn from_json(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// One line: a JSON string without its quotes, unless it has line ends or the like; other JSON as it
/// is.
pub(crate) fn line(payload: Option<&Payload>) -> String {
    match decoded(payload) {
        Decoded::Null => "null".into(),
        Decoded::Json(json) => match serde_json::from_str(&json) {
            Ok(serde_json::Value::String(text)) if !text.contains(char::is_control) => text,
            _ => one_line(&json),
        },
        Decoded::Other { encoding, data } => format!("<{} bytes, {encoding}>", data.len()),
    }
}

/// JSON on one line. What is none becomes `{"encoding": …, "data": …}`, in Base64, as in Temporal's
/// own JSON form of a payload.
pub(crate) fn json(payload: Option<&Payload>) -> Box<RawValue> {
    let json = match decoded(payload) {
        Decoded::Null => "null".into(),
        Decoded::Json(json) => one_line(&json),
        Decoded::Other { encoding, data } => {
            json!({ "encoding": encoding, "data": BASE64_STANDARD.encode(data) }).to_string()
        }
    };
    // Someone's "json/plain" may be anything.
    RawValue::from_string(json)
        .or_else(|not_json| serde_json::value::to_raw_value(&not_json.to_string()))
        .expect("a string is JSON")
}

enum Decoded<'a> {
    Null,
    Json(String),
    Other { encoding: String, data: &'a [u8] },
}

fn decoded(payload: Option<&Payload>) -> Decoded<'_> {
    let Some(payload) = payload else {
        return Decoded::Null;
    };
    match payload.metadata.get("encoding").map(Vec::as_slice) {
        Some(b"json/plain") => Decoded::Json(String::from_utf8_lossy(&payload.data).into_owned()),
        Some(b"binary/null") | None => Decoded::Null,
        Some(encoding) => Decoded::Other {
            encoding: String::from_utf8_lossy(encoding).into_owned(),
            data: &payload.data,
        },
    }
}

/// Only pretty-printed JSON has line ends outside a string, where they mean nothing.
fn one_line(json: &str) -> String {
    json.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line_a_string_without_quotes_and_other_json_as_it_is() {
        for (result, expected) in [
            ("\"a | b\"", "a | b"),
            ("\"one\\ntwo\"", "\"one\\ntwo\""),
            ("{\"z\":1, \"a\":1e2}", "{\"z\":1, \"a\":1e2}"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("[1,\n2]", "[1, 2]"),
        ] {
            assert_eq!(line(Some(&from_json(result))), expected);
        }
        assert_eq!(line(None), "null");
    }

    #[test]
    fn json_is_passed_on_and_what_is_none_is_wrapped() {
        let passed = |text| json(Some(&from_json(text))).get().to_owned();
        assert_eq!(passed("12345678901234567890123"), "12345678901234567890123");
        assert_eq!(passed("{\"a\":\n1}"), "{\"a\": 1}");
        assert!(serde_json::from_str::<String>(&passed("{")).is_ok());
        assert_eq!(json(None).get(), "null");
        let mut bytes = from_json("hi");
        bytes.metadata.insert("encoding".into(), b"binary/plain".to_vec());
        assert_eq!(json(Some(&bytes)).get(), r#"{"data":"aGk=","encoding":"binary/plain"}"#);
    }
}
