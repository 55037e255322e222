//! The layout of a timeline's text: widths, colours, and the length of notes.

use anstyle::Style;

use super::{bar::Cell, row::Phase};
use crate::terminal::style::{CYAN, Colour, GREEN, RED, YELLOW};
pub(super) use crate::text::{cut, one_line};

/// How to print a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The width of the lines, in columns.
    pub(crate) width: usize,
    pub(crate) colour: Colour,
    /// How many rows to print at most. A line stands for rows that are left out.
    pub(crate) most_rows: usize,
    /// Whether failures and other texts are printed whole, with stack traces.
    pub(crate) whole: bool,
}

/// The length to which failures and other texts from outside are cut, in columns.
const LONGEST_NOTE: usize = 500;

impl Layout {
    /// The length to which failures and other texts from outside are cut, in columns.
    pub(super) fn longest_note(self) -> usize {
        if self.whole { usize::MAX } else { LONGEST_NOTE }
    }

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
