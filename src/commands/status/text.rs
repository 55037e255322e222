//! `fleet status` as a table.

use std::fmt::Write;

use super::queues::{FOOTNOTE, QueueRow, Reading};
use crate::{
    temporal::{clock::Skew, task_queue::Poller},
    terminal::{
        duration::whole_seconds,
        style::{Colour, RED, YELLOW},
    },
    text::{one_line, padded, width},
};

/// The table with its footnote, without a final line end.
pub(super) fn text(address: &str, namespace: &str, reading: &Reading, colour: Colour) -> String {
    let rows = &reading.rows;
    let queue = widest(rows.iter().map(|row| row.queue.as_str())).max(10);
    let pollers = rows.iter().flat_map(|row| &row.view.pollers);
    let identity = widest(pollers.map(|poller| poller.identity.as_str()));
    let mut text = format!("namespace {} at {address}", one_line(namespace));
    if let Some(line) = reading.skew.and_then(Skew::line) {
        let _ = write!(text, "\n{}", colour.paint(YELLOW, &line));
    }
    let _ = write!(
        text,
        "\n\n{:queue$}  {:8}  {:>7}  {:>8}  {:>7}  {:>12}  {:>7}",
        "TASK QUEUE", "KIND", "BACKLOG", "OLDEST", "ADDED/S", "DISPATCHED/S", "POLLERS"
    );
    for row in rows {
        let view = &row.view;
        let line = queue_line(row, queue);
        let line = if view.is_unserved() { colour.paint(RED, &line) } else { line };
        let _ = write!(text, "\n{line}");
        if let Some(version) = &view.routed_to {
            let _ = write!(text, "\n  new workflows go to version {}", one_line(version));
        }
        for poller in &view.pollers {
            let _ = write!(text, "\n  {}", poller_line(poller, identity));
        }
        if view.is_unserved() {
            let _ = write!(text, "\n  {}", colour.paint(RED, "no worker polls it"));
        }
    }
    let _ = write!(text, "\n\n{FOOTNOTE}");
    text
}

/// The width of the widest text, in columns.
fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| width(&one_line(text))).max().unwrap_or(0)
}

fn queue_line(row: &QueueRow, columns: usize) -> String {
    let oldest = row.oldest().map_or("-".into(), whole_seconds);
    format!(
        "{}  {:8}  {:>7}  {oldest:>8}  {:>7.1}  {:>12.1}  {:>7}",
        padded(&one_line(&row.queue), columns),
        row.kind(),
        row.view.backlog,
        row.view.add_rate,
        row.view.dispatch_rate,
        row.live_pollers(),
    )
}

fn poller_line(poller: &Poller, columns: usize) -> String {
    let seen = match poller.seen_ago() {
        Some(ago) => format!("{} ago", whole_seconds(ago)),
        None => "never".to_owned(),
    };
    let mut line = format!("{}  {seen:>10}", padded(&one_line(&poller.identity), columns));
    if poller.is_gone() {
        line.push_str("  gone?");
    }
    if let Some(version) = &poller.version {
        let _ = write!(line, "  version {}", one_line(version));
    }
    line
}
