//! The list of workers in a timeline's text.

use std::fmt::Write;

use super::{
    layout::{Layout, one_line},
    model::Timeline,
    totals::WorkerTotals,
};
use crate::terminal::{duration::short, style::BOLD};

/// Adds a line for each worker. Rows refer to a worker by its number in this list.
pub(super) fn add_workers(text: &mut String, timeline: &Timeline, layout: Layout) {
    let workers = timeline.workers();
    if workers.is_empty() {
        return;
    }
    let _ = write!(text, "\n\n{}", layout.colour.paint(BOLD, "workers"));
    for (index, (identity, totals)) in workers.iter().enumerate() {
        let (identity, tasks) = (one_line(identity), tasks(totals));
        let time = short(totals.execution);
        let _ = write!(text, "\n{:>3}  {identity}  {tasks}, {time}", index + 1);
        if let Some(version) = &totals.version {
            // The version of a deployment has a colon. Other workers have a build id at most.
            let what = if version.contains(':') { "version" } else { "build" };
            let _ = write!(text, ", {what} {}", one_line(version));
        }
    }
}

fn tasks(totals: &WorkerTotals) -> String {
    let mut parts = Vec::new();
    match totals.workflow_tasks {
        0 => {}
        1 => parts.push("1 workflow task".to_owned()),
        count => parts.push(format!("{count} workflow tasks")),
    }
    match totals.activities {
        0 => {}
        1 => parts.push("1 activity".to_owned()),
        count => parts.push(format!("{count} activities")),
    }
    parts.join(", ")
}
