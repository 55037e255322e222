//! Timelines of recorded histories, without a server.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::{
        EventType, PendingActivityState, PendingWorkflowTaskState, WorkflowTaskFailedCause,
    },
    failure::v1::Failure,
    history::v1::{
        self as history, History, HistoryEvent, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowExecutionStartedEventAttributes, WorkflowTaskCompletedEventAttributes,
        WorkflowTaskFailedEventAttributes, WorkflowTaskScheduledEventAttributes,
        WorkflowTaskStartedEventAttributes, history_event::Attributes,
    },
    update::v1::{Input, Request},
    workflow::v1::{PendingActivityInfo, PendingWorkflowTaskInfo},
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::{
    events::Builder,
    row::{Row, RowStatus, since},
    totals::Share,
    *,
};
use crate::{temporal::task_queue::TaskKind, terminal::style::Colour};

const RETRIED: &str = include_str!("histories/retried.json");
const KILLED_WORKER: &str = include_str!("histories/killed_worker.json");

const STYLE: Layout = Layout { width: 100, colour: Colour::Off, most_rows: 200 };

fn events(json: &str) -> Vec<HistoryEvent> {
    serde_json::from_str::<History>(json).unwrap().events
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(millis)
}

fn build(events: Vec<HistoryEvent>, now: SystemTime) -> Timeline {
    let mut builder = Builder::default();
    for event in events {
        builder.add(event);
    }
    builder.build("a-run", now).unwrap()
}

fn recorded(json: &str) -> Timeline {
    build(events(json), at(0))
}

