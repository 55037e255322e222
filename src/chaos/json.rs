//! The report of a trial as JSON. Scripts rely on the names and types; docs/chaos.md describes them.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    plan::AttackKind,
    report::{MOST_NAMED, Times, TrialReport},
};
use crate::{terminal::duration::millis, text::json::on_one_line};

/// The report as one object on one line.
pub(crate) fn json(report: &TrialReport) -> String {
    let json = serde_json::to_string(&TrialDocument::new(report)).expect("plain data");
    on_one_line(&json).into_owned()
}

/// The output of `fleet chaos --output json`.
#[derive(Serialize)]
struct TrialDocument<'a> {
    seed: u32,
    duration_ms: f64,
    interrupted: bool,
    workflow_type: &'a str,
    task_queue: &'a str,
    batch: &'a str,
    workflows: usize,
    started: usize,
    completed: usize,
    /// How many completed by the server's visibility.
    completed_listed: usize,
    lost: usize,
    lost_workflows: Vec<LostJson<'a>>,
    completed_more_than_once: usize,
    running: usize,
    not_started: usize,
    activities: u64,
    retried_activities: u64,
    most_attempts: u32,
    workflow_task_timeouts: u64,
    workflow_task_timeouts_by_type: BTreeMap<String, u64>,
    workflow_task_failures: u64,
    workflow_task_failures_by_cause: BTreeMap<String, u64>,
    kills: u64,
    stops: u64,
    freezes: u64,
    server_restarts: u64,
    skipped: u64,
    not_recovered: &'a [String],
    recovery_ms: ByKind<Option<TimesJson>>,
    bound_ms: BoundsJson,
    latency_ms: Option<TimesJson>,
}

#[derive(Serialize)]
struct LostJson<'a> {
    workflow_id: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct ByKind<T> {
    kill: T,
    stop: T,
    freeze: T,
    server_restart: T,
}

#[derive(Serialize)]
struct TimesJson {
    p50: f64,
    max: f64,
    /// How many times were measured.
    count: usize,
}

#[derive(Serialize)]
struct BoundsJson {
    #[serde(flatten)]
    recovery: ByKind<f64>,
    workflow_task_schedule_to_start: f64,
    activity_start_to_close: Option<f64>,
}

impl<'a> TrialDocument<'a> {
    fn new(report: &'a TrialReport) -> Self {
        let TrialReport { account, attacks, bounds, .. } = report;
        let counts = attacks.map(|attacks| attacks.count);
        let recovery = attacks.map(|attacks| attacks.recovery.map(TimesJson::from));
        let limits = AttackKind::ALL.map(|kind| millis(bounds.of(kind).0));
        let lost = account.lost.iter().take(MOST_NAMED);
        Self {
            seed: report.seed,
            duration_ms: millis(report.took),
            interrupted: report.is_interrupted,
            workflow_type: &report.workflow_type,
            task_queue: &report.task_queue,
            batch: &report.batch,
            workflows: report.workflows,
            started: account.started,
            completed: account.completed,
            completed_listed: account.listed,
            lost: account.lost.len(),
            lost_workflows: lost
                .map(|lost| LostJson { workflow_id: &lost.workflow_id, why: &lost.why })
                .collect(),
            completed_more_than_once: account.repeated.len(),
            running: account.running.len(),
            not_started: account.not_started,
            activities: account.activities,
            retried_activities: account.retried_activities,
            most_attempts: account.most_attempts,
            workflow_task_timeouts: account.workflow_task_timeouts.values().sum(),
            workflow_task_timeouts_by_type: lower_case(&account.workflow_task_timeouts),
            workflow_task_failures: account.workflow_task_failures.values().sum(),
            workflow_task_failures_by_cause: lower_case(&account.workflow_task_failures),
            kills: counts[0],
            stops: counts[1],
            freezes: counts[2],
            server_restarts: counts[3],
            skipped: report.skipped,
            not_recovered: &report.not_recovered,
            recovery_ms: by_kind(recovery),
            bound_ms: BoundsJson {
                recovery: by_kind(limits),
                workflow_task_schedule_to_start: millis(bounds.sticky_timeout),
                activity_start_to_close: bounds.activity_timeout.map(millis),
            },
            latency_ms: report.latency.map(TimesJson::from),
        }
    }
}

/// Of each kind, in the order of [`AttackKind::ALL`].
fn by_kind<T>([kill, stop, freeze, server_restart]: [T; 4]) -> ByKind<T> {
    ByKind { kill, stop, freeze, server_restart }
}

fn lower_case(counts: &BTreeMap<&str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| (kind.to_lowercase(), *count)).collect()
}

impl From<Times> for TimesJson {
    fn from(Times { count, p50, max }: Times) -> Self {
        let millis = |time: Duration| millis(time);
        Self { p50: millis(p50), max: millis(max), count }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::chaos::report::example;

    #[test]
    fn each_number_stands_under_its_own_name() {
        let mut report = example::report();
        report.account.lost = example::lost(50);
        let printed = json(&report);
        assert!(!printed.contains('\n'));
        let document: Value = serde_json::from_str(&printed).unwrap();
        for (path, value) in [
            ("/seed", 42.into()),
            ("/duration_ms", 95_200.0.into()),
            ("/completed", 1000.into()),
            ("/lost", 50.into()),
            ("/lost_workflows/19/workflow_id", "chaos-19".into()),
            ("/lost_workflows/20", Value::Null),
            ("/kills", 53.into()),
            ("/stops", 8.into()),
            ("/freezes", 0.into()),
            ("/server_restarts", 2.into()),
            ("/retried_activities", 41.into()),
            ("/workflow_task_timeouts", 51.into()),
            ("/workflow_task_timeouts_by_type/start_to_close", 21.into()),
            ("/recovery_ms/kill/p50", 2700.0.into()),
            ("/recovery_ms/stop/max", 800.0.into()),
            ("/recovery_ms/freeze", Value::Null),
            ("/recovery_ms/server_restart/count", 2.into()),
            ("/bound_ms/stop", 30_000.0.into()),
            ("/bound_ms/activity_start_to_close", 5000.0.into()),
        ] {
            let found: &Value = document.pointer(path).unwrap_or(&Value::Null);
            assert_eq!(*found, value, "{path}");
        }
    }
}
