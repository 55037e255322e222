//! Values of every shape, as a line and as JSON.

use serde_json::Value;
use temporalio_common::protos::temporal::api::common::v1::payload::ExternalPayloadDetails;

use super::*;

fn payload(encoding: &[u8], data: &[u8]) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), encoding.to_vec())].into(),
        data: data.to_vec(),
        ..Payload::default()
    }
}

fn without_encoding(data: &[u8]) -> Payload {
    Payload { data: data.to_vec(), ..Payload::default() }
}

/// The fields `result` and `encoding` of a value, as one text.
fn shown(payloads: &[Payload]) -> String {
    let JsonResult { result, encoding } = json(payloads);
    let encoding = encoding.map(|encoding| format!(" {encoding}"));
    format!("{result}{}", encoding.unwrap_or_default())
}

#[test]
fn json_of_every_encoding_is_shown_as_json() {
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for (data, text, result) in [
        ("\"a | b\"", "a | b", "\"a | b\""),
        ("\"\"", "\"\"", "\"\""),
        ("\"one\\ntwo\"", "\"one\\ntwo\"", "\"one\\ntwo\""),
        ("{\"z\":1, \"a\":1e2}", "{\"z\":1, \"a\":1e2}", "{\"z\":1, \"a\":1e2}"),
        ("12345678901234567890123", "12345678901234567890123", "12345678901234567890123"),
        (" [1,\n2]\r\n", "[1, 2]", "[1, 2]"),
        ("{\"n\":\"gr\\u00f6\\u00dfe\"}", "{\"n\":\"größe\"}", "{\"n\":\"gr\\u00f6\\u00dfe\"}"),
        ("\"\\u001b[31m\"", "\"\\u001b[31m\"", "\"\\u001b[31m\""),
        ("\"a\u{9b}31m\"", "\"a\\u009b31m\"", "\"a\\u009b31m\""),
        ("null", "null", "null"),
        ("\"null\"", "\"null\"", "\"null\""),
        ("\"<2 bytes, x>\"", "\"<2 bytes, x>\"", "\"<2 bytes, x>\""),
        ("\"<b>bold</b>\"", "<b>bold</b>", "\"<b>bold</b>\""),
        (&nested, &nested, &nested),
    ] {
        for encoding in ["json/plain", "json/protobuf", "json/x"] {
            let value = [payload(encoding.as_bytes(), data.as_bytes())];
            assert_eq!(line(&value), text);
            assert_eq!(shown(&value), result);
        }
    }
}

#[test]
fn json_that_parsers_refuse_is_shown_to_people_and_kept_in_base64_for_scripts() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for json in [
        nested.as_str(),
        r#""half an emoji \ud83d""#,
        r#"{"\ude00":1}"#,
        r#"["\ud83d","\ude00"]"#,
        r#""\ud83dA""#,
    ] {
        let value = [payload(b"json/plain", json.as_bytes())];
        assert_eq!(line(&value), json);
        let shown: Value = serde_json::from_str(json_value(&value[0]).get()).unwrap();
        assert_eq!(shown["encoding"], "json/plain");
        assert_eq!(shown["text"], json);
        assert_eq!(shown["data"], BASE64_STANDARD.encode(json));
        assert_eq!(super::json(&value).encoding.unwrap().get(), "\"json/plain\"");
        let several = [value[0].clone(), from_json("1")];
        let list: Value = serde_json::from_str(super::json(&several).result.get()).unwrap();
        assert_eq!(list[0], shown);
    }
    for json in [r#"["\ud83d\ude00","\\ud800","[[","\"["]"#, r#"{"a":[{"b":"\\"}]}"#] {
        let value = [payload(b"json/plain", json.as_bytes())];
        assert_eq!(shown(&value), json);
    }
}

