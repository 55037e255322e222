//! Rows, and shares of the time, that follow from the events of a history.

use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::{EventType, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::{
        self as history, HistoryEvent, UpsertWorkflowSearchAttributesEventAttributes,
        history_event::Attributes,
    },
    update::v1::{Input, Request},
};

use super::*;

#[test]
fn the_shares_add_up_to_the_whole_duration_of_a_run() {
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
fn a_workflow_task_that_succeeds_after_failures_shows_how_long_they_took() {
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
fn the_time_before_a_reset_is_not_counted_as_work_or_retries() {
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
fn events_without_a_row_are_counted_and_so_are_unknown_ones() {
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
fn children_updates_signals_and_the_next_run_are_shown() {
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
fn a_history_without_its_start_event_gives_no_timeline() {
    let mut builder = Builder::default();
    builder.add(workflow_task_scheduled(2, 10, 1));
    assert!(builder.build("a-run", at(0)).is_none());
}
