//! Converts between JSON and payloads: arguments that users give as JSON, and values of workflows that are
//! shown as one line of text or as JSON.
//!
//! A value is shown as what it is. By convention every encoding that begins with `json/` is JSON, and no other
//! is. A payload that is not valid JSON is shown as its text, if it is text, with a mark that says so.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::text::{
    self, has_hidden,
    json::{for_people, is_readable, on_one_line, quoted},
};

/// Makes a payload of JSON without parsing it. Parsing and printing it again would change large numbers.
pub(crate) fn from_json(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// Shows values as one line of text: nothing is `null`, and several are followed by their number.
///
/// A JSON string loses its quotes, unless it could be taken for something else then. In other JSON, escaped characters such as `\u00e9` are decoded. What is not JSON is followed by a mark:
/// `<8 bytes, no encoding>`.
pub(crate) fn line(payloads: &[Payload]) -> String {
    match payloads {
        [] => "null".into(),
        [one] => one_line(one, true),
        several => format!("{} <{} values>", list(several, " "), several.len()),
    }
}

/// Shows values as a list on one line of text, without a mark for several of them. Strings keep their quotes.
pub(crate) fn list(payloads: &[Payload], separator: &str) -> String {
    let lines: Vec<_> = payloads.iter().map(|payload| one_line(payload, false)).collect();
    lines.join(separator)
}

/// A note for people: the text of a JSON string with its line ends, and else what [`line()`] shows.
pub(crate) fn note(payload: &Payload) -> String {
    let text = match Content::of(payload) {
        Content::Json(json) => serde_json::from_str(json).ok(),
        _ => None,
    };
    text.unwrap_or_else(|| one_line(payload, true))
}

/// Whether a string without quotes is taken for nothing else: there is something to see, nothing hidden, and it is
/// neither `null` nor ends like a mark.
fn is_plain(text: &str) -> bool {
    let is_mark = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
    let is_mark = is_mark.is_some_and(|(_, mark)| mark.starts_with(|c: char| c.is_ascii_digit()));
    !text.trim().is_empty() && !has_hidden(text) && text != "null" && !is_mark
}

fn one_line(payload: &Payload, strings_lose_quotes: bool) -> String {
    match Content::of(payload) {
        Content::Null => "null".into(),
        Content::Json(json) => match serde_json::from_str::<String>(json) {
            Ok(text) if strings_lose_quotes && is_plain(&text) => text,
            _ => for_people(json),
        },
        Content::Other(other) => match other.shown_text() {
            Some(text) if has_hidden(text) => format!("{} {}", quoted(text), other.mark()),
            Some(text) => format!("{text} {}", other.mark()),
            None => other.mark(),
        },
    }
}

/// The result of a workflow as JSON.
#[derive(Debug)]
pub(crate) struct JsonResult {
    /// JSON on one line, unchanged but for white space between its tokens; `null` for no value. What is not
    /// JSON, or JSON that common parsers refuse, or several values, are an [`Encoded`] or a list of these.
    pub(crate) result: Box<RawValue>,
    /// `None` if `result` is the value itself. Else the encoding, or a list of the encodings.
    pub(crate) encoding: Option<Box<RawValue>>,
}

/// A value together with its encoding, as in Temporal's own JSON form of a payload.
#[derive(Serialize)]
struct Encoded<'a> {
    /// The value, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
    /// Else its bytes, in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    encoding: Option<String>,
    /// The bytes as text, if they are text and their encoding does not say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// Shows the result of a workflow as JSON. Anything can be told apart from anything else, and no byte is lost.
pub(crate) fn json(payloads: &[Payload]) -> JsonResult {
    match payloads {
        [] => JsonResult { result: RawValue::NULL.to_owned(), encoding: None },
        [payload] => JsonResult {
            result: json_value(payload),
            encoding: Content::of(payload).json().is_none().then(|| raw(&encoding(payload))),
        },
        several => {
            let contents: Vec<_> = several.iter().map(Content::of).collect();
            let values: Vec<_> = contents.iter().zip(several).map(Encoded::of).collect();
            let encodings: Vec<_> = values.iter().map(|value| &value.encoding).collect();
            JsonResult { encoding: Some(raw(&encodings)), result: raw(&values) }
        }
    }
}

/// Shows one value as JSON; see [`JsonResult::result`].
pub(crate) fn json_value(payload: &Payload) -> Box<RawValue> {
    let content = Content::of(payload);
    match content.json() {
        Some(json) => RawValue::from_string(on_one_line(json).into_owned())
            .expect("white space and escapes leave JSON valid"),
        None => raw(&Encoded::of((&content, payload))),
    }
}

impl<'a> Encoded<'a> {
    fn of((content, payload): (&Content<'a>, &'a Payload)) -> Self {
        let json = content.json();
        Self {
            value: json.map(|json| serde_json::from_str(json).expect("checked")),
            data: json.is_none().then(|| BASE64_STANDARD.encode(&payload.data)),
            encoding: encoding(payload),
            text: match content {
                Content::Other(other) => other.text,
                Content::Json(text) if json.is_none() => Some(text),
                _ => None,
            },
        }
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    let json = to_raw_value(value).expect("strings and JSON can be written as JSON");
    match on_one_line(json.get()) {
        Cow::Borrowed(_) => json,
        Cow::Owned(line) => RawValue::from_string(line).expect("escapes leave JSON valid"),
    }
}

/// What a payload contains.
enum Content<'a> {
    Null,
    /// Valid JSON.
    Json(&'a str),
    Other(Other<'a>),
}

/// Anything that is not JSON.
struct Other<'a> {
    /// `None` if the payload does not say.
    encoding: Option<String>,
    bytes: usize,
    /// The data, if it is text and its encoding does not say that it is binary.
    text: Option<&'a str>,
    /// Why it is not what its encoding says; empty if the encoding is not JSON's.
    flaw: String,
}

impl<'a> Content<'a> {
    fn of(payload: &'a Payload) -> Self {
        let Payload { data, external_payloads, .. } = payload;
        let encoding = encoding(payload);
        let is_json = encoding.as_ref().is_some_and(|encoding| encoding.starts_with("json/"));
        let is_binary = encoding.as_ref().is_some_and(|encoding| encoding.starts_with("binary/"));
        let flaw = if !external_payloads.is_empty() {
            let bytes: i64 = external_payloads.iter().map(|external| external.size_bytes).sum();
            format!(", which refer to {bytes} bytes that are stored elsewhere")
        } else if encoding.as_deref() == Some("binary/null") && data.is_empty() {
            return Self::Null;
        } else if is_json {
            match json_in(data) {
                Ok(json) => return Self::Json(json),
                Err(flaw) => flaw.to_owned(),
            }
        } else {
            String::new()
        };
        let text = (!is_binary).then(|| text_in(data)).flatten();
        Self::Other(Other { encoding, bytes: data.len(), text, flaw })
    }
}

impl<'a> Content<'a> {
    /// The JSON, if it is JSON that common parsers can read.
    fn json(&self) -> Option<&'a str> {
        match self {
            Self::Null => Some("null"),
            Self::Json(json) => Some(*json).filter(|json| is_readable(json)),
            Self::Other(_) => None,
        }
    }
}

impl<'a> Other<'a> {
    /// The text without its byte order mark, which people do not see. `None` if that leaves nothing.
    fn shown_text(&self) -> Option<&'a str> {
        let text = self.text?;
        Some(text.strip_prefix('\u{feff}').unwrap_or(text)).filter(|text| !text.is_empty())
    }

    /// The size, the encoding and the flaw: `<8 bytes, no encoding>`.
    fn mark(&self) -> String {
        let bytes = match self.bytes {
            1 => "1 byte".to_owned(),
            bytes => format!("{bytes} bytes"),
        };
        let encoding = self.encoding.as_deref().unwrap_or("no encoding");
        let encoding = text::one_line(encoding);
        format!("<{bytes}, {encoding}{}>", self.flaw)
    }
}

/// The payload's encoding. Bytes that are not UTF-8 are escaped.
fn encoding(payload: &Payload) -> Option<String> {
    let name = payload.metadata.get("encoding").filter(|name| !name.is_empty())?;
    Some(std::str::from_utf8(name).map_or_else(|_| name.escape_ascii().to_string(), str::to_owned))
}

/// The data as JSON without white space around it, or why it is not valid.
fn json_in(data: &[u8]) -> Result<&str, &'static str> {
    let Ok(text) = std::str::from_utf8(data) else { return Err(", not valid UTF-8") };
    // Reading a raw value checks it without building it, at any depth and for numbers of any size.
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Ok(json.get()),
        Err(_) if text.starts_with('\u{feff}') => Err(", with a byte order mark"),
        Err(_) => Err(", not valid JSON"),
    }
}

/// The data, if it looks like text.
fn text_in(data: &[u8]) -> Option<&str> {
    let is_binary = |character: char| {
        character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{1b}')
    };
    std::str::from_utf8(data).ok().filter(|text| !text.contains(is_binary))
}

#[cfg(test)]
mod tests;
