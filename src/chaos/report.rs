//! What a trial has shown.

use std::time::Duration;

use super::{
    account::Account,
    plan::{AttackKind, LONGEST_FREEZE},
};

/// The times that bound a recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest pause of the supervisor before it starts a worker or the server again.
    pub(crate) restart_pause: Duration,
    /// How long a worker that was asked to stop may take.
    pub(crate) drain_timeout: Duration,
    /// How long Temporal waits for a workflow task from the worker that has the workflow in its cache.
    pub(crate) sticky_timeout: Duration,
    /// How long Temporal waits for an activity; `None` if the workflow is not known.
    pub(crate) activity_timeout: Option<Duration>,
}

impl Bounds {
    /// The bound of a recovery, and what it is.
    pub(super) fn of(&self, kind: AttackKind) -> (Duration, &'static str) {
        match kind {
            AttackKind::Kill => (self.restart_pause, "the pause before a restart, and the start"),
            AttackKind::Stop => (self.drain_timeout, "the drain timeout, then pause and start"),
            AttackKind::Freeze => (LONGEST_FREEZE, "the longest freeze, then one answer"),
            AttackKind::ServerRestart => {
                let first_task = self.restart_pause + self.sticky_timeout;
                (first_task, "the pause before a restart, then the wait for a sticky task")
            }
        }
    }
}

/// The median and the maximum of some times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) count: usize,
    pub(super) p50: Duration,
    pub(super) max: Duration,
}

impl Times {
    /// `None` of no times.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let max = *times.last()?;
        Some(Self { count: times.len(), p50: times[(times.len() - 1) / 2], max })
    }
}

/// The attacks of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttacksOfKind {
    pub(super) kind: AttackKind,
    pub(super) count: u64,
    pub(super) recovery: Option<Times>,
}

/// What a trial has shown.
#[derive(Clone, Debug)]
pub(crate) struct TrialReport {
    pub(super) seed: u32,
    /// From the begin until all workflows had ended and all workers were ready.
    pub(super) took: Duration,
    pub(super) workflow_type: String,
    pub(super) task_queue: String,
    pub(super) batch: String,
    /// How many workflows there were to be.
    pub(super) workflows: usize,
    pub(super) is_interrupted: bool,
    pub(super) account: Account,
    pub(super) attacks: [AttacksOfKind; 4],
    pub(super) skipped: u64,
    pub(super) not_recovered: Vec<String>,
    pub(super) latency: Option<Times>,
    /// Why a workflow could not be started or awaited.
    pub(super) load_error: Option<String>,
    pub(super) bounds: Bounds,
}

impl TrialReport {
    /// What is wrong, a line for each; none after a trial in which nothing was lost.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Account { lost, repeated, completed, listed, not_started, .. } = &self.account;
        let mut problems = Vec::new();
        if !lost.is_empty() {
            let ids = lost.iter().map(|lost| format!("{} ({})", lost.workflow_id, lost.why));
            problems.push(format!("{} lost: {}", workflows(lost.len()), some(ids)));
        }
        if !repeated.is_empty() {
            let ids = some(repeated.iter().cloned());
            problems.push(format!("{} completed more than once: {ids}", workflows(repeated.len())));
        }
        if !self.account.is_good() && problems.is_empty() {
            problems.push(format!(
                "the server's visibility lists {listed} completed workflows, and the histories {completed}"
            ));
        }
        if self.is_interrupted {
            return problems;
        }
        if *not_started > 0 {
            let why = self.load_error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            problems.push(format!("{} could not be started{why}", workflows(*not_started)));
        }
        if !self.not_recovered.is_empty() {
            problems.push(format!("not ready again: {}", self.not_recovered.join(", ")));
        }
        problems
    }
}

/// How many ids are named at most.
pub(super) const MOST_NAMED: usize = 20;

/// The first of the names, and how many more there are.
fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    let first = names.take(MOST_NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

fn workflows(count: usize) -> String {
    if count == 1 { "1 workflow".to_owned() } else { format!("{count} workflows") }
}

#[cfg(test)]
pub(super) mod example {
    use std::collections::BTreeMap;

    use super::*;
    use crate::chaos::account::Lost;

    pub(in crate::chaos) fn report() -> TrialReport {
        let millis = Duration::from_millis;
        let recovery = |count| Times::of((1..=count).map(|number| millis(100 * number)).collect());
        let of = |kind, count| AttacksOfKind { kind, count, recovery: recovery(count) };
        TrialReport {
            seed: 42,
            took: millis(95_200),
            workflow_type: "LoadWorkflow".into(),
            task_queue: "q".into(),
            batch: "0123456789ab".into(),
            workflows: 1000,
            is_interrupted: false,
            account: Account {
                started: 1000,
                completed: 1000,
                listed: 1000,
                activities: 2000,
                retried_activities: 41,
                most_attempts: 3,
                workflow_task_timeouts: BTreeMap::from([
                    ("SCHEDULE_TO_START", 30),
                    ("START_TO_CLOSE", 21),
                ]),
                ..Account::default()
            },
            attacks: [
                of(AttackKind::Kill, 53),
                of(AttackKind::Stop, 8),
                of(AttackKind::Freeze, 0),
                of(AttackKind::ServerRestart, 2),
            ],
            skipped: 1,
            not_recovered: Vec::new(),
            latency: recovery(99),
            load_error: None,
            bounds: Bounds {
                restart_pause: Duration::from_secs(10),
                drain_timeout: Duration::from_secs(30),
                sticky_timeout: Duration::from_secs(10),
                activity_timeout: Some(Duration::from_secs(5)),
            },
        }
    }

    pub(in crate::chaos) fn lost(count: usize) -> Vec<Lost> {
        let lost = |number| Lost { workflow_id: format!("chaos-{number}"), why: "failed".into() };
        (0..count).map(lost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_without_losses_has_no_problem_and_each_loss_is_named() {
        let good = example::report();
        assert_eq!(good.problems(), [""; 0]);

        let mut report = good.clone();
        report.account.lost = example::lost(1);
        report.account.repeated = vec!["a".into(), "b".into()];
        report.account.not_started = 3;
        report.load_error = Some("away".into());
        report.not_recovered = vec!["worker:0".into()];
        let expected = [
            "1 workflow lost: chaos-0 (failed)",
            "2 workflows completed more than once: a, b",
            "3 workflows could not be started: away",
            "not ready again: worker:0",
        ];
        assert_eq!(report.problems(), expected);
        // What was not tried to the end is no loss.
        report.is_interrupted = true;
        assert_eq!(report.problems(), expected[..2]);

        let mut report = good.clone();
        report.account.listed = 999;
        let problem = report.problems().join("\n");
        assert!(problem.contains("lists 999 completed workflows, and the histories 1000"));

        let mut report = good;
        report.account.lost = example::lost(50);
        let problem = report.problems().join("\n");
        assert!(problem.ends_with("chaos-19 (failed) and 30 more"), "{problem}");
    }

    #[test]
    fn times_have_a_median_and_a_maximum() {
        let millis = Duration::from_millis;
        assert_eq!(Times::of(Vec::new()), None);
        let times = Times::of(vec![millis(3), millis(1), millis(2), millis(9)]).unwrap();
        assert_eq!(times, Times { count: 4, p50: millis(2), max: millis(9) });
    }
}