fn event(id: i64, millis: u64, of_type: EventType, attributes: Attributes) -> HistoryEvent {
    HistoryEvent {
        event_id: id,
        event_time: Some(at(millis).into()),
        event_type: of_type.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}

/// A run's start and its first workflow task, which is scheduled after 10 ms.
fn beginning() -> Vec<HistoryEvent> {
    let started = WorkflowExecutionStartedEventAttributes::default();
    vec![
        event(
            1,
            0,
            EventType::WorkflowExecutionStarted,
            Attributes::WorkflowExecutionStartedEventAttributes(started),
        ),
        workflow_task_scheduled(2, 10, 1),
    ]
}

fn workflow_task_scheduled(id: i64, millis: u64, attempt: i32) -> HistoryEvent {
    let scheduled = WorkflowTaskScheduledEventAttributes { attempt, ..Default::default() };
    let attributes = Attributes::WorkflowTaskScheduledEventAttributes(scheduled);
    event(id, millis, EventType::WorkflowTaskScheduled, attributes)
}

fn workflow_task_started(id: i64, millis: u64) -> HistoryEvent {
    let started = WorkflowTaskStartedEventAttributes {
        scheduled_event_id: id - 1,
        identity: "worker@host:1".into(),
        ..Default::default()
    };
    let attributes = Attributes::WorkflowTaskStartedEventAttributes(started);
    event(id, millis, EventType::WorkflowTaskStarted, attributes)
}

fn workflow_task_completed(id: i64, millis: u64) -> HistoryEvent {
    let completed =
        WorkflowTaskCompletedEventAttributes { scheduled_event_id: id - 2, ..Default::default() };
    let attributes = Attributes::WorkflowTaskCompletedEventAttributes(completed);
    event(id, millis, EventType::WorkflowTaskCompleted, attributes)
}

/// The first workflow task fails after 30 ms.
fn failed_workflow_task() -> Vec<HistoryEvent> {
    let failed = WorkflowTaskFailedEventAttributes {
        scheduled_event_id: 2,
        cause: WorkflowTaskFailedCause::NonDeterministicError.into(),
        failure: Some(Failure { message: "no such timer".into(), ..Default::default() }),
        ..Default::default()
    };
    let attributes = Attributes::WorkflowTaskFailedEventAttributes(failed);
    let failed = event(4, 30, EventType::WorkflowTaskFailed, attributes);
    [beginning(), vec![workflow_task_started(3, 20), failed]].concat()
}

fn lines(timeline: &Timeline) -> Vec<String> {
    text(timeline, "http://a:1", "default", STYLE).lines().map(Into::into).collect()
}

#[test]
fn a_recorded_history_is_drawn_as_it_was() {
    let expected: Vec<_> = include_str!("histories/retried.txt").lines().collect();
    assert_eq!(lines(&recorded(RETRIED)), expected);
}

#[test]
fn a_killed_workflow_worker_shows_as_a_task_that_timed_out_in_its_queue() {
    let expected: Vec<_> = include_str!("histories/killed_worker.txt").lines().collect();
    assert_eq!(lines(&recorded(KILLED_WORKER)), expected);
}

#[test]
fn the_shares_of_a_runs_time_are_all_of_it() {
    for json in [RETRIED, KILLED_WORKER] {
        let timeline = recorded(json);
        let shares = timeline.shares();
        assert_eq!(shares.values().sum::<Duration>(), timeline.total());
        assert!(shares.values().filter(|time| !time.is_zero()).count() >= 4, "{shares:?}");
    }
    let shares = recorded(KILLED_WORKER).shares();
    let seconds = |share| shares[&share].as_secs_f64();
    assert!((10.0..10.1).contains(&seconds(Share::Queues)), "{shares:?}");
    assert!((2.9..3.1).contains(&seconds(Share::Timers)), "{shares:?}");
}

#[test]
fn an_activity_that_was_retried_has_no_queue_wait_and_tells_how_long_its_earlier_attempts_took() {
    let json: Value = serde_json::from_str(&json(&recorded(RETRIED), "a", "n")).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let activities: Vec<_> = rows.iter().filter(|row| row["kind"] == "activity").collect();
    let charge = activities[0];
    assert_eq!(charge["name"], "Warehouse::charge");
    assert_eq!((&charge["attempt"], &charge["queue_wait_ms"]), (&2.into(), &Value::Null));
    assert_eq!(charge["last_failure"], "the card network is busy");
    assert_eq!((&charge["failure"], &charge["status"]), (&Value::Null, &"completed".into()));
    assert_eq!(charge["scheduled"], "2026-11-24T02:08:09.128581Z");
    assert_eq!((&charge["execution_ms"], &charge["retries_ms"]), (&7.479.into(), &1004.01.into()));
    let pack = activities[1];
    assert_eq!((&pack["attempt"], &pack["retries_ms"]), (&1.into(), &0.0.into()));
    assert_eq!((&pack["queue_wait_ms"], &pack["execution_ms"]), (&3.012.into(), &611.001.into()));
    assert_eq!(json["status"], "completed");
    assert_eq!(json["duration_ms"], 2892.876);
    assert_eq!(json["time_ms"]["timers"], 1202.858);
}

#[test]
fn a_workflow_task_that_succeeds_at_last_tells_how_long_its_attempts_failed() {
    let later = vec![
        workflow_task_scheduled(5, 5000, 4),
        workflow_task_started(6, 5020),
        workflow_task_completed(7, 5050),
    ];
    let timeline = build([failed_workflow_task(), later].concat(), at(5050));
    let [first, last] = &timeline.rows[..] else { panic!("{timeline:#?}") };
    let why = "non deterministic error: no such timer";
    assert_eq!((first.status, first.failure.as_deref()), (RowStatus::Failed, Some(why)));
    assert_eq!(last.attempt, 4);
    let time = |phase| last.time_in(phase, timeline.until).unwrap().as_millis();
    assert_eq!((time(Phase::Retries), time(Phase::Queue), time(Phase::Run)), (4970, 20, 30));
    let lines = lines(&timeline);
    let note = "  attempt 4; attempts 2 to 3 are not in the history";
    assert!(lines.iter().any(|line| line == note), "{lines:#?}");
}

#[test]
fn the_time_before_a_reset_is_nobodys() {
    let mut events = failed_workflow_task();
    let Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) = &mut events[3].attributes
    else {
        panic!("{events:#?}")
    };
    failed.cause = WorkflowTaskFailedCause::ResetWorkflow.into();
    events[3].event_time = Some(at(60_000).into());
    events.extend([
        workflow_task_scheduled(5, 60_000, 1),
        workflow_task_started(6, 60_005),
        workflow_task_completed(7, 60_010),
    ]);
    let timeline = build(events, at(60_010));
    let why = timeline.rows[0].failure.as_deref();
    assert_eq!(why, Some("reset workflow: no such timer"));
    let shares = timeline.shares();
    let millis = |share| shares[&share].as_millis();
    assert_eq!((millis(Share::Retries), millis(Share::WorkflowTasks)), (0, 5));
    assert_eq!((millis(Share::Queues), millis(Share::Nothing)), (15, 59_990));
}

