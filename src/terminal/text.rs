//! Text from outside on a line of a terminal: how wide it is, how it is cut, and what must not reach the
//! terminal as it is.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character would act on the terminal or be invisible there: control characters, line and
/// paragraph separators, and the marks that reverse the direction of what follows.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Replaces hidden characters by spaces, so that the text stays on one line and a terminal does not
/// execute any of it.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(is_hidden, " ")
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
    let head = room / 2;
    let head: String = fitting(text.chars(), head).collect();
    let tail: Vec<char> = fitting(text.chars().rev(), room - width(&head)).collect();
    // An accent without its letter would be put on the ellipsis.
    let tail = tail.into_iter().rev().skip_while(|character| columns(*character) == 0);
    head.chars().chain(['…']).chain(tail).collect()
}

/// The first of the characters, as many as fit into `room` columns.
fn fitting(characters: impl Iterator<Item = char>, room: usize) -> impl Iterator<Item = char> {
    let mut taken = 0;
    characters.take_while(move |character| {
        taken += columns(*character);
        taken <= room
    })
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

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
    fn nothing_hidden_is_left() {
        assert_eq!(one_line("a\u{202e}b\u{85}c\u{2028}d\u{7f}e\r\nf"), "a b c d e  f");
    }
}
