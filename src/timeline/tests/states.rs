//! What holds a run back or up: its start, pauses, cancel requests, resets, and workflow tasks that are
//! repeated.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    common::v1::{ActivityType, Payload, Payloads},
    enums::v1::{ContinueAsNewInitiator, PendingActivityState, PendingWorkflowTaskState},
    history::v1::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskScheduledEventAttributes,
        WorkflowExecutionCancelRequestedEventAttributes, WorkflowExecutionCompletedEventAttributes,
    },
    workflow::v1::{
        PendingActivityInfo, PendingWorkflowTaskInfo, WorkflowExecutionExtendedInfo,
        WorkflowExecutionPauseInfo,
        pending_activity_info::{
            PauseInfo,
            pause_info::{Manual, PausedBy, Rule},
        },
    },
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::*;

fn failure(message: &str) -> Option<Failure> {
    Some(Failure { message: message.into(), ..Default::default() })
}

fn time<T: From<SystemTime>>(millis: u64) -> Option<T> {
    Some(at(millis).into())
}

/// The events of a run that is held back for two seconds.
fn held_back(started: WorkflowExecutionStartedEventAttributes) -> Vec<HistoryEvent> {
    let started = WorkflowExecutionStartedEventAttributes {
        first_workflow_task_backoff: Some(Duration::from_secs(2).try_into().unwrap()),
        ..started
    };
    let attributes = Attributes::WorkflowExecutionStartedEventAttributes(started);
    vec![event(1, 0, EventType::WorkflowExecutionStarted, attributes)]
}

#[test]
fn time_for_which_the_server_holds_a_run_back_has_a_row_with_its_reason() {
    let initiated = |initiator: ContinueAsNewInitiator| WorkflowExecutionStartedEventAttributes {
        initiator: initiator.into(),
        ..Default::default()
    };
    let cron = WorkflowExecutionStartedEventAttributes {
        cron_schedule: "0 * * * *".into(),
        ..Default::default()
    };
    for (started, reason) in [
        (initiated(ContinueAsNewInitiator::Unspecified), "start delay"),
        (initiated(ContinueAsNewInitiator::Retry), "retry backoff"),
        (initiated(ContinueAsNewInitiator::CronSchedule), "cron wait"),
        (initiated(ContinueAsNewInitiator::Workflow), "continue-as-new backoff"),
        (cron, "cron wait"),
    ] {
        let mut waiting = build(held_back(started.clone()), at(500));
        waiting.add_pending(&DescribeWorkflowExecutionResponse::default(), None);
        waiting.add_waits(&BTreeSet::new());
        let [wait] = &waiting.waits[..] else { panic!("{waiting:#?}") };
        assert_eq!(wait.text, format!("its start: in 1.50 s ({reason})"));

        let events = [
            held_back(started),
            vec![
                workflow_task_scheduled(2, 2000, 1),
                workflow_task_started(3, 2010),
                workflow_task_completed(4, 2020),
            ],
        ];
        let timeline = build(events.concat(), at(2020));
        let row = &timeline.rows[0];
        assert_eq!((row.label().as_str(), row.status), (reason, RowStatus::Completed));
        assert_eq!(row.duration(timeline.until), Some(Duration::from_secs(2)));
        let shares = timeline.shares();
        assert_eq!(shares[&Share::HeldBack], Duration::from_secs(2), "{shares:?}");
        assert_eq!(shares[&Share::Timers], Duration::ZERO, "{shares:?}");
        let lines = lines(&timeline);
        assert!(lines.iter().any(|line| line.ends_with("99 %  held back by the server")));
        assert!(lines.iter().any(|line| line.contains("┄ held back by the server")), "{lines:#?}");
    }
}

#[test]
fn a_signal_can_begin_a_delayed_run_early() {
    let events = [
        held_back(WorkflowExecutionStartedEventAttributes::default()),
        vec![workflow_task_scheduled(2, 700, 1)],
    ]
    .concat();
    let timeline = build(events, at(1000));
    let shares = timeline.shares();
    assert_eq!(shares[&Share::HeldBack].as_millis(), 700);
    assert_eq!(shares[&Share::Queues].as_millis(), 300);
}

