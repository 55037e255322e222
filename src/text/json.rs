//! Rewrites valid JSON on one line without parsing it into values, which would change large numbers and the
//! order of keys.

use std::{borrow::Cow, fmt::Write};

use super::{has_hidden, is_hidden_after, marked};

/// JSON for scripts on one line. In valid JSON, line ends of ASCII stand between tokens only, where any space
/// will do; what else would act on a terminal stands in strings only, where it is escaped.
pub(crate) fn on_one_line(json: &str) -> Cow<'_, str> {
    written(json, |line, _| line.push(' '))
}

/// JSON that keeps its lines. What would act on a terminal is escaped.
pub(crate) fn on_its_lines(json: &str) -> Cow<'_, str> {
    written(json, String::push)
}

/// JSON in which hidden characters are escaped; `space` writes those that stand between tokens.
fn written(json: &str, mut space: impl FnMut(&mut String, char)) -> Cow<'_, str> {
    if !has_hidden(json) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(json.len());
    for (character, is_hidden) in marked(json) {
        match character {
            '\0'..' ' => space(&mut line, character),
            _ if is_hidden => push_escape(&mut line, character),
            _ => line.push(character),
        }
    }
    Cow::Owned(line)
}

/// The deepest nesting that is passed on to scripts as JSON. Parsers have limits of their own, and a line that
/// one cannot parse often ends the script: `serde_json`'s is 128, that of jq 1.6 is 256, Python's about 1,000.
const DEEPEST: usize = 100;

/// Whether common parsers can read valid JSON. They refuse deep nesting, and many refuse an escape of half a
/// surrogate pair, such as `\ud800`, for which no Unicode text exists.
pub(crate) fn is_readable(json: &str) -> bool {
    let (mut depth, mut deepest, mut in_string, mut rest) = (0_usize, 0, false, json);
    while let Some(index) = rest.find(['"', '\\', '[', '{', ']', '}']) {
        let mut length = 1;
        match rest.as_bytes()[index] {
            b'"' => in_string = !in_string,
            b'\\' => match code_unit(&rest[index..]) {
                Some(0xd800..=0xdbff) => {
                    if !matches!(code_unit(&rest[index + 6..]), Some(0xdc00..=0xdfff)) {
                        return false;
                    }
                    length = 12;
                }
                Some(0xdc00..=0xdfff) => return false,
                Some(_) => length = 6,
                None => length = 2,
            },
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            _ => depth -= 1,
        }
        deepest = deepest.max(depth);
        rest = &rest[index + length..];
    }
    deepest <= DEEPEST
}

/// JSON for people on one line: with the characters that it has escaped, except those that are hidden or
/// have a meaning in JSON.
pub(crate) fn for_people(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '\\' => push_decoded(&mut line, rest),
            '\0'..' ' => {
                line.push(' ');
                1
            }
            _ if is_hidden_after(line.chars().next_back(), character) => {
                push_escape(&mut line, character);
                character.len_utf8()
            }
            _ => {
                line.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    line
}

/// Text as a JSON string for people.
pub(crate) fn quoted(text: &str) -> String {
    for_people(&serde_json::Value::from(text).to_string())
}

/// Adds the escape that `json` begins with, decoded if that is fit for people. Returns its length.
fn push_decoded(line: &mut String, json: &str) -> usize {
    if json.starts_with("\\/") {
        line.push('/');
        return 2;
    }
    let Some(first) = code_unit(json) else {
        line.push_str(&json[..2]);
        return 2;
    };
    let second = json.get(6..).and_then(code_unit);
    let units = [first, second.unwrap_or_default()];
    let character = char::decode_utf16(units).next().and_then(Result::ok);
    let length = if character.is_some_and(|character| character.len_utf16() == 2) { 12 } else { 6 };
    match character.filter(|character| {
        !is_hidden_after(line.chars().next_back(), *character) && !matches!(character, '"' | '\\')
    }) {
        Some(character) => line.push(character),
        None => line.push_str(&json[..length]),
    }
    length
}

/// The code unit of an escape such as `\u00e9` at the beginning of `json`.
fn code_unit(json: &str) -> Option<u16> {
    let digits = json.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn push_escape(line: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(line, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_for_people_and_nothing_else_is_changed() {
        for (json, expected) in [
            (r#"{"n":"gr\u00f6\u00dfe \u65e5"}"#, r#"{"n":"größe 日"}"#),
            (
                r#"["\ud83d\ude00", 12345678901234567890.10, 1e400]"#,
                r#"["😀", 12345678901234567890.10, 1e400]"#,
            ),
            (r#"["\ud83d", "\ude00x", "\ud83d\u0041"]"#, r#"["\ud83d", "\ude00x", "\ud83dA"]"#),
            (
                r#"["\u0022\u005c\u001b[31m\u202e\u007f", "a\\u00e9", "\n\"\/"]"#,
                r#"["\u0022\u005c\u001b[31m\u202e\u007f", "a\\u00e9", "\n\"/"]"#,
            ),
            ("[\"a\u{9b}31m\u{2028}\",\n1]", r#"["a\u009b31m\u2028", 1]"#),
        ] {
            assert_eq!(for_people(json), expected);
        }
        assert_eq!(quoted("a\n\u{1b}[31mé"), r#""a\n\u001b[31mé""#);
    }

    #[test]
    fn json_for_scripts_is_one_line_and_keeps_every_character() {
        let json = "{\"a\u{85}\u{7f}\u{2028}\":\r\n\t\"\\u00e9é\"}";
        let line = on_one_line(json);
        assert_eq!(line, "{\"a\\u0085\\u007f\\u2028\":   \"\\u00e9é\"}");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(&line), parsed(json));
        assert!(matches!(on_one_line("[1]"), Cow::Borrowed("[1]")));
        assert_eq!(on_its_lines("[\n\"\u{202e}\u{e0041}\"]"), "[\n\"\\u202e\\udb40\\udc41\"]");
    }
}
