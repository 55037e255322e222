//! The summary of a batch as text.

use std::{collections::BTreeMap, time::Duration};

use super::{
    run::Unended,
    spec::BatchName,
    tally::{Latency, Tally},
};
use crate::text::one_line;

/// How many workers of a kind, and how many running workflows, the summary lists.
const MOST_LISTED: usize = 20;

/// What remains of a batch when a command ends.
#[derive(Default)]
pub(crate) struct Remainder {
    pub(crate) unended: Unended,
    /// How many workflows this starter did not reach. An earlier starter may have started them.
    pub(crate) not_reached: usize,
    /// What the server refused because of a limit, as a sentence.
    pub(crate) limited: Option<String>,
    /// How many calls that were.
    pub(crate) rate_limited: u64,
    /// The command that continues the batch, if it can be continued.
    pub(crate) attach: Option<String>,
}

impl Remainder {
    /// How many workflows are known not to have been started. Those of a new batch that were not reached are
    /// among them.
    pub(super) fn not_started(&self, name: &BatchName) -> usize {
        match name {
            BatchName::Random(_) => self.unended.refused + self.not_reached,
            BatchName::Given(_) => self.unended.refused,
        }
    }
}

/// The summary: some lines, without a final line end.
pub(super) fn summary(
    tally: &Tally,
    elapsed: Duration,
    name: &BatchName,
    remainder: &Remainder,
) -> String {
    let mut lines = vec![counts(tally, elapsed)];
    lines.extend(tally.latency().as_ref().map(latency));
    lines.extend(shares("workflows", &tally.workers.workflows));
    lines.extend(shares("activities", &tally.workers.activities));
    lines.extend(in_part(tally.read_in_part));
    let Unended { running, may_run, .. } = &remainder.unended;
    lines.extend(listed(still_runs(running.len()), running));
    lines
        .extend(listed(format!("{} may run (the server did not answer):", may_run.len()), may_run));
    lines.extend(not_started(remainder, name));
    lines.extend(remainder.limited.clone());
    lines.extend(remainder.attach.as_ref().map(|command| format!("to continue: {command}")));
    lines.join("\n")
}

fn counts(tally: &Tally, elapsed: Duration) -> String {
    let Tally { completed, failed, begun_earlier, completed_here, .. } = tally;
    let earlier = match begun_earlier {
        0 => String::new(),
        count => format!(" ({count} of them begun earlier)"),
    };
    let rate = match completed_here {
        0 => String::new(),
        _ => format!(": {:.1} workflows/s", tally.rate(elapsed)),
    };
    let seconds = elapsed.as_secs_f64();
    format!("{completed} completed, {failed} failed{earlier} in {seconds:.2} s{rate}")
}

fn latency(latency: &Latency) -> String {
    let Latency { p50, p95, p99, max } = latency;
    format!("latency p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms, max {max:.0} ms")
}

/// A line for each worker: how many of what it ran. Only the first line names `what`.
fn shares(what: &str, workers: &BTreeMap<String, usize>) -> Vec<String> {
    let headings = [what].into_iter().chain(std::iter::repeat(""));
    let mut lines: Vec<_> = workers
        .iter()
        .take(MOST_LISTED)
        .zip(headings)
        .map(|((identity, count), heading)| {
            format!("{heading:10} {count:6}  {}", one_line(identity))
        })
        .collect();
    let more = workers.len().saturating_sub(MOST_LISTED);
    if more > 0 {
        lines.push(format!("{:19}and {more} more workers", ""));
    }
    lines
}

/// Says that workers are missing above.
fn in_part(workflows: usize) -> Option<String> {
    (workflows > 0).then(|| {
        format!(
            "{:19}and more: the histories of {workflows} workflow{} were not read to the end",
            "",
            if workflows == 1 { "" } else { "s" }
        )
    })
}

fn still_runs(count: usize) -> String {
    format!("{count} still run{}:", if count == 1 { "s" } else { "" })
}

/// The heading and a line for each id; nothing if there are none.
fn listed(heading: String, ids: &[String]) -> Vec<String> {
    if ids.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading];
    lines.extend(ids.iter().take(MOST_LISTED).map(|id| format!("  {}", one_line(id))));
    let more = ids.len().saturating_sub(MOST_LISTED);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
}

