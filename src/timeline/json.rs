//! A timeline as JSON. Scripts rely on the names and types; docs/trace.md describes them.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

use super::{
    model::{Timeline, Wait},
    row::{Kind, Phase, Row, since},
    totals::{Share, TaskTimes, TimeSummary, WorkerTotals},
};
use crate::{
    temporal::{clock::Skew, failure::FailureChain},
    terminal::duration::millis,
    text::json::on_one_line,
};

/// The timeline as one object on one line. `address` and `namespace` say where it was read.
pub(crate) fn json(timeline: &Timeline, address: &str, namespace: &str) -> String {
    let document = TraceDocument::new(timeline, address, namespace);
    let json = serde_json::to_string(&document).expect("plain data");
    on_one_line(&json).into_owned()
}

/// The output of `fleet trace --output json`.
#[derive(Serialize)]
struct TraceDocument<'a> {
    address: &'a str,
    namespace: &'a str,
    workflow_id: &'a str,
    run_id: &'a str,
    workflow_type: &'a str,
    task_queue: &'a str,
    status: &'static str,
    failure: Option<&'a str>,
    failure_chain: Option<&'a FailureChain>,
    started: Timestamp,
    begins: Option<Timestamp>,
    closed: Option<Timestamp>,
    until: Timestamp,
    duration_ms: f64,
    /// Null if the run is closed, or if it is not known.
    clock_skew_ms: Option<f64>,
    started_by: &'a str,
    terminated_by: Option<&'a str>,
    summary: Option<&'a str>,
    attempt: u32,
    cancel_requested: Option<Timestamp>,
    cron_schedule: Option<&'a str>,
    continued_failure: Option<&'a str>,
    last_result: Option<&'a str>,
    parent: Option<&'a str>,
    previous_run_id: Option<&'a str>,
    next_run_id: Option<&'a str>,
    reset_from_run_id: Option<&'a str>,
    reset_to_run_id: Option<&'a str>,
    events: u64,
    rows: Vec<RowJson<'a>>,
    time_ms: SharesJson,
    /// By kind, for each kind of which there are tasks.
    tasks: BTreeMap<&'static str, TaskTimesJson>,
    workers: Vec<WorkerJson<'a>>,
    waits_for: Vec<WaitJson<'a>>,
    other_events: &'a BTreeMap<String, usize>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    kind: &'static str,
    event_id: Option<i64>,
    name: Option<&'a str>,
    id: Option<&'a str>,
    summary: Option<&'a str>,
    task_queue: Option<&'a str>,
    status: &'static str,
    attempt: Option<u32>,
    scheduled: Option<Timestamp>,
    queued: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    retries_ms: Option<f64>,
    queue_wait_ms: Option<f64>,
    execution_ms: Option<f64>,
    duration_ms: Option<f64>,
    worker: Option<&'a str>,
    version: Option<&'a str>,
    failure: Option<&'a str>,
    failure_chain: Option<&'a FailureChain>,
    last_failure: Option<&'a str>,
    last_failure_chain: Option<&'a FailureChain>,
    due: Option<Timestamp>,
    last_heartbeat: Option<Timestamp>,
    cancel_requested: Option<Timestamp>,
    pause: Option<PauseJson<'a>>,
    value: Option<&'a str>,
}

#[derive(Serialize)]
struct PauseJson<'a> {
    since: Option<Timestamp>,
    by: Option<&'a str>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct SharesJson {
    activities: f64,
    workflow_tasks: f64,
    queues: f64,
    retries: f64,
    timers: f64,
    children: f64,
    held_back: f64,
    nothing: f64,
}

#[derive(Serialize)]
struct TaskTimesJson {
    count: usize,
    queue_wait_ms: Option<TimeSummaryJson>,
    execution_ms: Option<TimeSummaryJson>,
}

#[derive(Serialize)]
struct TimeSummaryJson {
    median: f64,
    max: f64,
    total: f64,
}

#[derive(Serialize)]
struct WorkerJson<'a> {
    identity: &'a str,
    version: Option<String>,
    workflow_tasks: usize,
    activities: usize,
    execution_ms: f64,
}

#[derive(Serialize)]
struct WaitJson<'a> {
    kind: Option<&'static str>,
    name: Option<&'a str>,
    id: Option<&'a str>,
    since: Timestamp,
    waiting_ms: f64,
    unserved: bool,
    text: &'a str,
}

/// Written in RFC 3339 with microseconds.
struct Timestamp(SystemTime);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_micros(self.0))
    }
}

