//! Where a command says what it does.

use super::{progress, stdout::Stdout};

/// Where a supervisor says what it does: `fleet up` on stdout, in the sample's words, and `fleet
/// demo`, whose stdout is for results, on stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announce {
    Stdout,
    Stderr,
}

impl Announce {
    pub(crate) fn say(self, line: &str) {
        match self {
            Self::Stdout => Stdout::get().line(line),
            Self::Stderr => progress::to_stderr(&format!("{line}\n")),
        }
    }
}