fn not_started(remainder: &Remainder, name: &BatchName) -> Vec<String> {
    let mut lines = Vec::new();
    let not_started = remainder.not_started(name);
    if not_started > 0 {
        lines.push(format!("not started: {not_started}"));
    }
    if remainder.not_reached > 0 && matches!(name, BatchName::Given(_)) {
        let count = remainder.not_reached;
        lines.push(format!("{count} not checked: begun earlier or not at all"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::outcome::{Outcome, WorkflowFailure, WorkflowStatus},
        temporal::history::Workers,
    };

    fn outcome(end: Result<(), &str>, latency: Option<u64>) -> Outcome {
        Outcome {
            index: 0,
            workflow_id: "w".into(),
            end: end
                .map(|()| Vec::new())
                .map_err(|cause| WorkflowFailure::new(WorkflowStatus::Failed, cause)),
            latency: latency.map(Duration::from_millis),
            is_read_whole: true,
            workers: Workers {
                workflow: Some("workflow-worker@host:1".into()),
                activities: vec!["activity-worker@host:2".into(); 3],
            },
        }
    }

    #[test]
    fn the_summary_shows_counts_latencies_and_each_workers_share() {
        let mut tally = Tally::new();
        for latency in 1..=100 {
            tally.add(outcome(Ok(()), Some(latency)));
        }
        let (elapsed, name) = (Duration::from_secs(2), BatchName::random());
        assert_eq!(
            summary(&tally, elapsed, &name, &Remainder::default()),
            "100 completed, 0 failed in 2.00 s: 50.0 workflows/s\n\
             latency p50 50 ms, p95 95 ms, p99 99 ms, max 100 ms\n\
             workflows     100  workflow-worker@host:1\n\
             activities    300  activity-worker@host:2"
        );
    }

    #[test]
    fn a_workflow_begun_earlier_has_no_latency_and_what_remains_is_listed() {
        let mut tally = Tally::new();
        tally.add(outcome(Err("gone"), Some(7)));
        tally.add(outcome(Ok(()), None));
        let unended = Unended { running: vec!["a".into()], may_run: vec!["b".into()], refused: 2 };
        let (limited, attach) = (Some("limit".into()), Some("x".into()));
        let remainder = Remainder { unended, not_reached: 4, limited, rate_limited: 1, attach };
        assert_eq!(
            summary(&tally, Duration::from_secs(1), &BatchName::Given("b".into()), &remainder),
            "1 completed, 1 failed (1 of them begun earlier) in 1.00 s\n\
             workflows       2  workflow-worker@host:1\n\
             activities      6  activity-worker@host:2\n\
             1 still runs:\n  a\n1 may run (the server did not answer):\n  b\nnot started: 2\n\
             4 not checked: begun earlier or not at all\nlimit\nto continue: x"
        );
    }

    #[test]
    fn what_a_new_batch_did_not_reach_was_not_started_and_missing_workers_are_reported() {
        let mut tally = Tally::new();
        tally.add(Outcome { is_read_whole: false, ..outcome(Ok(()), None) });
        let unended = Unended { refused: 2, ..Unended::default() };
        let remainder = Remainder { unended, not_reached: 4, ..Remainder::default() };
        let text = summary(&tally, Duration::from_secs(1), &BatchName::random(), &remainder);
        assert!(text.ends_with("\nnot started: 6"), "{text}");
        let part = "and more: the histories of 1 workflow were not read to the end";
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn long_lists_are_cut() {
        let mut tally = Tally::new();
        for pid in 10..32 {
            tally.workers.workflows.insert(format!("w@host:{pid}"), 1);
        }
        let running = (10..31).map(|number| format!("id-{number}")).collect();
        let unended = Unended { running, ..Unended::default() };
        let remainder = Remainder { unended, ..Remainder::default() };
        let text = summary(&tally, Duration::from_secs(1), &BatchName::random(), &remainder);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "workflows       1  w@host:10");
        assert_eq!(lines[2], "                1  w@host:11");
        assert_eq!(
            lines[21..24],
            ["                   and 2 more workers", "21 still run:", "  id-10"]
        );
        assert_eq!(lines[42..], ["  id-29", "  and 1 more"]);
    }
}
