//! The report of a trial as a table.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    plan::AttackKind,
    report::{Times, TrialReport},
};
use crate::{config::show, terminal::duration::short};

/// Some lines, without a final line end.
pub(crate) fn text(report: &TrialReport) -> String {
    let TrialReport { account, bounds, .. } = report;
    let mut text = String::new();
    if report.is_interrupted {
        text.push_str("INTERRUPTED: this is the account of what was started\n");
    }
    let _ = write!(
        text,
        "{} {} on {} in {}, seed {}\n{} completed once, {} lost",
        report.workflows,
        report.workflow_type,
        report.task_queue,
        short(report.took),
        report.seed,
        account.completed,
        account.lost.len(),
    );
    for (count, words) in [
        (account.repeated.len(), "completed more than once"),
        (account.running.len(), "still running"),
        (account.not_started, "not started"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {words}");
        }
    }
    let _ = write!(text, "; the server's visibility lists {} completed", account.listed);

    text.push('\n');
    row(&mut text, "attack", "count", &["until well: p50", "max"], "bound");
    for attacks in &report.attacks {
        let (bound, what) = bounds.of(attacks.kind);
        let bound = format!("{} ({what})", show(bound));
        row(
            &mut text,
            name(attacks.kind),
            &attacks.count.to_string(),
            &times(attacks.recovery),
            &bound,
        );
    }
    text.push('\n');
    row(&mut text, "the server's account", "count", &["p50", "max"], "Temporal waits for");
    let completed = account.completed.to_string();
    row(&mut text, "workflows completed", &completed, &times(report.latency), "");
    let bound = match bounds.activity_timeout {
        Some(time) => format!("{} (start to close)", show(time)),
        None => String::new(),
    };
    let retried = account.retried_activities.to_string();
    let attempts = if account.most_attempts > 1 {
        format!("{}, up to {} attempts", account.activities, account.most_attempts)
    } else {
        account.activities.to_string()
    };
    row(&mut text, "activities retried", &retried, &["", ""], &bound);
    let timeouts: u64 = account.workflow_task_timeouts.values().sum();
    let sticky = format!("{} (sticky schedule to start)", show(bounds.sticky_timeout));
    row(&mut text, "workflow task timeouts", &timeouts.to_string(), &["", ""], &sticky);
    let failures: u64 = account.workflow_task_failures.values().sum();
    row(&mut text, "workflow task failures", &failures.to_string(), &["", ""], "");
    let _ = write!(text, "\n\nactivities: {attempts}");
    for (what, counts) in [
        ("workflow task timeouts", &account.workflow_task_timeouts),
        ("workflow task failures", &account.workflow_task_failures),
    ] {
        if !counts.is_empty() {
            let _ = write!(text, "; {what}: {}", by_kind(counts));
        }
    }
    if report.skipped > 0 {
        let attacks = if report.skipped == 1 { "attack" } else { "attacks" };
        let _ =
            write!(text, "\n{} planned {attacks} found no victim that was ready", report.skipped);
    }
    text
}

fn row(text: &mut String, what: &str, count: &str, times: &[impl AsRef<str>; 2], bound: &str) {
    let [p50, max] = [times[0].as_ref(), times[1].as_ref()];
    let line = format!("{what:24}{count:>7}{p50:>17}{max:>9}   {bound}");
    let _ = write!(text, "\n{}", line.trim_end());
}

fn times(times: Option<Times>) -> [String; 2] {
    times.map_or(["-".into(), "-".into()], |times| [short(times.p50), short(times.max)])
}

fn name(kind: AttackKind) -> &'static str {
    match kind {
        AttackKind::Kill => "kill -9",
        AttackKind::Stop => "SIGTERM",
        AttackKind::Freeze => "freeze",
        AttackKind::ServerRestart => "server restart",
    }
}

fn by_kind(counts: &BTreeMap<&str, u64>) -> String {
    let counts = counts
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.replace('_', " ").to_lowercase()));
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::report::example;

    #[test]
    fn text_has_the_account_and_the_times_beside_their_bounds() {
        let expected = "\
1000 LoadWorkflow on q in 1m 35s, seed 42
1000 completed once, 0 lost; the server's visibility lists 1000 completed

attack                    count  until well: p50      max   bound
kill -9                      53           2.70 s   5.30 s   10s (the pause before a restart, and the start)
SIGTERM                       8           400 ms   800 ms   30s (the drain timeout, then pause and start)
freeze                        0                -        -   8s (the longest freeze, then one answer)
server restart                2           100 ms   200 ms   20s (the pause before a restart, then the wait for a sticky task)

the server's account      count              p50      max   Temporal waits for
workflows completed        1000           5.00 s   9.90 s
activities retried           41                             5s (start to close)
workflow task timeouts       51                             10s (sticky schedule to start)
workflow task failures        0

activities: 2000, up to 3 attempts; workflow task timeouts: 30 schedule to start, 21 start to close
1 planned attack found no victim that was ready";
        assert_eq!(text(&example::report()), expected);
    }

    #[test]
    fn what_was_interrupted_or_lost_is_said_first() {
        let mut report = example::report();
        report.is_interrupted = true;
        report.account.lost = example::lost(2);
        report.account.running = vec!["a".into()];
        report.account.not_started = 9;
        let text = text(&report);
        assert!(text.starts_with("INTERRUPTED: "), "{text}");
        assert!(text.contains("completed once, 2 lost, 1 still running, 9 not started"), "{text}");
    }
}
