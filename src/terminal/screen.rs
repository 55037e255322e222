//! The terminal: its size, and a block of lines at its end that is redrawn in place.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use rustix::termios::tcgetwinsize;

/// Begins a frame: the terminal shows it at once if it supports synchronized output, hides the
/// cursor, and cuts long lines. Each frame ends with [`END`], so that the terminal is in its normal
/// state whenever this process ends.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?2026l";

/// The columns and rows of standard output. `None` if it is no terminal.
pub(crate) fn size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(&stdout).ok();
    // Some terminals, such as those of tests, do not know their size.
    let known = |count: u16, default| if count == 0 { default } else { usize::from(count) };
    Some(size.map_or((100, 24), |size| (known(size.ws_col, 100), known(size.ws_row, 24))))
}

/// A block of lines at the end of the terminal.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// How many of its lines are on the terminal.
    drawn: usize,
}

impl Screen {
    /// What to write, followed by a line end, to show `block` in the place of the previous one. The
    /// terminal has `rows` lines, of which the block gets all but one.
    pub(crate) fn frame(&mut self, block: &str, rows: usize) -> String {
        let most = rows.saturating_sub(1).max(2);
        let count = block.lines().count();
        let mut frame = BEGIN.to_owned();
        if self.drawn > 0 {
            // If the terminal has become smaller, the lines that do not fit are out of reach.
            let _ = write!(frame, "\x1b[{}A", self.drawn.min(most));
        }
        frame.push('\r');
        let kept = if count > most { most - 1 } else { count };
        for (index, line) in block.lines().take(kept).enumerate() {
            frame.push_str(if index == 0 { "" } else { "\n" });
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        if kept < count {
            let _ = write!(frame, "\n… {} more lines\x1b[K", count - kept);
        }
        self.drawn = count.min(most);
        frame.push_str("\x1b[J");
        frame.push_str(END);
        frame
    }

    /// What to write, followed by a line end, to leave all of `block` in the place of the previous one.
    pub(crate) fn last(&mut self, block: &str, rows: usize) -> String {
        let up = std::mem::take(&mut self.drawn).min(rows.saturating_sub(1).max(2));
        if up == 0 { block.to_owned() } else { format!("\x1b[{up}A\r\x1b[J{block}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_replaces_the_previous_one_and_resets_the_terminal() {
        let mut screen = Screen::default();
        let first = screen.frame("one\ntwo\nthree", 24);
        assert_eq!(first, format!("{BEGIN}\rone\x1b[K\ntwo\x1b[K\nthree\x1b[K\x1b[J{END}"));
        let second = screen.frame("four", 24);
        assert_eq!(second, format!("{BEGIN}\x1b[3A\rfour\x1b[K\x1b[J{END}"));
        assert!(screen.frame("five", 24).contains("\x1b[1A"));
    }

    #[test]
    fn block_that_is_too_high_is_cut() {
        let mut screen = Screen::default();
        let block: Vec<_> = (0..30).map(|line| line.to_string()).collect();
        let frame = screen.frame(&block.join("\n"), 10);
        assert_eq!(frame.matches('\n').count() + 1, 9);
        assert!(frame.contains("7\x1b[K") && !frame.contains("8\x1b[K"), "{frame:?}");
        assert!(frame.contains("… 22 more lines"), "{frame:?}");
        screen.frame(&block.join("\n"), 10);
        assert!(
            screen.frame("x", 50).contains("\x1b[9A"),
            "no further up than the previous height permits"
        );
        screen.frame(&block.join("\n"), 10);
        assert_eq!(screen.last("all\nof it", 10), "\x1b[9A\r\x1b[Jall\nof it");
        assert_eq!(screen.last("x", 10), "x");
    }
}