#[test]
fn an_event_that_no_row_tells_of_is_counted_and_an_unknown_one_too() {
    let unknown = HistoryEvent { event_id: 3, event_type: 4711, ..Default::default() };
    let upsert = event(
        4,
        12,
        EventType::UpsertWorkflowSearchAttributes,
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(
            UpsertWorkflowSearchAttributesEventAttributes::default(),
        ),
    );
    let mut orphan = workflow_task_completed(900, 13);
    orphan.event_time = None;
    let timeline = build([beginning(), vec![unknown, upsert, orphan]].concat(), at(20));
    assert_eq!(timeline.rows.len(), 1);
    assert_eq!(timeline.run.events, 5);
    let not_shown = "not shown: 1 unknown, 1 upsert workflow search attributes";
    assert_eq!(lines(&timeline).last().unwrap(), not_shown);
}

/// Events by their attributes, a second apart, as the first of a run.
macro_rules! history {
    ($($kind:ident $attributes:ident { $($field:ident: $value:expr),* $(,)? }),* $(,)?) => {{
        let mut events = beginning()[..1].to_vec();
        $(
            let id = i64::try_from(events.len()).unwrap() + 1;
            let attributes = history::$attributes { $($field: $value,)* ..Default::default() };
            let millis = u64::try_from(id).unwrap() * 1000 - 1000;
            events.push(event(id, millis, EventType::$kind, Attributes::$attributes(attributes)));
        )*
        events
    }};
}

#[test]
fn children_updates_signals_and_what_follows_a_run_have_their_rows() {
    let workflow_id =
        |id: &str| Some(WorkflowExecution { workflow_id: id.into(), ..Default::default() });
    let update = Request {
        input: Some(Input { name: "add_item".into(), ..Default::default() }),
        ..Default::default()
    };
    let timeline = build(
        history![
            StartChildWorkflowExecutionInitiated StartChildWorkflowExecutionInitiatedEventAttributes {
                workflow_id: "a-child".into(),
                workflow_type: Some(WorkflowType { name: "Child".into() }),
            },
            WorkflowExecutionUpdateAccepted WorkflowExecutionUpdateAcceptedEventAttributes {
                accepted_request: Some(update),
            },
            ChildWorkflowExecutionStarted ChildWorkflowExecutionStartedEventAttributes {
                initiated_event_id: 2,
            },
            NexusOperationScheduled NexusOperationScheduledEventAttributes {
                endpoint: "e".into(), service: "s".into(), operation: "o".into(),
            },
            WorkflowExecutionUpdateCompleted WorkflowExecutionUpdateCompletedEventAttributes {
                accepted_event_id: 3,
            },
            SignalExternalWorkflowExecutionInitiated
                SignalExternalWorkflowExecutionInitiatedEventAttributes {
                    workflow_execution: workflow_id("other"), signal_name: "go".into(),
                },
            SignalExternalWorkflowExecutionFailed
                SignalExternalWorkflowExecutionFailedEventAttributes {
                    initiated_event_id: 7, cause: 1,
                },
            NexusOperationTimedOut NexusOperationTimedOutEventAttributes { scheduled_event_id: 5 },
            ChildWorkflowExecutionFailed ChildWorkflowExecutionFailedEventAttributes {
                initiated_event_id: 2,
                failure: Some(Failure { message: "no tea".into(), ..Default::default() }),
            },
            WorkflowExecutionContinuedAsNew WorkflowExecutionContinuedAsNewEventAttributes {
                new_execution_run_id: "the-next".into(),
            },
        ],
        at(0),
    );
    let rows: Vec<_> = timeline
        .rows
        .iter()
        .map(|row| {
            let took = since(row.at, row.ended.unwrap()).as_secs();
            let why = row.failure.as_deref().unwrap_or("-");
            format!("{}, {took} s, {}, {why}", row.label(), row.status.as_str())
        })
        .collect();
    assert_eq!(
        rows,
        [
            "child workflow Child a-child, 8 s, failed, no tea",
            "update add_item, 3 s, completed, -",
            "Nexus operation e/s.o, 4 s, timed out, -",
            "signal go to other, 1 s, failed, external workflow execution not found",
        ]
    );
    assert_eq!(timeline.other.values().sum::<usize>(), 0, "{:?}", timeline.other);
    assert_eq!(timeline.run.status.as_str(), "continued as new");
    assert_eq!(timeline.shares()[&Share::Children].as_secs(), 8);
    let lines = lines(&timeline);
    assert!(lines.iter().any(|line| line == "next run: --run-id the-next"), "{lines:#?}");
}

