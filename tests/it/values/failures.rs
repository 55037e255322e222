//! Failures of every SDK: type, message and causes down to the root, and their stack traces.

use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        CancelWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
        ScheduleActivityTaskCommandAttributes, command::Attributes,
    },
    common::v1::{ActivityType, Payloads, RetryPolicy},
    enums::v1::{CommandType, RetryState},
    failure::v1::{ActivityFailureInfo, Failure, TerminatedFailureInfo, failure::FailureInfo},
};

use super::{
    Answer, answer_workflow_tasks, application, caused_by, command, fail_activity, payload,
    task_queue,
};
use crate::{
    server::{self, pending_activities, the_workflow},
    support::{Process, World, eventually, run},
};

fn fail(failure: Failure) -> Answer {
    let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(failure) };
    Answer::Commands(vec![command(
        CommandType::FailWorkflowExecution,
        Attributes::FailWorkflowExecutionCommandAttributes(attributes),
    )])
}

fn activity(name: &str, state: RetryState) -> Failure {
    let info = ActivityFailureInfo {
        activity_type: Some(ActivityType { name: name.to_owned() }),
        retry_state: state.into(),
        ..Default::default()
    };
    Failure {
        message: "Activity task failed".to_owned(),
        failure_info: Some(FailureInfo::ActivityFailureInfo(info)),
        ..Default::default()
    }
}

/// What was printed of a workflow that ended with this answer.
struct Printed {
    /// The starter's line on stderr, without the workflow's id.
    line: String,
    /// The starter's JSON.
    json: Value,
    /// What `trace` prints, with `--all`, and as JSON.
    trace: String,
    all: String,
    timeline: Value,
}

#[track_caller]
fn printed(answer: impl Fn() -> Answer) -> Printed {
    let world = World::new();
    let arguments = ["starter", "-n", "1", "--workflow-type", "Fails", "--output", "json"];
    let mut starter = Process::start(world.fleet(arguments));
    answer_workflow_tasks(&world.workflow_queue(), 1, |_| answer());
    assert_eq!(starter.exit_code(), 1);
    let json: Value = serde_json::from_str(&starter.out.wait_end()[0]).unwrap();
    let id = json["workflow_id"].as_str().unwrap();
    let line = starter.err.wait_for(&format!("{id}: "));
    let trace = |more: &[&str]| {
        let mut command = world.fleet(["trace", id]);
        command.args(more);
        run(command).success().join("\n")
    };
    Printed {
        line: line.strip_prefix(&format!("{id}: ")).unwrap().to_owned(),
        trace: trace(&[]),
        all: trace(&["--all"]),
        timeline: serde_json::from_str(&trace(&["--output", "json"])).unwrap(),
        json,
    }
}

#[test]
fn a_failure_without_a_message_is_its_type_wherever_it_is_shown() {
    let printed = printed(|| fail(application("OutOfStock", "", vec![], "")));
    assert_eq!(printed.line, "failed: OutOfStock");
    assert_eq!(printed.json["cause"], "OutOfStock");
    assert_eq!(printed.timeline["failure"], "OutOfStock");
    assert!(printed.trace.contains("\nOutOfStock\n"), "{}", printed.trace);
}

#[test]
fn a_failure_shows_type_message_details_and_its_stack_trace_where_it_is_asked_for() {
    let details = payload(
        Some(b"json/plain"),
        b"{\"order\":\"gr\\u00f6\\u00dfe\", \"n\":12345678901234567890123}",
    );
    let stack = "  File \"wf.py\", line 3, in run\n    charge()\u{1b}[31m\n";
    let inner = application("KeyError", "'customer_id'", vec![details], stack);
    let printed = printed(|| {
        fail(caused_by(activity("Charge", RetryState::MaximumAttemptsReached), inner.clone()))
    });
    let text = "activity Charge (maximum attempts reached): KeyError: 'customer_id' \
                (details: {\"order\":\"größe\", \"n\":12345678901234567890123})";
    assert_eq!(printed.line, format!("failed: {text}"));
    assert_eq!(printed.timeline["failure"], text);
    assert!(printed.trace.contains(text) && !printed.trace.contains("wf.py"), "{}", printed.trace);
    let attached = "    stack trace of KeyError\n        File \"wf.py\", line 3, in run\n          charge() [31m";
    assert!(printed.all.contains(attached), "{}", printed.all);
    for chain in [&printed.json["failure_chain"], &printed.timeline["failure_chain"]] {
        assert_eq!((&chain[0]["kind"], &chain[0]["type"]), (&"activity".into(), &"Charge".into()));
        assert_eq!(chain[0]["retry_state"], "maximum attempts reached");
        assert_eq!(chain[1]["type"], "KeyError");
        assert_eq!(
            (&chain[1]["message"], &chain[1]["stack_trace"]),
            (&"'customer_id'".into(), &stack.into())
        );
        assert_eq!(chain[1]["details"][0]["order"], "größe");
    }
}

