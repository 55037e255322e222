//! What a running workflow waits for, which its history does not hold yet.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    enums::v1::{PendingActivityState, PendingWorkflowTaskState},
    failure::v1::Failure,
    workflow::v1::{PendingActivityInfo, PendingWorkflowTaskInfo},
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::*;
use crate::timeline::row::RowStatus;

/// A workflow task whose first attempt failed. The server reports that the third attempt has waited for
/// 2 s, or that a worker has had it for 1 s.
fn stuck(state: PendingWorkflowTaskState) -> Timeline {
    let mut timeline = build(failed_workflow_task(), at(5000));
    timeline.rows.iter_mut().for_each(|row| row.task_queue = "q".into());
    timeline.run.task_queue = "q".into();
    let description = DescribeWorkflowExecutionResponse {
        pending_workflow_task: Some(PendingWorkflowTaskInfo {
            state: state.into(),
            scheduled_time: Some(at(3000).into()),
            started_time: Some(at(4000).into()),
            attempt: 3,
            ..Default::default()
        }),
        ..Default::default()
    };
    timeline.add_pending(&description, Some(at(30)));
    timeline
}

#[test]
fn a_pending_workflow_task_shows_how_long_it_has_waited_and_its_last_failure() {
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
fn a_pending_activity_is_shown_as_the_server_describes_it() {
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
    for (description, phases, text) in [
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
        let pending_activities = vec![description];
        let description =
            DescribeWorkflowExecutionResponse { pending_activities, ..Default::default() };
        timeline.add_pending(&description, None);
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
fn a_run_with_nothing_pending_waits_for_an_event_from_outside() {
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
