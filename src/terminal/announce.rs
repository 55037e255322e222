//! The stream that a command reports its progress to.

use super::{stderr, stdout::Stdout};
use crate::text::lines;

/// The stream that a command reports its progress to. It is stderr, except for commands such as
/// `fleet up`, which have no results to print on stdout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announce {
    Stdout,
    Stderr,
}

/// The line in place of `count` lines that nobody has read in time.
fn gap(count: usize) -> String {
    format!("({count} lines were left out, because nobody read them)")
}

impl Announce {
    /// Prints a line.
    pub(crate) fn say(self, line: &str) {
        match self {
            Self::Stdout => Stdout::get().offer(lines(line), gap),
            Self::Stderr => stderr::say(&format!("{line}\n")),
        }
    }
}
