//! Nexus operations of a running workflow.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    enums::v1::PendingNexusOperationState,
    history::v1::{
        NexusOperationCancelRequestedEventAttributes, NexusOperationScheduledEventAttributes,
    },
    workflow::v1::{NexusOperationCancellationInfo, PendingNexusOperationInfo},
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use super::*;

fn failure(message: &str) -> Option<Failure> {
    Some(Failure { message: message.into(), ..Default::default() })
}

#[test]
fn a_pending_nexus_operation_shows_its_attempt_its_failure_and_why_it_is_blocked() {
    let scheduled = NexusOperationScheduledEventAttributes {
        endpoint: "e".into(),
        service: "s".into(),
        operation: "o".into(),
        ..Default::default()
    };
    let requested = NexusOperationCancelRequestedEventAttributes {
        scheduled_event_id: 2,
        ..Default::default()
    };
    let events = vec![
        beginning().remove(0),
        event(
            2,
            1000,
            EventType::NexusOperationScheduled,
            Attributes::NexusOperationScheduledEventAttributes(scheduled),
        ),
        event(
            3,
            2000,
            EventType::NexusOperationCancelRequested,
            Attributes::NexusOperationCancelRequestedEventAttributes(requested),
        ),
    ];
    let operation = |state: PendingNexusOperationState| PendingNexusOperationInfo {
        scheduled_event_id: 2,
        state: state.into(),
        attempt: 3,
        last_attempt_failure: failure("503"),
        ..Default::default()
    };
    for (answer, expected) in [
        (
            PendingNexusOperationInfo {
                next_attempt_schedule_time: Some(at(6500).into()),
                ..operation(PendingNexusOperationState::BackingOff)
            },
            "Nexus operation e/s.o, attempt 4: begins in 1.50 s, cancel requested 3.00 s ago; attempt 3 \
             failed: 503",
        ),
        (
            PendingNexusOperationInfo {
                blocked_reason: "circuit breaker".into(),
                ..operation(PendingNexusOperationState::Blocked)
            },
            "Nexus operation e/s.o, attempt 4: blocked for 4.00 s: circuit breaker, cancel requested \
             3.00 s ago; attempt 3 failed: 503",
        ),
        (
            PendingNexusOperationInfo {
                last_attempt_failure: None,
                attempt: 1,
                cancellation_info: Some(NexusOperationCancellationInfo {
                    last_attempt_failure: failure("404"),
                    ..Default::default()
                }),
                ..operation(PendingNexusOperationState::Started)
            },
            "Nexus operation e/s.o: for 4.00 s, cancel requested 3.00 s ago, which failed: 404",
        ),
    ] {
        let mut timeline = build(events.clone(), at(5000));
        timeline.add_pending(
            &DescribeWorkflowExecutionResponse {
                pending_nexus_operations: vec![answer],
                ..Default::default()
            },
            None,
        );
        timeline.add_waits(&BTreeSet::new());
        assert_eq!(timeline.waits[0].text, expected);
    }
}
