//! Text from outside, such as ids, types, identities, failures and messages of the server: what must not reach
//! a terminal or a log as it is, how wide it is, and how it is cut.
//!
//! Whatever others have written may not move the cursor, change colours, hide anything, or begin a line that
//! looks like one of ours. So each text from outside passes through [`one_line`], [`cut`], [`lines`], [`escaped`]
//! or [`json`] before it is printed.

pub(crate) mod json;

use std::{borrow::Cow, fmt::Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character acts on a terminal or cannot be seen there, wherever it stands: control characters, line
/// and paragraph separators, marks of direction, and what has no width or looks like a blank without being one.
///
/// [`is_hidden_after`] knows those that depend on what is before them.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // Khmer vowels without a form
            | '\u{180b}'..='\u{180f}' // Mongolian selectors
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' // annotations
            | '\u{1d173}'..='\u{1d17a}' // of music
            | '\u{e0000}'..='\u{e0fff}' // tags, and selectors of which no font has many
        )
}

/// The same for a character that comes after `before`. Joiners and selectors of a form are part of emoji and of
/// some scripts; after ASCII, or at the beginning, they only make two texts look the same.
pub(crate) fn is_hidden_after(before: Option<char>, character: char) -> bool {
    let is_joiner = matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    is_hidden(character) || (is_joiner && before.is_none_or(|before| before.is_ascii()))
}

/// The characters of a text, each with whether it is hidden.
fn marked(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = None;
    text.chars().map(move |character| {
        let is_hidden = is_hidden_after(before, character);
        // What stands for a hidden character joins with nothing.
        before = (!is_hidden).then_some(character);
        (character, is_hidden)
    })
}

/// Whether something in the text is hidden.
pub(crate) fn has_hidden(text: &str) -> bool {
    marked(text).any(|(_, is_hidden)| is_hidden)
}

/// The text with the hidden characters replaced by what `replace` writes.
fn replaced(text: &str, mut replace: impl FnMut(&mut String, char)) -> Cow<'_, str> {
    if !has_hidden(text) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for (character, is_hidden) in marked(text) {
        if is_hidden {
            replace(&mut plain, character);
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

/// Replaces hidden characters by spaces, so that the text stays on one line and a terminal does not
/// execute any of it.
pub(crate) fn one_line(text: &str) -> String {
    replaced(text, |plain, _| plain.push(' ')).into_owned()
}

/// The same for a text of several lines that we have composed.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |plain, character| plain.push(if character == '\n' { '\n' } else { ' ' }))
}

/// Text in which we have set styles, cut after each of them: what is before a style, and the style, which may be
/// empty at the end.
pub(crate) fn at_styles(text: &str) -> Vec<(&str, &str)> {
    let mut parts = Vec::new();
    let (mut begin, mut from) = (0, 0);
    while let Some(at) = text[from..].find("\x1b[").map(|at| from + at) {
        let parameters = at + 2;
        let length = text[parameters..].find(|c: char| !c.is_ascii_digit() && c != ';');
        let end = length.map_or(text.len(), |length| parameters + length);
        from = end;
        if text[end..].starts_with('m') {
            parts.push((&text[begin..at], &text[at..=end]));
            from = end + 1;
            begin = from;
        }
    }
    parts.push((&text[begin..], ""));
    parts
}

/// The place of a byte in a text: `line 3, column 7`, counted from 1.
pub(crate) fn place(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

/// A list of texts, each on one line.
pub(crate) fn list(texts: &[String]) -> String {
    texts.iter().map(|text| one_line(text)).collect::<Vec<_>>().join("\n")
}

/// Replaces hidden characters by escapes that can be read, as `\n` and `\u{1b}`: for logs, from which one may
/// want to know what was there.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |plain, character| match character {
        '\n' => plain.push_str("\\n"),
        '\r' => plain.push_str("\\r"),
        '\t' => plain.push_str("\\t"),
        _ => {
            let _ = write!(plain, "\\u{{{:x}}}", u32::from(character));
        }
    })
}

/// A word of a command line in a form that a shell reads as this word, and that a terminal only shows.
pub(crate) fn shell_word(word: &str) -> String {
    if !has_hidden(word) {
        // Only a NUL is an error, and an argument cannot have one.
        return shlex::try_quote(word).unwrap_or_default().into_owned();
    }
    let mut quoted = "$'".to_owned();
    for (character, is_hidden) in marked(word) {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\'' | '\\' => quoted.extend(['\\', character]),
            _ if is_hidden => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('\'');
    quoted
}

/// How many columns the text takes: Chinese characters and most emoji take two, accents none.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text with spaces after it, so that it is `columns` wide.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{:1$}", "", columns.saturating_sub(width(text)))
}

