//! A terminal: its size, and a block of lines at its end that is drawn again in place.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use rustix::termios::tcgetwinsize;

/// Begins a frame: shown at once where the terminal knows that, no cursor, long lines cut. Each frame
/// ends with [`END`], so that whatever ends this process leaves the terminal as it was.
const BEGIN: &str = "\x1b[?2026h\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h\x1b[?2026l";

/// How many columns and rows standard output has. `None`: it is no terminal.
pub(crate) fn size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(&stdout).ok();
    // Some terminals, as those of tests, do not know their size.
    let known = |count: u16, otherwise| if count == 0 { otherwise } else { usize::from(count) };
    Some(size.map_or((100, 24), |it| (known(it.ws_col, 100), known(it.ws_row, 24))))
}

/// The block at the terminal's end.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// How many lines of it there are.
    drawn: usize,
}

impl Screen {
    /// What to write, and a line end after it, to have `block` in the last one's place; on a terminal
    /// of `rows` lines, of which it takes all but one.
    pub(crate) fn frame(&mut self, block: &str, rows: usize) -> String {
        let most = rows.saturating_sub(1).max(2);
        let count = block.lines().count();
        let mut frame = BEGIN.to_owned();
        if self.drawn > 0 {
            // A terminal that has become smaller has moved what does not fit out of reach.
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

    /// What to write, and a line end after it, to leave all of `block` in the last one's place.
    pub(crate) fn last(&mut self, block: &str, rows: usize) -> String {
        let up = std::mem::take(&mut self.drawn).min(rows.saturating_sub(1).max(2));
        if up == 0 { block.to_owned() } else { format!("\x1b[{up}A\r\x1b[J{block}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_the_last_ones_place_and_leaves_the_terminal_as_it_was() {
        let mut screen = Screen::default();
        let first = screen.frame("one\ntwo\nthree", 24);
        assert_eq!(first, format!("{BEGIN}\rone\x1b[K\ntwo\x1b[K\nthree\x1b[K\x1b[J{END}"));
        let second = screen.frame("four", 24);
        assert_eq!(second, format!("{BEGIN}\x1b[3A\rfour\x1b[K\x1b[J{END}"));
        assert!(screen.frame("five", 24).contains("\x1b[1A"));
    }

    #[test]
    fn a_block_that_is_higher_than_the_terminal_is_cut_and_says_so() {
        let mut screen = Screen::default();
        let block: Vec<_> = (0..30).map(|line| line.to_string()).collect();
        let frame = screen.frame(&block.join("\n"), 10);
        assert_eq!(frame.matches('\n').count() + 1, 9);
        assert!(frame.contains("7\x1b[K") && !frame.contains("8\x1b[K"), "{frame:?}");
        assert!(frame.contains("… 22 more lines"), "{frame:?}");
        screen.frame(&block.join("\n"), 10);
        assert!(screen.frame("x", 50).contains("\x1b[9A"), "as much as there was room for");
        screen.frame(&block.join("\n"), 10);
        assert_eq!(screen.last("all\nof it", 10), "\x1b[9A\r\x1b[Jall\nof it");
        assert_eq!(screen.last("x", 10), "x");
    }
}
