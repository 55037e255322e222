//! `fleet status`: a known fleet, told by the server.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    server::pid_of,
    support::{Process, World, children_of, eventually, on_a_terminal, run},
};

/// The queues that `fleet status --output json` shows.
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
    pollers.iter().map(|it| pid_of(it["identity"].as_str().unwrap())).collect()
}

#[test]
fn status_shows_each_worker_of_a_known_fleet_at_its_queue() {
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
    eventually("the rates tell of the batch", || {
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
    let kinds: Vec<_> = found.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["workflow", "activity"]);
    assert_eq!(pids(&found[0]).len(), 1);
    assert_eq!(pids(&found[0]), pids(&found[1]));
}

#[test]
fn a_queue_where_workflows_wait_and_nobody_polls_is_told_and_fails_a_check() {
    let world = World::new();
    let mut starter = Process::start(world.fleet(["starter", "-n", "3"]));
    eventually("three wait", || queues(&world, &[])[0]["backlog"].as_i64() >= Some(3));
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
