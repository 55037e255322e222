//! The styles of terminal output, and the decision whether to use them.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};

use crate::config::environment::Environment;

pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Whether text gets escape sequences for colour and weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    On,
    Off,
}

impl Colour {
    /// `On` if standard output is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    pub(crate) fn of_stdout(environment: &Environment) -> Self {
        let wanted = environment.get("NO_COLOR").is_none();
        if wanted && io::stdout().is_terminal() { Self::On } else { Self::Off }
    }

    /// Returns `text` in `style`, or unchanged if colour is off.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::On if !text.is_empty() => format!("{style}{text}{style:#}"),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn painted_text_ends_with_a_reset() {
        for (style, code) in [(RED, 31), (GREEN, 32), (YELLOW, 33), (CYAN, 36), (BOLD, 1), (DIM, 2)]
        {
            assert_eq!(Colour::On.paint(style, "x"), format!("\x1b[{code}mx\x1b[0m"));
        }
    }

    #[test]
    fn text_stays_plain_without_colour_or_style() {
        assert_eq!(Colour::Off.paint(RED, "x"), "x");
        assert_eq!(Colour::On.paint(Style::new(), "x"), "x");
        assert_eq!(Colour::On.paint(RED, ""), "");
    }
}
