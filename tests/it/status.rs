//! `fleet status`: the server's view of a fleet whose workers the test knows.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    server::{OwnServer, pid_of},
    support::{
        Process, World, children_of, eventually, free_port, kill, on_a_terminal,
        on_a_terminal_until, run,
    },
};

/// Returns the task queues that `fleet status --output json` shows.
fn queues(world: &World, more: &[&str]) -> Vec<Value> {
    let arguments = [&["status", "--output", "json"], more].concat();
    let out = run(world.fleet(arguments)).success();
    let [line] = &out[..] else { panic!("{out:#?}") };
    let status: Value = serde_json::from_str(line).unwrap();
    assert_eq!(status["namespace"], "default");
    assert!(status["note"].as_str().unwrap().contains("sticky"), "{status}");
    status["queues"].as_array().unwrap().clone()
}

fn pids(queue: &Value) -> BTreeSet<u32> {
    let pollers = queue["pollers"].as_array().unwrap();
    pollers.iter().map(|poller| pid_of(poller["identity"].as_str().unwrap())).collect()
}

#[test]
fn status_shows_each_worker_at_its_queue() {
    let world = World::new();
    let up = Process::start_ready(world.fleet(["up", "-w", "2", "-a", "1"]));
    let found = queues(&world, &["--check"]);
    let [workflows, activities] = &found[..] else { panic!("{found:#?}") };
    assert_eq!(workflows["task_queue"], world.workflow_queue());
    assert_eq!((&workflows["kind"], &activities["kind"]), (&"workflow".into(), &"activity".into()));
    assert_eq!(activities["task_queue"], world.activity_queue());
    assert_eq!((pids(workflows).len(), pids(activities).len()), (2, 1));
    let children: BTreeSet<_> = children_of(up.pid()).into_iter().map(|(pid, _)| pid).collect();
    assert_eq!(&pids(workflows) | &pids(activities), children);
    for queue in &found {
        assert_eq!((&queue["backlog"], &queue["unserved"]), (&0.into(), &false.into()), "{queue}");
        for poller in queue["pollers"].as_array().unwrap() {
            assert_eq!(poller["gone"], false);
            assert!(poller["seconds_ago"].as_f64().unwrap() < 90.0, "{poller}");
        }
    }

    run(world.fleet(["starter", "-n", "30"])).success();
    eventually("the rates include the batch", || {
        let found = queues(&world, &[]);
        found.iter().all(|queue| {
            queue["add_rate"].as_f64().unwrap() > 0.0
                && queue["dispatch_rate"].as_f64().unwrap() > 0.0
        })
    });
}

#[test]
fn status_shows_activities_on_the_queue_of_workers_that_serve_both() {
    let world = World::new();
    let _up = Process::start_ready(world.fleet(["up", "--num-workers", "1"]));
    let shared = world.workflow_queue();
    let found = queues(&world, &["--task-queue", &shared]);
    let kinds: Vec<_> = found.iter().map(|queue| queue["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["workflow", "activity"]);
    assert_eq!(pids(&found[0]).len(), 1);
    assert_eq!(pids(&found[0]), pids(&found[1]));
}

#[test]
fn a_queue_with_waiting_tasks_and_no_worker_fails_the_check() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "3"]));
    eventually("three tasks wait", || queues(&world, &[])[0]["backlog"].as_i64() >= Some(3));
    let queue = world.workflow_queue();
    let checked = run(world.fleet(["status", "--check"]));
    assert_eq!(checked.code, 1, "{checked:#?}");
    let [error] = &checked.err[..] else { panic!("{checked:#?}") };
    let start = format!("error: no worker polls \"{queue}\" for workflow tasks, and ");
    assert!(error.starts_with(&start), "{error}");
    assert!(checked.out.contains(&"  no worker polls it".to_owned()), "{checked:#?}");
    assert!(checked.out.iter().all(|line| !line.contains('\u{1b}')), "{checked:#?}");
    assert!(queues(&world, &[])[0]["oldest_seconds"].as_f64().is_some());
    let on_a_terminal = on_a_terminal(world.fleet(["status"]));
    assert!(on_a_terminal.contains("\u{1b}[31m"), "{on_a_terminal:?}");
    starter.ctrl_c();
    assert_eq!(starter.exit_code(), 130);
}

#[test]
fn watch_prints_a_line_of_json_each_interval_until_a_signal_or_its_reader_ends_it() {
    let world = World::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let arguments = ["status", "--watch", "100ms", "--output", "json"];
        let mut watch = Process::start(world.fleet(arguments));
        let lines = watch.out.wait_count(3);
        let times: BTreeSet<_> = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].to_string())
            .collect();
        assert_eq!(times.len(), lines.len(), "{lines:#?}");
        kill(watch.pid(), signal);
        assert_eq!(watch.exit_code(), code);
    }

    let mut unread = world.fleet(["status", "--watch", "100ms"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut unread = unread.stdout(writer).spawn().unwrap();
    drop(reader);
    eventually("the command exits", || unread.try_wait().unwrap().is_some());
    assert_eq!(unread.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_redraws_in_place_on_a_terminal_and_restores_it() {
    let world = World::new();
    let frame = "\u{1b}[?25h";
    let (seen, code) = on_a_terminal_until(world.fleet(["status", "--watch", "100ms"]), |seen| {
        seen.matches(frame).count() >= 3
    });
    assert_eq!(code, Some(130), "{seen:?}");
    for (hides, shows) in [("\u{1b}[?25l", frame), ("\u{1b}[?7l", "\u{1b}[?7h")] {
        assert_eq!(seen.matches(hides).count(), seen.matches(shows).count(), "{seen:?}");
    }
    // Every frame but the first moves the cursor up to the start of the frame before it.
    let frames: Vec<_> = seen.split("\u{1b}[?25l").skip(1).collect();
    let height = frames[0].matches('\n').count();
    assert!(height > 5, "{seen:?}");
    for again in &frames[1..] {
        assert!(again.contains(&format!("\u{1b}[{height}A\r")), "{height}: {seen:?}");
    }
}

#[test]
fn watch_survives_a_server_outage_and_reports_it_once() {
    let world = World::new();
    let port = free_port().to_string();
    let mut server = OwnServer::start(&port, &[]);
    let mut command = world.fleet(["status", "--watch", "200ms", "--output", "json"]);
    command.env("TEMPORAL_ADDRESS", format!("127.0.0.1:{port}"));
    let mut watch = Process::start(command);
    watch.out.wait_count(2);
    server.signal(Signal::KILL);
    assert_eq!(server.up.exit_code(), 70);
    watch.err.wait_for("Temporal does not answer: ");
    let before = watch.out.so_far().len();
    let _server = OwnServer::start(&port, &[]);
    watch.err.wait_for("Temporal answers again");
    watch.out.wait_count(before + 2);
    kill(watch.pid(), Signal::TERM);
    assert_eq!(watch.exit_code(), 143);
    assert_eq!(watch.err.wait_end().len(), 2, "{:#?}", watch.err.so_far());
}