#[test]
fn a_retried_run_shows_why_the_run_before_failed_and_a_cron_run_the_last_result() {
    let payload = |data: &str| Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: data.into(),
        ..Default::default()
    };
    let started = WorkflowExecutionStartedEventAttributes {
        attempt: 3,
        continued_failure: failure("disk full"),
        last_completion_result: Some(Payloads { payloads: vec![payload("\"42 rows\"")] }),
        cron_schedule: "@hourly".into(),
        continued_execution_run_id: "the-first".into(),
        ..Default::default()
    };
    let timeline = build(held_back(started), at(100));
    let lines = lines(&timeline);
    for expected in [
        "attempt 3 of the workflow",
        "cron schedule @hourly",
        "the run before failed: disk full",
        "the last result: 42 rows",
        "previous run: --run-id the-first",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
    }
    let json: serde_json::Value = serde_json::from_str(&json(&timeline, "a", "n")).unwrap();
    assert_eq!(json["continued_failure"], "disk full");
    assert_eq!(json["last_result"], "42 rows");
    assert_eq!(json["cron_schedule"], "@hourly");
}

/// The first workflow task ended, after it was running, with this cause.
fn ended_with(cause: WorkflowTaskFailedCause) -> HistoryEvent {
    let failed = WorkflowTaskFailedEventAttributes {
        scheduled_event_id: 2,
        cause: cause.into(),
        failure: failure("UnhandledCommand"),
        base_run_id: "the-base".into(),
        ..Default::default()
    };
    event(
        4,
        40,
        EventType::WorkflowTaskFailed,
        Attributes::WorkflowTaskFailedEventAttributes(failed),
    )
}

#[test]
fn a_workflow_task_that_is_repeated_without_a_fault_is_no_failed_attempt() {
    let events = [
        beginning(),
        vec![
            workflow_task_started(3, 20),
            ended_with(WorkflowTaskFailedCause::UnhandledCommand),
            workflow_task_scheduled(5, 41, 1),
            workflow_task_started(6, 50),
            workflow_task_completed(7, 60),
        ],
    ];
    let timeline = build(events.concat(), at(60));
    assert_eq!(timeline.rows[0].status, RowStatus::Repeated);
    let shares = timeline.shares();
    assert_eq!(shares[&Share::Retries], Duration::ZERO, "{shares:?}");
    assert_eq!(shares[&Share::WorkflowTasks].as_millis(), 30, "{shares:?}");
    let why = "  repeated: unhandled command, which is harmless: a signal or another event arrived \
               while it ran";
    assert!(lines(&timeline).iter().any(|line| line == why), "{:#?}", lines(&timeline));
    let coloured = text(&timeline, "a", "n", Layout { colour: Colour::On, ..STYLE });
    assert!(!coloured.contains("\u{1b}[31m"), "{coloured:?}");
}

#[test]
fn runs_before_and_after_a_reset_name_each_other() {
    let events = [
        beginning(),
        vec![workflow_task_started(3, 20), ended_with(WorkflowTaskFailedCause::ResetWorkflow)],
    ];
    let mut timeline = build(events.concat(), at(60));
    let workflow_extended_info = Some(WorkflowExecutionExtendedInfo {
        reset_run_id: "the-next".into(),
        ..Default::default()
    });
    let answer = DescribeWorkflowExecutionResponse { workflow_extended_info, ..Default::default() };
    timeline.add_pending(&answer, None);
    let lines = lines(&timeline);
    for expected in [
        "previous run: --run-id the-base, which was reset: this run repeats it up to there",
        "next run: --run-id the-next, with which a reset continued this one",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }
    let json: serde_json::Value = serde_json::from_str(&json(&timeline, "a", "n")).unwrap();
    assert_eq!(json["reset_from_run_id"], "the-base");
    assert_eq!(json["previous_run_id"], "the-base");
    assert_eq!(json["reset_to_run_id"], "the-next");
    assert_eq!(json["next_run_id"], "the-next");
}

/// A run with an activity since one second, whose cancellation was requested after two.
fn with_an_activity(answer: &DescribeWorkflowExecutionResponse) -> Timeline {
    let scheduled = ActivityTaskScheduledEventAttributes {
        activity_id: "1".into(),
        activity_type: Some(ActivityType { name: "A".into() }),
        ..Default::default()
    };
    let requested =
        ActivityTaskCancelRequestedEventAttributes { scheduled_event_id: 2, ..Default::default() };
    let cancel = WorkflowExecutionCancelRequestedEventAttributes::default();
    let events = vec![
        beginning().remove(0),
        event(
            2,
            1000,
            EventType::ActivityTaskScheduled,
            Attributes::ActivityTaskScheduledEventAttributes(scheduled),
        ),
        event(
            3,
            1500,
            EventType::WorkflowExecutionCancelRequested,
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(cancel),
        ),
        event(
            4,
            2000,
            EventType::ActivityTaskCancelRequested,
            Attributes::ActivityTaskCancelRequestedEventAttributes(requested),
        ),
    ];
    let mut timeline = build(events, at(5000));
    timeline.add_pending(answer, None);
    timeline.add_waits(&BTreeSet::new());
    timeline
}

