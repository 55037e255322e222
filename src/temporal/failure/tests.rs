//! Failures of every SDK, as text and as JSON.

use temporalio_common::protos::temporal::api::{
    common::v1::{ActivityType, WorkflowExecution, WorkflowType},
    failure::v1::{
        ActivityFailureInfo, ApplicationFailureInfo, CanceledFailureInfo,
        ChildWorkflowExecutionFailureInfo, NexusHandlerFailureInfo, NexusOperationFailureInfo,
        ServerFailureInfo, TerminatedFailureInfo, TimeoutFailureInfo,
    },
};

use super::*;
use crate::temporal::payload::from_json;

fn failure(message: &str, info: FailureInfo) -> Failure {
    Failure { message: message.into(), failure_info: Some(info), ..Failure::default() }
}

fn application(of_type: &str, message: &str, details: &[&str]) -> Failure {
    let details = details.iter().map(|json| from_json(json)).collect();
    let info = ApplicationFailureInfo {
        r#type: of_type.into(),
        details: Some(Payloads { payloads: details }),
        ..ApplicationFailureInfo::default()
    };
    failure(message, FailureInfo::ApplicationFailureInfo(info))
}

fn timeout(of_type: TimeoutType, message: &str) -> Failure {
    let info = TimeoutFailureInfo { timeout_type: of_type.into(), ..TimeoutFailureInfo::default() };
    failure(message, FailureInfo::TimeoutFailureInfo(info))
}

fn activity(name: &str, state: RetryState) -> Failure {
    let info = ActivityFailureInfo {
        activity_type: Some(ActivityType { name: name.into() }),
        activity_id: "7".into(),
        retry_state: state.into(),
        ..ActivityFailureInfo::default()
    };
    failure("Activity task failed", FailureInfo::ActivityFailureInfo(info))
}

fn child(name: &str, id: &str) -> Failure {
    let execution = WorkflowExecution { workflow_id: id.into(), ..WorkflowExecution::default() };
    let info = ChildWorkflowExecutionFailureInfo {
        workflow_type: Some(WorkflowType { name: name.into() }),
        workflow_execution: Some(execution),
        ..ChildWorkflowExecutionFailureInfo::default()
    };
    failure("child failed", FailureInfo::ChildWorkflowExecutionFailureInfo(info))
}

/// The first failure, caused by the second one, and so on.
fn chain(failures: impl IntoIterator<Item = Failure>) -> FailureChain {
    let mut failures: Vec<_> = failures.into_iter().collect();
    let mut whole = failures.pop().unwrap();
    while let Some(outer) = failures.pop() {
        whole = Failure { cause: Some(Box::new(whole)), ..outer };
    }
    FailureChain::of(Some(&whole))
}

