//! A timeline as JSON: the names are a promise, and docs/trace.md tells of them.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{
    account::{Share, Spread},
    model::{Kind, Phase, Row, Timeline, since},
};

fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}

/// In milliseconds, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// All of it, as one object on one line. `address` and `namespace` tell where it was read.
pub(crate) fn json(timeline: &Timeline, address: &str, namespace: &str) -> String {
    let run = &timeline.run;
    let rows = timeline.rows.iter().map(|it| row(it, timeline.until));
    let shares: Map<String, Value> = timeline
        .shares()
        .into_iter()
        .map(|(share, time)| (share_name(share).to_owned(), millis(time).into()))
        .collect();
    let stats: Map<String, Value> = timeline
        .stats()
        .into_iter()
        .map(|(kind, stats)| {
            let value = json!({
                "count": stats.count,
                "queue_wait_ms": stats.queue_wait.as_ref().map(spread),
                "execution_ms": stats.execution.as_ref().map(spread),
            });
            (kind.as_str().to_owned(), value)
        })
        .collect();
    let workers = timeline.workers().into_iter().map(|(identity, worker)| {
        json!({
            "identity": identity,
            "version": worker.version,
            "workflow_tasks": worker.workflow_tasks,
            "activities": worker.activities,
            "execution_ms": millis(worker.execution),
        })
    });
    let waits = timeline.waits.iter().map(|wait| {
        json!({
            "kind": wait.kind.map(Kind::as_str),
            "name": name(&wait.name),
            "id": name(&wait.id),
            "since": stamp(wait.since),
            "waiting_ms": millis(since(wait.since, timeline.until)),
            "unserved": wait.unserved,
            "text": wait.text,
        })
    });
    json!({
        "address": address,
        "namespace": namespace,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "workflow_type": run.workflow_type,
        "task_queue": run.task_queue,
        "status": run.status,
        "failure": run.failure,
        "started": stamp(run.started),
        "begins": run.begins.map(stamp),
        "closed": run.closed.map(stamp),
        "until": stamp(timeline.until),
        "duration_ms": millis(timeline.total()),
        "started_by": run.started_by,
        "summary": run.summary,
        "attempt": run.attempt,
        "parent": run.parent,
        "previous_run_id": run.previous_run,
        "next_run_id": run.next_run,
        "events": run.events,
        "rows": rows.collect::<Vec<_>>(),
        "time_ms": shares,
        "tasks": stats,
        "workers": workers.collect::<Vec<_>>(),
        "waits_for": waits.collect::<Vec<_>>(),
        "other_events": timeline.other,
    })
    .to_string()
}

fn row(row: &Row, until: SystemTime) -> Value {
    json!({
        "kind": row.kind.as_str(),
        "event_id": (row.event_id > 0).then_some(row.event_id),
        "name": name(&row.name),
        "id": name(&row.id),
        "summary": row.summary,
        "task_queue": name(&row.task_queue),
        "status": row.state.as_str(),
        "attempt": (row.attempt > 0).then_some(row.attempt),
        "scheduled": stamp(row.at),
        "queued": row.queued.map(stamp),
        "started": row.started.map(stamp),
        "ended": row.ended.map(stamp),
        "retries_ms": row.kind.is_task().then(|| {
            // Of this row's own attempt is known when it began.
            let began = row.queued.or(row.started).or(row.ended).unwrap_or(until);
            millis(since(row.at, began))
        }),
        "queue_wait_ms": row.time_in(Phase::Queue, until).map(millis),
        "execution_ms": row.run_time(until).filter(|_| row.kind.is_task()).map(millis),
        "duration_ms": millis(since(row.at, row.ended.unwrap_or(until))),
        "worker": name(&row.worker),
        "version": row.version,
        "failure": row.failure,
        "last_failure": row.last_failure,
        "due": row.due.map(stamp),
        "last_heartbeat": row.last_heartbeat.map(stamp),
    })
}

fn name(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn share_name(share: Share) -> &'static str {
    match share {
        Share::Activities => "activities",
        Share::WorkflowTasks => "workflow_tasks",
        Share::Queues => "queues",
        Share::Retries => "retries",
        Share::Timers => "timers",
        Share::Children => "children",
        Share::Nothing => "nothing",
    }
}

fn spread(it: &Spread) -> Value {
    json!({ "median": millis(it.median), "max": millis(it.max), "total": millis(it.total) })
}