fn pending(state: PendingActivityState) -> PendingActivityInfo {
    PendingActivityInfo {
        activity_id: "1".into(),
        state: state.into(),
        attempt: 1,
        last_started_time: time(1100),
        last_worker_identity: "w@host:1".into(),
        ..Default::default()
    }
}

#[test]
fn an_activity_that_ignores_its_cancel_request_or_is_paused_says_so() {
    let running = "activity A (id 1): running for 3.90 s in w@host:1, cancel requested 3.00 s ago";
    let manual =
        PausedBy::Manual(Manual { identity: "ops@desk".into(), reason: "maintenance".into() });
    let rule = PausedBy::Rule(Rule {
        rule_id: "no-mail".into(),
        identity: "ops@desk".into(),
        reason: "smtp is down".into(),
    });
    let paused = |state, by: PausedBy| PendingActivityInfo {
        paused: true,
        pause_info: Some(PauseInfo { pause_time: time(3000), paused_by: Some(by) }),
        ..pending(state)
    };
    for (answer, expected) in [
        (pending(PendingActivityState::CancelRequested), running.to_owned()),
        (
            paused(PendingActivityState::PauseRequested, manual.clone()),
            format!("{running}, paused 2.00 s ago by ops@desk: maintenance"),
        ),
        (
            paused(PendingActivityState::Paused, manual),
            "activity A (id 1): paused 2.00 s ago by ops@desk: maintenance, cancel requested 3.00 s ago"
                .to_owned(),
        ),
        (
            paused(PendingActivityState::Paused, rule),
            "activity A (id 1): paused 2.00 s ago by ops@desk by rule no-mail: smtp is down, cancel \
             requested 3.00 s ago"
                .to_owned(),
        ),
    ] {
        let pending_activities = vec![answer];
        let timeline = with_an_activity(&DescribeWorkflowExecutionResponse {
            pending_activities,
            ..Default::default()
        });
        assert_eq!(timeline.waits[0].text, expected);
        assert!(timeline.other.is_empty(), "{:?}", timeline.other);
        let title = &lines(&timeline)[0];
        assert!(title.ends_with("running for 5.00 s, cancel requested 3.50 s ago"), "{title}");
        let json: serde_json::Value = serde_json::from_str(&json(&timeline, "a", "n")).unwrap();
        assert!(json["cancel_requested"].is_string());
        let row = &json["rows"][0];
        assert!(row["cancel_requested"].is_string(), "{row}");
        if expected.contains("maintenance") {
            assert_eq!(row["pause"]["by"], "ops@desk");
            assert_eq!(row["pause"]["reason"], "maintenance");
        }
    }
}

#[test]
fn a_paused_workflow_says_who_paused_it_when_and_why() {
    let pause_info = Some(WorkflowExecutionPauseInfo {
        identity: "ops@desk".into(),
        paused_time: time(4000),
        reason: "a bad release".into(),
    });
    let workflow_extended_info =
        Some(WorkflowExecutionExtendedInfo { pause_info, ..Default::default() });
    let pending_workflow_task = Some(PendingWorkflowTaskInfo {
        state: PendingWorkflowTaskState::Scheduled.into(),
        ..Default::default()
    });
    let timeline = with_an_activity(&DescribeWorkflowExecutionResponse {
        workflow_extended_info,
        pending_workflow_task,
        ..Default::default()
    });
    assert_eq!(timeline.waits[0].text, "paused 1.00 s ago by ops@desk: a bad release");
    assert_eq!(timeline.run.status.as_str(), "paused");
}

#[test]
fn a_run_that_ended_before_its_start_by_the_servers_clocks_is_shown() {
    let mut events = beginning();
    let completed = Attributes::WorkflowExecutionCompletedEventAttributes(
        WorkflowExecutionCompletedEventAttributes::default(),
    );
    events.push(event(3, 0, EventType::WorkflowExecutionCompleted, completed));
    events[2].event_time = Some((at(0) - Duration::from_secs(1)).into());
    let timeline = build(events, at(0));
    assert_eq!(timeline.until, timeline.run.started);
    assert!(json(&timeline, "a", "n").contains("\"rows\""));
    assert!(text(&timeline, "a", "n", STYLE).contains("completed"));
}
