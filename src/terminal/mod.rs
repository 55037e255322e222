//! Standard output and the terminal: lines, progress, styles, and text that is drawn in place.

pub(crate) mod announce;
pub(crate) mod duration;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod stdout;
pub(crate) mod style;