#[test]
fn an_activity_whose_cause_is_empty_shows_what_it_was_that_ended_it() {
    let terminated = Failure {
        failure_info: Some(FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo::default())),
        ..Default::default()
    };
    let printed = printed(|| {
        fail(caused_by(activity("Charge", RetryState::MaximumAttemptsReached), terminated.clone()))
    });
    assert_eq!(printed.line, "failed: activity Charge (maximum attempts reached): terminated");
}

#[test]
fn the_root_of_a_chain_of_sixty_causes_is_shown_and_all_of_it_on_request() {
    let printed = printed(|| {
        let root = application("IOError", "root cause: disk full", vec![], "");
        fail((0..60).fold(root, |cause, layer| {
            caused_by(
                application("E", &format!("layer {layer}, which is not the last"), vec![], ""),
                cause,
            )
        }))
    });
    let root = ": E: layer 0, which is not the last: IOError: root cause: disk full";
    for text in [&printed.line, &printed.trace] {
        assert!(text.contains("E: layer 59, which"), "{text}");
        assert!(text.contains(root) && !text.contains("layer 30,"), "{text}");
        assert!(text.contains(" more …: E: layer "), "{text}");
    }
    assert!(printed.all.contains(": E: layer 30, "), "{}", printed.all);
    assert!(printed.json["cause"].as_str().unwrap().contains(": E: layer 30, "));
    assert_eq!(printed.timeline["failure_chain"].as_array().unwrap().len(), 61);
}

#[test]
fn the_end_of_a_long_message_is_shown() {
    let message = format!("{} REAL REASON: disk full", "E".repeat(5000));
    let printed = printed(|| fail(application("X", &message, vec![], "")));
    for text in [&printed.line, &printed.trace] {
        let line = text.lines().find(|line| line.contains("X: EEEE")).unwrap();
        assert!(line.ends_with("REAL REASON: disk full") && line.len() < 1200, "{line}");
    }
    assert!(printed.all.contains(&message));
    assert_eq!(printed.json["cause"], format!("X: {message}"));
}

#[test]
fn the_details_of_a_cancellation_are_shown() {
    let printed = printed(|| {
        let details = payload(Some(b"json/plain"), b"\"cleaned up 3 of 5\"");
        let attributes = CancelWorkflowExecutionCommandAttributes {
            details: Some(Payloads { payloads: vec![details] }),
        };
        Answer::Commands(vec![command(
            CommandType::CancelWorkflowExecution,
            Attributes::CancelWorkflowExecutionCommandAttributes(attributes),
        )])
    });
    assert_eq!(printed.line, "cancelled: cleaned up 3 of 5");
    assert_eq!(printed.timeline["failure"], "cleaned up 3 of 5");
    let chain = json!([{ "kind": "cancelled", "details": ["cleaned up 3 of 5"] }]);
    assert_eq!(printed.timeline["failure_chain"], chain);
    assert_eq!(printed.json["failure_chain"], chain);
}