#[test]
fn a_history_without_its_beginning_is_no_timeline() {
    let mut builder = Builder::default();
    builder.add(workflow_task_scheduled(2, 10, 1));
    assert!(builder.build("a-run", at(0)).is_none());
}

/// A workflow task whose first attempt failed; the server says that the third waits since 2 s, or that
/// a worker has it since 1 s.
fn stuck(state: PendingWorkflowTaskState) -> Timeline {
    let mut timeline = build(failed_workflow_task(), at(5000));
    timeline.rows.iter_mut().for_each(|row| row.task_queue = "q".into());
    timeline.run.task_queue = "q".into();
    let told = DescribeWorkflowExecutionResponse {
        pending_workflow_task: Some(PendingWorkflowTaskInfo {
            state: state.into(),
            scheduled_time: Some(at(3000).into()),
            started_time: Some(at(4000).into()),
            attempt: 3,
            ..Default::default()
        }),
        ..Default::default()
    };
    timeline.add_pending(&told, Some(at(30)));
    timeline
}

#[test]
fn a_pending_workflow_task_says_since_when_it_waits_and_why_it_is_tried_again() {
    let mut timeline = stuck(PendingWorkflowTaskState::Scheduled);
    assert_eq!(timeline.queues(), [(TaskKind::Workflow, "q".to_owned())].into());
    timeline.add_waits(&timeline.queues());
    let row = timeline.rows.last().unwrap();
    let time = |phase| row.time_in(phase, timeline.until).unwrap().as_millis();
    assert_eq!((time(Phase::Retries), time(Phase::Queue)), (2970, 2000));
    let [wait] = &timeline.waits[..] else { panic!("{timeline:#?}") };
    assert!(wait.unserved);
    assert_eq!(wait.since, at(3000));
    assert_eq!(
        wait.text,
        "workflow task, attempt 3: in queue \"q\" for 2.00 s, and no worker polls it; attempt 1 \
         failed: non deterministic error: no such timer"
    );
    let mut served = stuck(PendingWorkflowTaskState::Scheduled);
    served.add_waits(&BTreeSet::new());
    assert!(!served.waits[0].unserved);

    let mut taken = stuck(PendingWorkflowTaskState::Started);
    taken.add_waits(&BTreeSet::new());
    let text = "workflow task, attempt 3: running for 1.00 s, or failed again, which shows only when \
                it times out; attempt 1 failed: ";
    assert!(taken.waits[0].text.starts_with(text), "{}", taken.waits[0].text);
}

fn pending_activity(state: PendingActivityState, attempt: i32) -> PendingActivityInfo {
    PendingActivityInfo {
        activity_id: "1".into(),
        state: state.into(),
        attempt,
        last_worker_identity: "w@host:1".into(),
        ..Default::default()
    }
}

#[test]
fn a_pending_activity_is_told_as_the_server_tells_it() {
    use PendingActivityState::{Scheduled, Started};
    let until = at(10_000);
    let busy = || Some(Failure { message: "busy".into(), ..Default::default() });
    let time = |millis| Some(at(millis).into());
    let queued = PendingActivityInfo {
        scheduled_time: time(1000),
        last_worker_identity: String::new(),
        ..pending_activity(Scheduled, 1)
    };
    let running = PendingActivityInfo {
        last_started_time: time(4000),
        last_heartbeat_time: time(9000),
        last_failure: busy(),
        ..pending_activity(Started, 2)
    };
    let backing_off = PendingActivityInfo {
        scheduled_time: time(13_000),
        last_failure: busy(),
        ..pending_activity(Scheduled, 3)
    };
    let queued_again =
        PendingActivityInfo { scheduled_time: time(9500), ..pending_activity(Scheduled, 2) };
    let paused = PendingActivityInfo { paused: true, ..pending_activity(Scheduled, 2) };
    let label = "activity A (id 1)";
    for (told, phases, text) in [
        (queued, "queue 9000", format!("{label}: in queue \"q\" for 9.00 s")),
        (
            running,
            "retries 3000, run 6000",
            format!(
                "{label}, attempt 2: running for 6.00 s in w@host:1, last heartbeat 1.00 s ago; \
                 attempt 1 failed: busy"
            ),
        ),
        (
            backing_off,
            "retries 9000",
            format!("{label}, attempt 3: begins in 3.00 s; attempt 2 failed: busy"),
        ),
        (
            queued_again,
            "retries 8500, queue 500",
            format!("{label}, attempt 2: in queue \"q\" for 500 ms"),
        ),
        (paused, "retries 9000", format!("{label}, attempt 2: paused, after 9.00 s")),
    ] {
        let mut timeline = build(beginning()[..1].to_vec(), until);
        let mut row = Row::new(Kind::Activity, 5, at(1000));
        row.queued = Some(at(1000));
        row.status = RowStatus::Queued;
        (row.name, row.id, row.task_queue) = ("A".into(), "1".into(), "q".into());
        timeline.rows.push(row);
        let pending_activities = vec![told];
        let told = DescribeWorkflowExecutionResponse { pending_activities, ..Default::default() };
        timeline.add_pending(&told, None);
        timeline.add_waits(&BTreeSet::new());
        assert_eq!(timeline.waits.len(), 1);
        assert_eq!(timeline.waits[0].text, text);
        let found: Vec<_> = timeline.rows[0]
            .phases(until)
            .into_iter()
            .map(|(phase, from, to)| {
                format!("{phase:?} {}", since(from, to).as_millis()).to_lowercase()
            })
            .collect();
        assert_eq!(found.join(", "), phases);
    }
}

