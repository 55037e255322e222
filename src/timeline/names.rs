//! The names in a timeline's text that do not fit into their column, whole.

use std::{collections::BTreeSet, fmt::Write};

use super::layout::{Layout, one_line};
use crate::terminal::style::BOLD;

/// Adds a line for each of the labels, which were cut, so that the ids in them can be copied.
pub(super) fn add_whole_names(text: &mut String, labels: Vec<String>, layout: Layout) {
    if labels.is_empty() {
        return;
    }
    let _ = write!(text, "\n\n{}", layout.colour.paint(BOLD, "whole names"));
    let mut listed = BTreeSet::new();
    for label in labels {
        let label = one_line(&label);
        if !listed.contains(&label) {
            let _ = write!(text, "\n  {label}");
            listed.insert(label);
        }
    }
}
