//! Names, texts and failures that others have chosen, in the output of every command.

use rustix::process::Signal;

use super::{
    assert_harmless, assert_harmless_on_a_terminal, hostile,
    rogue::{Rogue, signal, start},
};
use crate::{
    server::{self, the_workflow},
    support::{Process, World, eventually, on_a_terminal, on_a_terminal_until, run},
};

/// Whether something that was planted is shown, so that a test cannot pass because nothing was there.
#[track_caller]
fn assert_shown(what: &str, lines: &[String], planted: &[&str]) {
    for planted in planted {
        assert!(
            lines.iter().any(|line| line.contains(planted)),
            "{what}: no {planted}: {lines:#?}"
        );
    }
}

#[test]
fn a_trace_shows_names_and_failures_of_others_without_their_power() {
    let world = World::new();
    let queue = world.workflow_queue();
    let id = hostile(&world.id());
    let rogue = Rogue::start(&queue);
    start(&id, &hostile("workflow type"), &queue);
    let trace = |flags: &[&str]| {
        let mut arguments = vec!["trace", "--width", "200"];
        arguments.extend(flags);
        arguments.extend(["--", id.as_str()]);
        run(world.fleet(arguments))
    };
    let open = [
        "timer",
        "activity",
        "child type",
        "marker",
        "summary",
        "workflow type",
        "starter",
        "poller",
    ];
    eventually("the first task is answered", || trace(&[]).out.iter().any(|l| l.contains("timer")));
    for flags in [&[][..], &["--all"]] {
        let lines = trace(flags).success();
        assert_harmless("an open trace", &lines);
        assert_shown("an open trace", &lines, &open);
    }
    let seen = on_a_terminal(world.fleet(["trace", "--", &id]));
    assert_harmless_on_a_terminal("an open trace", &seen);
    let (seen, _) = on_a_terminal_until(world.fleet(["trace", "--follow", "--", &id]), |seen| {
        seen.contains("timer")
    });
    assert_harmless_on_a_terminal("a followed trace", &seen);

    signal(&id);
    eventually("the workflow has failed", || {
        trace(&[]).out.iter().any(|line| line.contains("failed after"))
    });
    drop(rogue);
    let closed = trace(&["--all"]).success();
    assert_harmless("a closed trace", &closed);
    assert_shown("a closed trace", &closed, &["signal", "failure type", "stack"]);
    assert_harmless_on_a_terminal(
        "a closed trace",
        &on_a_terminal(world.fleet(["trace", "--all", "--", &id])),
    );
    // JSON has the data, in a form that a terminal does not act on either.
    let json = trace(&["--output", "json"]).success();
    assert_harmless("a trace in JSON", &json);
    let document: serde_json::Value = serde_json::from_str(&json.join("\n")).unwrap();
    assert_eq!(document["workflow_id"], id);
}

#[test]
fn status_starter_and_bench_show_pollers_and_failures_of_others_without_their_power() {
    let world = World::new();
    let queue = world.workflow_queue();
    let _rogue = Rogue::start(&queue);
    let status = |flags: &[&str]| {
        let mut arguments = vec!["status", "--task-queue", &queue];
        arguments.extend(flags);
        run(world.fleet(arguments)).success()
    };
    eventually("both pollers are listed", || {
        let lines = status(&[]);
        lines.iter().filter(|line| line.contains("poller")).count() == 2
    });
    assert_harmless("status", &status(&[]));
    assert_harmless("status in JSON", &status(&["--output", "json"]));
    let identity = hostile("poller");
    let document: serde_json::Value =
        serde_json::from_str(&status(&["--output", "json"]).join("\n")).unwrap();
    assert_eq!(document["queues"][0]["pollers"][0]["identity"], identity);
    assert_harmless_on_a_terminal(
        "status",
        &on_a_terminal(world.fleet(["status", "--task-queue", &queue])),
    );
    let watch = world.fleet(["status", "--watch", "100ms", "--task-queue", &queue]);
    let (seen, _) = on_a_terminal_until(watch, |seen| seen.matches("poller").count() > 4);
    assert_harmless_on_a_terminal("status --watch", &seen);

    let starter = ["starter", "-n", "2", "--workflow-type", "Failing", "--timeout", "30s"];
    let finished = run(world.fleet(starter));
    assert_eq!(finished.code, 1, "{finished:#?}");
    assert_harmless("starter", &finished.err);
    assert_shown("starter", &finished.err, &["failure type", "answer"]);
    assert_harmless_on_a_terminal("starter", &on_a_terminal(world.fleet(starter)));
    let finished = run(world.fleet(starter.into_iter().chain(["--output", "json"])));
    assert_harmless("starter in JSON", &[finished.out, finished.err].concat());

    for output in ["text", "json"] {
        let bench = ["bench", "--count", "2", "--workflow-type", "Failing", "--output", output];
        let finished = run(world.fleet(bench.into_iter().chain(["--timeout", "30s"])));
        assert_shown("bench", &finished.out, &["failure"]);
        assert_harmless("bench", &[finished.out, finished.err].concat());
    }
}

#[test]
fn a_hint_quotes_what_a_workflow_waits_for_without_its_power() {
    let world = World::new();
    let _rogue = Rogue::start(&world.workflow_queue());
    let starter = ["starter", "-n", "1", "--workflow-type", "Waiting", "--timeout", "7s"];
    let finished = run(world.fleet(starter));
    assert_shown("the hint", &finished.err, &["waits for", "timer", "trace"]);
    assert_harmless("the hint", &finished.err);
    server::terminate(&the_workflow(&world.workflow_queue()), "the test is over");
}

#[test]
fn a_workers_log_is_one_line_for_each_event_whatever_others_have_written() {
    let hostile_type = hostile("no such type");
    for format in ["text", "json"] {
        let world = World::new();
        let mut up = world.fleet(["up", "-w", "1", "-a", "1"]);
        up.env("FLEET_LOG_FORMAT", format);
        let mut up = Process::start_ready(up);
        let id = hostile(&world.id());
        start(&id, &hostile_type, &world.workflow_queue());
        up.err.wait_for("no such type");
        server::terminate(&id, &hostile("reason"));
        up.signal(Signal::TERM);
        assert_eq!(up.exit_code(), 0);
        let lines = up.err.wait_end();
        assert_harmless("a worker's log", &lines);
        for line in &lines {
            match format {
                "text" => assert!(line.starts_with("workflow-worker:0 | "), "{line}"),
                _ => assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"),
            }
        }
    }
    // On a terminal the log has colours.
    let world = World::new();
    let id = hostile(&world.id());
    start(&id, &hostile_type, &world.workflow_queue());
    let (seen, _) = on_a_terminal_until(world.fleet(["up", "-w", "1", "-a", "0"]), |seen| {
        seen.contains("no such type")
    });
    assert_harmless_on_a_terminal("a worker's log", &seen);
    server::terminate(&id, "the test is over");
}