/// The text on one line, at most `longest` columns wide. A longer one loses its middle: what tells things
/// apart often stands at the end, as in ids, in qualified names and in chains of causes.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    let text = one_line(text);
    if width(&text) <= longest {
        return text;
    }
    let room = longest.saturating_sub(1); // for the ellipsis
    let head = &text[..fitting(text.char_indices().map(|(at, _)| &text[..at]), room / 2).len()];
    let room = room - width(head);
    let tail = fitting(text.char_indices().rev().map(|(at, _)| &text[at..]), room);
    // An accent without its letter would be put on the ellipsis.
    let tail = tail.trim_start_matches(|character| columns(character) == 0);
    format!("{head}…{tail}")
}

/// The last of the parts, each longer than the one before, that fits into `room` columns. The width is that of a
/// whole part: a selector makes the character before it wide.
fn fitting<'a>(parts: impl Iterator<Item = &'a str>, room: usize) -> &'a str {
    parts.take_while(|part| width(part) <= room).last().unwrap_or_default()
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_both_ends() {
        for (text, longest, expected) in [
            ("short", 5, "short"),
            ("child workflow Child par-25/kid/12", 20, "child wor…-25/kid/12"),
            ("child workflow Child par-25/kid/13", 20, "child wor…-25/kid/13"),
            ("注文を確定する", 14, "注文を確定する"),
            ("注文を確定する", 9, "注文…する"),
            ("ab", 1, "…"),
            ("a\u{1b}[31m\nb", 20, "a [31m b"),
            ("abcdef🕳\u{fe0f}注 ", 8, "abc…注 "),
        ] {
            let cut = cut(text, longest);
            assert!(width(&cut) <= longest, "{cut:?}");
            assert_eq!(cut, expected);
        }
        let accents = "e\u{301}".repeat(20);
        assert_eq!(cut(&accents, 4), "e\u{301}…e\u{301}e\u{301}");
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!(padded("活動", 6), "活動  ");
        assert_eq!(padded("👩‍👩‍👧", 4), "👩‍👩‍👧  ");
        assert_eq!(padded("cafe\u{301}", 5), "cafe\u{301} ");
        assert_eq!(padded("longer", 2), "longer");
    }

    #[test]
    fn nothing_that_moves_hides_or_reorders_text_is_left() {
        let hidden =
            ["\0", "\u{7}", "\u{8}", "\u{1b}", "\u{7f}", "\u{85}", "\u{9b}", "\u{9d}", "\u{ad}"]
                .into_iter()
                .chain([
                    "\u{61c}", "\u{180e}", "\u{200b}", "\u{200e}", "\u{202a}", "\u{202e}",
                    "\u{2060}",
                ])
                .chain([
                    "\u{2066}",
                    "\u{2069}",
                    "\u{3164}",
                    "\u{feff}",
                    "\u{fffa}",
                    "\u{e0041}",
                    "\u{e0101}",
                ])
                .chain(["\u{200d}", "\u{200c}", "\u{fe0f}"]);
        for character in hidden {
            let text = format!("a{character}b");
            assert_eq!(one_line(&text), "a b", "{character:?}");
            let number = u32::from(character.chars().next().unwrap());
            assert_eq!(escaped(&text), format!("a\\u{{{number:x}}}b"));
        }
        assert_eq!(lines("a\r\nb\u{1b}[2J"), "a \nb [2J");
        assert_eq!(escaped("a\n\r\tb"), "a\\n\\r\\tb");
    }

    #[test]
    fn scripts_and_emoji_are_left_as_they_are() {
        for text in
            ["注文を確定する", "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}", "می\u{200c}خواهم", "cafe\u{301}"]
        {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text:?}");
            assert_eq!(one_line(text), text);
        }
    }

    #[test]
    fn styles_are_told_from_other_sequences() {
        assert_eq!(
            at_styles("a\x1b[31mb\x1b[2Jc\x1b[0md"),
            [("a", "\x1b[31m"), ("b\x1b[2Jc", "\x1b[0m"), ("d", "")]
        );
        assert_eq!(at_styles("x\x1b["), [("x\x1b[", "")]);
    }

    #[test]
    fn a_word_for_a_shell_shows_what_is_hidden_in_it() {
        for (word, expected) in [
            ("plain", "plain"),
            ("two words", "'two words'"),
            ("{\n\"it's\u{1b}\"}", "$'{\\n\"it\\'s\\x1b\"}'"),
            ("a\\\u{202e}", "$'a\\\\\\xe2\\x80\\xae'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }

    #[test]
    fn hidden_characters_become_spaces() {
        assert_eq!(one_line("a\u{202e}b\u{85}c\u{2028}d\u{7f}e\r\nf"), "a b c d e  f");
    }
}
