//! How a timeline looks: widths, colours, and how long words may be.

use super::{bar::Cell, model::Phase};

/// How to print it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The width of the lines, in characters.
    pub(crate) width: usize,
    pub(crate) colour: bool,
    /// How many rows to print at most; the others are told of in a line.
    pub(crate) most_rows: usize,
}

/// A failure's words can be anything.
pub(super) const LONGEST_NOTE: usize = 300;

pub(super) const RED: &str = "31";
pub(super) const YELLOW: &str = "33";
pub(super) const GREEN: &str = "32";
pub(super) const CYAN: &str = "36";
pub(super) const BOLD: &str = "1";
pub(super) const DIM: &str = "2";

impl Style {
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn bar(self, cells: &[Cell]) -> String {
        let mut bar = String::new();
        for part in cells.chunk_by(|one, other| one == other) {
            let text: String = part.iter().map(|cell| cell.as_char()).collect();
            let code = match part[0] {
                Cell::Blank | Cell::Life => "",
                Cell::Phase(Phase::Retries) => RED,
                Cell::Phase(Phase::Queue) => YELLOW,
                Cell::Phase(Phase::Run) => GREEN,
                Cell::Phase(Phase::Wait) | Cell::Moment => CYAN,
            };
            bar.push_str(&if code.is_empty() { text } else { self.paint(code, &text) });
        }
        bar
    }
}

/// On one line, without what a terminal would take for a command.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// At most so many characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= longest {
        return text;
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}