impl<'a> TraceDocument<'a> {
    fn new(timeline: &'a Timeline, address: &'a str, namespace: &'a str) -> Self {
        let (run, until) = (&timeline.run, timeline.until);
        Self {
            address,
            namespace,
            workflow_id: &run.workflow_id,
            run_id: &run.run_id,
            workflow_type: &run.workflow_type,
            task_queue: &run.task_queue,
            status: run.status.as_str(),
            failure: run.failure.as_deref(),
            failure_chain: non_empty_chain(&run.failure_chain),
            started: Timestamp(run.started),
            begins: run.begins.map(Timestamp),
            closed: run.closed.map(Timestamp),
            until: Timestamp(until),
            duration_ms: millis(timeline.total()),
            clock_skew_ms: timeline.skew.map(Skew::millis),
            started_by: &run.started_by,
            terminated_by: run.terminated_by.as_deref(),
            summary: run.summary.as_deref(),
            attempt: run.attempt,
            parent: run.parent.as_deref(),
            cancel_requested: run.cancel_requested.map(Timestamp),
            cron_schedule: run.cron_schedule.as_deref(),
            continued_failure: run.continued_failure.as_deref(),
            last_result: run.last_result.as_deref(),
            previous_run_id: run.previous_run.as_deref().or(run.reset_from.as_deref()),
            next_run_id: run.next_run.as_deref().or(run.reset_to.as_deref()),
            reset_from_run_id: run.reset_from.as_deref(),
            reset_to_run_id: run.reset_to.as_deref(),
            events: run.events,
            rows: timeline.rows.iter().map(|row| RowJson::new(row, until)).collect(),
            time_ms: SharesJson::new(&timeline.shares()),
            tasks: timeline
                .task_times()
                .into_iter()
                .map(|(kind, times)| (kind.as_str(), TaskTimesJson::new(&times)))
                .collect(),
            workers: timeline
                .workers()
                .into_iter()
                .map(|(identity, totals)| WorkerJson::new(identity, totals))
                .collect(),
            waits_for: timeline.waits.iter().map(|wait| WaitJson::new(wait, until)).collect(),
            other_events: &timeline.other,
        }
    }
}

impl<'a> RowJson<'a> {
    fn new(row: &'a Row, until: SystemTime) -> Self {
        let for_task = |time: Duration| row.kind.is_task().then(|| millis(time));
        let retries = row.retries(until);
        Self {
            kind: row.kind.as_str(),
            event_id: (row.event_id > 0).then_some(row.event_id),
            name: non_empty(&row.name),
            id: non_empty(&row.id),
            summary: row.summary.as_deref(),
            task_queue: non_empty(&row.task_queue),
            status: row.status.as_str(),
            attempt: (row.attempt > 0).then_some(row.attempt),
            scheduled: (!row.is_undated).then_some(Timestamp(row.at)),
            queued: row.queued.map(Timestamp),
            started: row.started.map(Timestamp),
            ended: row.ended.map(Timestamp),
            retries_ms: retries.and_then(for_task),
            queue_wait_ms: row.time_in(Phase::Queue, until).map(millis),
            execution_ms: row.run_time(until).and_then(for_task),
            duration_ms: row.duration(until).map(millis),
            worker: non_empty(&row.worker),
            version: row.version.as_deref(),
            failure: row.failure.as_deref(),
            failure_chain: non_empty_chain(&row.failure_chain),
            last_failure: row.last_failure.as_deref(),
            last_failure_chain: non_empty_chain(&row.last_failure_chain),
            due: row.due.map(Timestamp),
            last_heartbeat: row.last_heartbeat.map(Timestamp),
            cancel_requested: row.cancel_request.as_ref().map(|request| Timestamp(request.at)),
            pause: row.pause.as_ref().map(|pause| PauseJson {
                since: pause.since.map(Timestamp),
                by: non_empty(&pause.by),
                reason: pause.reason.as_deref(),
            }),
            value: row.value.as_deref(),
        }
    }
}

impl SharesJson {
    fn new(shares: &BTreeMap<Share, Duration>) -> Self {
        let time = |share| millis(shares[&share]);
        Self {
            activities: time(Share::Activities),
            workflow_tasks: time(Share::WorkflowTasks),
            queues: time(Share::Queues),
            retries: time(Share::Retries),
            timers: time(Share::Timers),
            children: time(Share::Children),
            held_back: time(Share::HeldBack),
            nothing: time(Share::Nothing),
        }
    }
}

impl TaskTimesJson {
    fn new(times: &TaskTimes) -> Self {
        Self {
            count: times.count,
            queue_wait_ms: times.queue_wait.as_ref().map(TimeSummaryJson::new),
            execution_ms: times.execution.as_ref().map(TimeSummaryJson::new),
        }
    }
}

impl TimeSummaryJson {
    fn new(times: &TimeSummary) -> Self {
        Self { median: millis(times.median), max: millis(times.max), total: millis(times.total) }
    }
}

impl<'a> WorkerJson<'a> {
    fn new(identity: &'a str, totals: WorkerTotals) -> Self {
        Self {
            identity,
            version: totals.version,
            workflow_tasks: totals.workflow_tasks,
            activities: totals.activities,
            execution_ms: millis(totals.execution),
        }
    }
}

impl<'a> WaitJson<'a> {
    fn new(wait: &'a Wait, until: SystemTime) -> Self {
        Self {
            kind: wait.kind.map(Kind::as_str),
            name: non_empty(&wait.name),
            id: non_empty(&wait.id),
            since: Timestamp(wait.since),
            waiting_ms: millis(since(wait.since, until)),
            unserved: wait.unserved,
            text: &wait.text,
        }
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn non_empty_chain(chain: &FailureChain) -> Option<&FailureChain> {
    (!chain.is_empty()).then_some(chain)
}

#[cfg(test)]
mod tests;
