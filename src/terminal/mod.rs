//! Standard output and the terminal: lines and their widths, progress, styles, and text that is drawn in place.

pub(crate) mod announce;
pub(crate) mod duration;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod stderr;
pub(crate) mod stdout;
pub(crate) mod style;
