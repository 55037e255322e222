//! The layout of a timeline's text: widths, colours, and the length of notes.

use anstyle::Style;

use super::{bar::Cell, row::Phase};
use crate::terminal::style::{CYAN, Colour, GREEN, RED, YELLOW};

/// How to print a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The width of the lines, in characters.
    pub(crate) width: usize,
    pub(crate) colour: Colour,
    /// How many rows to print at most. A line stands for rows that are left out.
    pub(crate) most_rows: usize,
}

/// The length to which failures and other texts from outside are cut, in characters.
pub(super) const LONGEST_NOTE: usize = 300;

impl Layout {
    pub(super) fn bar(self, cells: &[Cell]) -> String {
        let parts = cells.chunk_by(|one, other| one == other).map(|part| {
            let text: String = part.iter().map(|cell| cell.as_char()).collect();
            self.colour.paint(style_of(part[0]), &text)
        });
        parts.collect()
    }
}

fn style_of(cell: Cell) -> Style {
    match cell {
        Cell::Blank | Cell::Life => Style::new(),
        Cell::Phase(Phase::Retries) => RED,
        Cell::Phase(Phase::Queue) => YELLOW,
        Cell::Phase(Phase::Run) => GREEN,
        Cell::Phase(Phase::Wait | Phase::HeldBack) | Cell::Moment => CYAN,
    }
}

/// Replaces control characters, so that the text stays on one line and a terminal does not execute
/// any of it.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The text on one line, cut to at most `longest` characters.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= longest {
        return text;
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}