#[test]
fn a_run_with_nothing_pending_says_that_it_waits_for_something_from_outside() {
    let events =
        [beginning(), vec![workflow_task_started(3, 20), workflow_task_completed(4, 30)]].concat();
    let mut timeline = build(events, at(1030));
    timeline.add_pending(&DescribeWorkflowExecutionResponse::default(), None);
    timeline.add_waits(&BTreeSet::new());
    let [wait] = &timeline.waits[..] else { panic!("{timeline:#?}") };
    assert!(wait.text.contains("a signal, an update"), "{wait:?}");
    assert_eq!(wait.since, at(30));
    assert_eq!(timeline.shares()[&Share::Nothing].as_millis(), 1010);
}

#[test]
fn of_very_many_rows_the_text_shows_the_ends_and_what_went_wrong_and_says_what_it_leaves_out() {
    let mut timeline = build(beginning()[..1].to_vec(), at(10_000));
    for index in 0..1000 {
        let mut row = Row::new(Kind::Activity, 2 + index, at(u64::try_from(index).unwrap() * 10));
        row.queued = Some(row.at);
        row.started = Some(row.at + Duration::from_millis(1));
        row.ended = Some(row.at + Duration::from_millis(2));
        row.status = if index == 500 { RowStatus::Failed } else { RowStatus::Completed };
        row.failure = (index == 500).then(|| "out of \u{1b}[31mtea".to_owned());
        row.name = format!("A{index}");
        timeline.rows.push(row);
    }
    let style = Layout { most_rows: 20, ..STYLE };
    let printed = text(&timeline, "a", "n", style);
    assert_eq!(printed.lines().filter(|line| line.starts_with("activity A")).count(), 20);
    for name in
        ["activity A0 ", "activity A4 ", "activity A500 ", "activity A995 ", "activity A999 "]
    {
        assert!(printed.contains(name), "{name}: {printed}");
    }
    assert!(printed.contains("\n  failed: out of  [31mtea\n"), "{printed:?}");
    let folded: usize = printed
        .lines()
        .filter_map(|line| line.strip_prefix("… ")?.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(folded, 980, "{printed}");
    let all = text(&timeline, "a", "n", Layout { most_rows: usize::MAX, ..STYLE });
    assert_eq!(all.lines().filter(|line| line.starts_with("activity A")).count(), 1000);
}

#[test]
fn colour_is_only_where_it_is_asked_for_and_lines_keep_to_the_width() {
    let timeline = recorded(RETRIED);
    for width in [60, 80, 100, 140] {
        let plain = text(&timeline, "a", "n", Layout { width, ..STYLE });
        let bars = plain.lines().filter(|line| line.contains(['█', '━', '─']));
        let longest = bars.map(|line| line.chars().count()).max().unwrap();
        assert_eq!(longest, width, "{plain}");
        assert!(!plain.contains('\u{1b}'));
        let colour = text(&timeline, "a", "n", Layout { width, colour: Colour::On, ..STYLE });
        assert!(colour.contains("\u{1b}[32m█"), "{colour:?}");
    }
}
