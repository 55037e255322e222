//! Converts between JSON and payloads: arguments that users give as JSON, and results that are printed as
//! one line of text or as JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{json, value::RawValue};
use temporalio_common::protos::temporal::api::common::v1::Payload;

/// Makes a payload of JSON without parsing it. Parsing and printing it again would change large numbers.
pub(crate) fn from_json(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// Shows a payload as one line of text. A JSON string loses its quotes, unless it contains control
/// characters such as line ends; other JSON is shown unchanged.
pub(crate) fn line(payload: Option<&Payload>) -> String {
    match content(payload) {
        Content::Null => "null".into(),
        Content::Json(json) => match serde_json::from_str(&json) {
            Ok(serde_json::Value::String(text)) if !text.contains(char::is_control) => text,
            _ => one_line(&json),
        },
        Content::Other { encoding, data } => format!("<{} bytes, {encoding}>", data.len()),
    }
}

/// Shows a payload as JSON on one line. A payload that is not JSON becomes
/// `{"encoding": …, "data": …}` with the data in Base64, as in Temporal's own JSON form of a payload.
pub(crate) fn json(payload: Option<&Payload>) -> Box<RawValue> {
    let json = match content(payload) {
        Content::Null => "null".into(),
        Content::Json(json) => one_line(&json),
        Content::Other { encoding, data } => {
            json!({ "encoding": encoding, "data": BASE64_STANDARD.encode(data) }).to_string()
        }
    };
    // A client may have labelled anything as "json/plain".
    RawValue::from_string(json)
        .or_else(|not_json| serde_json::value::to_raw_value(&not_json.to_string()))
        .expect("a string can be written as JSON")
}

enum Content<'a> {
    Null,
    Json(String),
    Other { encoding: String, data: &'a [u8] },
}

fn content(payload: Option<&Payload>) -> Content<'_> {
    let Some(payload) = payload else {
        return Content::Null;
    };
    match payload.metadata.get("encoding").map(Vec::as_slice) {
        Some(b"json/plain") => Content::Json(String::from_utf8_lossy(&payload.data).into_owned()),
        Some(b"binary/null") | None => Content::Null,
        Some(encoding) => Content::Other {
            encoding: String::from_utf8_lossy(encoding).into_owned(),
            data: &payload.data,
        },
    }
}

/// Puts JSON on one line. Valid JSON contains line ends only between its tokens, where any space will do.
fn one_line(json: &str) -> String {
    json.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line_and_only_plain_strings_lose_their_quotes() {
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
    fn json_stays_and_other_payloads_are_wrapped() {
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