#[test]
fn a_failed_workflow_task_shows_the_half_that_tells_and_its_stack_trace() {
    let world = World::new();
    let _starter = Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "Fails"]));
    let queue = world.workflow_queue();
    let message = format!(
        "[TMPRL1100] lookup failed for scheduledEventID to activityID: history event is \
         ActivityTaskScheduled: (ActivityType:(Name:Charge), {}), replay command is \
         ScheduleActivityTask: (ActivityType:(Name:Refund))",
        "Timeout:0s, ".repeat(60)
    );
    answer_workflow_tasks(&queue, 1, |_| {
        Answer::Failed(Box::new(application(
            "PanicError",
            &message,
            vec![],
            "process event [panic]:\nmain.go:3",
        )))
    });
    let id = the_workflow(&queue);
    let trace = |more: &[&str]| {
        let mut command = world.fleet(["trace", &id]);
        command.args(more);
        run(command).success().join("\n")
    };
    let text = trace(&[]);
    for tells in ["PanicError: [TMPRL1100] lookup failed", "replay command is", "(Name:Refund))"] {
        assert!(text.contains(tells), "{tells}: {text}");
    }
    assert!(trace(&["--all"]).contains("\n      main.go:3"));
    let timeline: Value = serde_json::from_str(&trace(&["--output", "json"])).unwrap();
    let chain = &timeline["rows"][0]["failure_chain"][0];
    assert_eq!(
        (&chain["type"], &chain["message"]),
        (&"PanicError".into(), &message.as_str().into())
    );
}

#[test]
fn the_last_failure_of_a_pending_activity_is_shown_even_without_a_message() {
    let world = World::new();
    let _starter = Process::start(world.fleet(["starter", "-n", "1", "--workflow-type", "Waits"]));
    let (queue, activities) = (world.workflow_queue(), world.activity_queue());
    answer_workflow_tasks(&queue, 1, |_| {
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id: "1".to_owned(),
            activity_type: Some(ActivityType { name: "charge".to_owned() }),
            task_queue: Some(task_queue(&activities)),
            start_to_close_timeout: Some("60s".parse().unwrap()),
            retry_policy: Some(RetryPolicy {
                initial_interval: Some("60s".parse().unwrap()),
                ..Default::default()
            }),
            ..Default::default()
        };
        Answer::Commands(vec![command(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(attributes),
        )])
    });
    fail_activity(&activities, application("RuntimeError", "", vec![], "act.py, line 7"));
    let id = the_workflow(&queue);
    eventually("it is tried again", || pending_activities(&id).iter().any(|it| it.attempt == 2));
    let trace = |more: &[&str]| {
        let mut command = world.fleet(["trace", &id]);
        command.args(more);
        run(command).success().join("\n")
    };
    let text = trace(&[]);
    assert!(text.contains("\n  attempt 2; attempt 1 failed: RuntimeError\n"), "{text}");
    assert!(text.contains("activity charge (id 1), attempt 2: begins in "), "{text}");
    assert!(trace(&["--all"]).contains("\n      act.py, line 7"), "{text}");
    let timeline: Value = serde_json::from_str(&trace(&["--output", "json"])).unwrap();
    let activity =
        &timeline["rows"].as_array().unwrap().iter().find(|row| row["kind"] == "activity");
    let chain = &activity.unwrap()["last_failure_chain"][0];
    assert_eq!(
        (&chain["type"], &chain["stack_trace"]),
        (&"RuntimeError".into(), &"act.py, line 7".into())
    );
    server::terminate(&id, "the test is over");
}

#[test]
fn bench_counts_failures_by_type_and_message_without_the_details_of_each() {
    let world = World::new();
    let mut bench =
        world.fleet(["bench", "--count", "3", "--concurrency", "3", "--max-errors", "100%"]);
    bench.args(["--workflow-type", "Fails", "--input", "1", "--output", "json"]);
    let mut bench = Process::start(bench);
    let mut number = 0;
    answer_workflow_tasks(&world.workflow_queue(), 3, |_| {
        number += 1;
        let details = payload(Some(b"json/plain"), number.to_string().as_bytes());
        fail(application(
            "OutOfStock",
            if number == 1 { "" } else { "bad order" },
            vec![details],
            "",
        ))
    });
    bench.exit_code();
    let summary: Value = serde_json::from_str(&bench.out.wait_end()[0]).unwrap();
    let expected =
        serde_json::json!({ "failed: OutOfStock": 1, "failed: OutOfStock: bad order": 2 });
    assert_eq!(summary["causes"], expected);
}