#[test]
fn what_is_not_json_is_its_text_or_its_size_with_a_mark_and_no_byte_is_lost() {
    for (value, text, result) in [
        (
            without_encoding(b"{\"a\": 1}"),
            "{\"a\": 1} <8 bytes, no encoding>",
            r#"{"data":"eyJhIjogMX0=","encoding":null,"text":"{\"a\": 1}"} null"#,
        ),
        (
            payload(b"", b"x"),
            "x <1 byte, no encoding>",
            r#"{"data":"eA==","encoding":null,"text":"x"} null"#,
        ),
        (
            without_encoding(b""),
            "<0 bytes, no encoding>",
            r#"{"data":"","encoding":null,"text":""} null"#,
        ),
        (
            payload(b"json/plain", b""),
            "<0 bytes, json/plain, not valid JSON>",
            r#"{"data":"","encoding":"json/plain","text":""} "json/plain""#,
        ),
        (
            payload(b"json/plain", b"\xef\xbb\xbf[1]"),
            "[1] <6 bytes, json/plain, with a byte order mark>",
            r#"{"data":"77u/WzFd","encoding":"json/plain","text":"[1]"} "json/plain""#,
        ),
        (
            payload(b"json/plain", b"NaN"),
            "NaN <3 bytes, json/plain, not valid JSON>",
            r#"{"data":"TmFO","encoding":"json/plain","text":"NaN"} "json/plain""#,
        ),
        (
            payload(b"json/plain", b"\"caf\xe9\""),
            "<6 bytes, json/plain, not valid UTF-8>",
            r#"{"data":"ImNhZuki","encoding":"json/plain"} "json/plain""#,
        ),
        (
            payload(b"text/x", b"a\n\x1b[31mb"),
            "\"a\\n\\u001b[31mb\" <8 bytes, text/x>",
            r#"{"data":"YQobWzMxbWI=","encoding":"text/x","text":"a\n\u001b[31mb"} "text/x""#,
        ),
        (
            payload(b"x/msgpack", b"\x81\x00"),
            "<2 bytes, x/msgpack>",
            r#"{"data":"gQA=","encoding":"x/msgpack"} "x/msgpack""#,
        ),
        (
            payload(b"binary/plain", b"hi"),
            "<2 bytes, binary/plain>",
            r#"{"data":"aGk=","encoding":"binary/plain"} "binary/plain""#,
        ),
        (
            payload(b"binary/null", b"hi"),
            "<2 bytes, binary/null>",
            r#"{"data":"aGk=","encoding":"binary/null"} "binary/null""#,
        ),
        (
            payload(b"x\xff\x1b", b"hi"),
            "hi <2 bytes, x\\xff\\x1b>",
            r#"{"data":"aGk=","encoding":"x\\xff\\x1b","text":"hi"} "x\\xff\\x1b""#,
        ),
    ] {
        let shown = shown(std::slice::from_ref(&value)).replace("\\ufeff", "");
        assert_eq!((line(std::slice::from_ref(&value)).as_str(), shown.as_str()), (text, result));
    }
    let null = [payload(b"binary/null", b"")];
    assert_eq!((line(&null).as_str(), shown(&null).as_str()), ("null", "null"));
    assert_eq!((line(&[]).as_str(), shown(&[]).as_str()), ("null", "null"));
}

#[test]
fn data_that_is_stored_elsewhere_is_not_taken_for_the_value() {
    let mut reference = payload(b"json/plain", b"{\"key\":1}");
    reference.external_payloads = vec![ExternalPayloadDetails { size_bytes: 5_000_000 }];
    let mark = "<9 bytes, json/plain, which refer to 5000000 bytes that are stored elsewhere>";
    assert_eq!(line(&[reference.clone()]), format!("{{\"key\":1}} {mark}"));
    assert!(json(&[reference]).encoding.is_some());
}

#[test]
fn several_values_are_all_shown_and_counted() {
    let several =
        [from_json("\"first\""), from_json("{\"second\":2}"), payload(b"binary/plain", b"hi")];
    assert_eq!(line(&several), "\"first\" {\"second\":2} <2 bytes, binary/plain> <3 values>");
    let JsonResult { result, encoding } = json(&several);
    let result: Value = serde_json::from_str(result.get()).unwrap();
    let expected = serde_json::json!([
        { "value": "first", "encoding": "json/plain" },
        { "value": { "second": 2 }, "encoding": "json/plain" },
        { "data": "aGk=", "encoding": "binary/plain" },
    ]);
    assert_eq!(result, expected);
    assert_eq!(encoding.unwrap().get(), r#"["json/plain","json/plain","binary/plain"]"#);
}

#[test]
fn a_note_keeps_the_line_ends_of_its_text() {
    assert_eq!(note(&from_json("\"one\\ntw\\u00f6\"")), "one\ntwö");
    assert_eq!(note(&from_json("[\"\\u00f6\"]")), "[\"ö\"]");
    assert_eq!(note(&without_encoding(b"plain")), "plain <5 bytes, no encoding>");
}

#[test]
fn text_beside_its_base64_is_escaped_too() {
    assert_eq!(
        json_value(&without_encoding("a\u{202e}\u{ad}b".as_bytes())).get(),
        r#"{"data":"YeKArsKtYg==","encoding":null,"text":"a\u202e\u00adb"}"#
    );
}