#[test]
fn a_failure_is_its_type_and_its_message_or_whichever_there_is() {
    let terminated = FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo::default());
    let cancelled = FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default());
    let server = FailureInfo::ServerFailureInfo(ServerFailureInfo::default());
    let handler = |message: &str| {
        let info = NexusHandlerFailureInfo { r#type: "INTERNAL".into(), ..Default::default() };
        failure(message, FailureInfo::NexusHandlerFailureInfo(info))
    };
    for (failure, text) in [
        (application("KeyError", "'customer_id'", &[]), "KeyError: 'customer_id'"),
        (application("OutOfStock", "", &[]), "OutOfStock"),
        (application("", "no stock", &[]), "no stock"),
        (application("IOError", "IOError: disk full", &[]), "IOError: disk full"),
        (application("IO", "IOError: disk full", &[]), "IO: IOError: disk full"),
        (
            application("OutOfStock", "bad order", &[r#"{"order":"A-17"}"#, "3"]),
            r#"OutOfStock: bad order (details: {"order":"A-17"}, 3)"#,
        ),
        (application("", "", &[r#""gr\u00f6\u00dfe""#]), r#"(details: "größe")"#),
        (
            timeout(TimeoutType::Heartbeat, "activity Heartbeat timeout"),
            "activity Heartbeat timeout",
        ),
        (timeout(TimeoutType::StartToClose, "START_TO_CLOSE"), "START_TO_CLOSE"),
        (timeout(TimeoutType::StartToClose, ""), "StartToClose timeout"),
        (timeout(TimeoutType::StartToClose, "too slow"), "StartToClose timeout: too slow"),
        (failure("", terminated), "terminated"),
        (failure("", cancelled), "cancelled"),
        (failure("", server), "a failure of the server"),
        (handler("handler error (INTERNAL): x"), "handler error (INTERNAL): x"),
        (handler("x"), "INTERNAL: x"),
        (Failure { message: "plain".into(), ..Failure::default() }, "plain"),
        (Failure::default(), "a failure without a type or a message"),
    ] {
        assert_eq!(chain([failure]).text(), text);
    }
}

#[test]
fn causes_follow_to_the_root_and_wrappers_are_named_by_what_failed() {
    let nexus = NexusOperationFailureInfo {
        endpoint: "pay".into(),
        service: "Pay".into(),
        operation: "charge".into(),
        ..NexusOperationFailureInfo::default()
    };
    let nexus = failure("unsuccessful", FailureInfo::NexusOperationExecutionFailureInfo(nexus));
    for (failures, text) in [
        (
            vec![
                child("Order", "o-1"),
                activity("Charge", RetryState::NonRetryableFailure),
                application("CardError", "stolen", &[]),
            ],
            "child workflow Order: activity Charge: CardError: stolen",
        ),
        (
            vec![activity("Charge", RetryState::MaximumAttemptsReached), application("E", "", &[])],
            "activity Charge (maximum attempts reached): E",
        ),
        (
            vec![activity("Charge", RetryState::Timeout)],
            "activity Charge (no time left for retries): Activity task failed",
        ),
        (
            vec![activity("Charge", RetryState::Unspecified), Failure::default()],
            "activity Charge: Activity task failed",
        ),
        (
            vec![nexus, application("DbError", "down", &[])],
            "Nexus operation pay/Pay.charge: DbError: down",
        ),
        (vec![application("E", "same", &[]), application("E", "same", &[])], "E: same"),
    ] {
        assert_eq!(chain(failures).text(), text);
    }
}

#[test]
fn a_long_chain_shows_its_first_and_its_last_part() {
    let layers = (0..60).rev().map(|layer| application("E", &format!("layer {layer}"), &[]));
    let long = chain(layers.chain([application("IOError", "root cause: disk full", &[])]));
    let short = long.short(100);
    assert!(text::width(&short) <= 100, "{short}");
    assert!(short.starts_with("E: layer 59: E: layer 58: "), "{short}");
    assert!(short.contains(" more …: E: layer "), "{short}");
    assert!(short.ends_with(": E: layer 0: IOError: root cause: disk full"), "{short}");
    assert!(long.text().contains("E: layer 30: "), "the text has all of it");
    assert_eq!(long.short(10_000), long.text());

    let wide = format!("{} REAL REASON: disk full", "E".repeat(5000));
    let wide = chain([activity("Save", RetryState::Unspecified), application("X", &wide, &[])]);
    let short = wide.short(200);
    assert!(text::width(&short) <= 200, "{short}");
    assert!(short.starts_with("activity Save: X: EEE"), "{short}");
    assert!(short.ends_with("REAL REASON: disk full"), "{short}");
}

#[test]
fn a_cause_between_is_cut_to_the_room_that_is_left_and_not_left_out() {
    let long = |word: &str| format!("{} {word}", "x".repeat(900));
    let (middle, root) = (long("middle"), long("root"));
    let chain = chain([
        activity("Charge", RetryState::Unspecified),
        application("A", &middle, &[]),
        application("B", &root, &[]),
    ]);
    let short = chain.short(1000);
    assert!(text::width(&short) <= 1000, "{short}");
    assert!(short.starts_with("activity Charge: A: xxx"), "{short}");
    assert!(short.contains("xxx middle: B: xxx"), "{short}");
    assert!(short.ends_with("xxx root"), "{short}");
}

#[test]
fn a_type_is_left_out_only_where_the_message_begins_with_it_as_a_type() {
    for (name, message, text) in [
        ("Order", "Order not found", "Order: Order not found"),
        ("java.io.IOException", "java.io.IOException: full", "java.io.IOException: full"),
        ("Timeout", "Timeout", "Timeout"),
        ("OutOfStock", "  \n", "OutOfStock"),
    ] {
        assert_eq!(chain([application(name, message, &[])]).text(), text);
    }
}

#[test]
fn large_details_are_counted_in_the_text_and_whole_elsewhere() {
    let large = format!("{:?}", "x".repeat(1000));
    let chain = chain([application("E", "m", &[&large])]);
    assert_eq!(chain.text(), "E: m (details: 1002 bytes)");
    assert_eq!(chain.text_without_details(), "E: m");
    assert_eq!(chain.attachments(), [("details of E".to_owned(), vec![large.clone()])]);
    assert!(serde_json::to_string(&chain).unwrap().contains(&large));
}

#[test]
fn stack_traces_are_attached_line_by_line_and_neutralised() {
    let mut inner = application("IOError", "disk full", &[]);
    inner.stack_trace = "  File \"a.py\", line 3\n\tsave()\u{1b}[31m\n".into();
    let chain = chain([activity("Save", RetryState::Unspecified), inner]);
    let lines = ["  File \"a.py\", line 3", "    save() [31m"].map(str::to_owned).to_vec();
    assert_eq!(chain.attachments(), [("stack trace of IOError".to_owned(), lines)]);
}

#[test]
fn the_json_of_a_chain_has_what_is_known_of_each_failure() {
    let big = "12345678901234567890123";
    let mut inner = application("IOError", "disk full", &[big]);
    inner.stack_trace = "at a".into();
    inner.source = "GoSDK".into();
    let chain = chain([activity("Save", RetryState::MaximumAttemptsReached), inner]);
    assert_eq!(
        serde_json::to_string(&chain).unwrap(),
        format!(
            "{}{}{}",
            r#"[{"kind":"activity","type":"Save","message":"Activity task failed","#,
            r#""retry_state":"maximum attempts reached","id":"7"},"#,
            format_args!(
                r#"{{"kind":"application","type":"IOError","message":"disk full","details":[{big}],"stack_trace":"at a","source":"GoSDK"}}]"#
            )
        )
    );
}

#[test]
fn encoded_attributes_are_read_or_marked() {
    let mut encoded = application("E", "Encoded failure", &[]);
    encoded.encoded_attributes = Some(from_json(r#"{"message":"m","stack_trace":"at a"}"#));
    assert_eq!(chain([encoded.clone()]).text(), "E: m");
    assert_eq!(chain([encoded.clone()]).attachments().len(), 1);
    let attributes = encoded.encoded_attributes.as_mut().unwrap();
    attributes.metadata.insert("encoding".into(), b"binary/encrypted".to_vec());
    assert_eq!(chain([encoded]).text(), "E: Encoded failure <36 bytes, binary/encrypted>");
}
