//! `fleet chaos`: what it attacks, what it refuses to attack, its account, and that nothing stays behind.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
};

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use temporalio_client::{NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType, workflowservice::v1::ListWorkflowExecutionsRequest,
};

use crate::{
    server::{self, activity_attempts, ask_at, count_events, history_at, the_workflow},
    support::{
        FLEET, Finished, Process, World, children_of, eventually, free_port, get, kill, program,
        run,
    },
};

/// A trial of a fleet of its own, with a plan of all kinds of attacks. Its temporary files are in `folder`.
fn own_trial(folder: &tempfile::TempDir, more: &[&str]) -> Command {
    let mut command = program(FLEET);
    command.args(["chaos", "--seed", "3", "--kill", "1s", "--stop", "3s", "--freeze", "5s"]);
    command.args(["--server-restart", "6s", "--output", "json"]).args(more);
    command.env("TMPDIR", folder.path());
    command
}

#[track_caller]
fn account(finished: &Finished) -> Value {
    assert_eq!(finished.out.len(), 1, "{finished:#?}");
    serde_json::from_str(&finished.out[0]).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_trial_of_its_own_fleet_loses_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let finished = run(own_trial(&folder, &["--duration", "15s", "--workflows", "60"]));
    let account = account(&finished);
    assert_eq!(finished.code, 0, "{finished:#?}");
    for (field, expected) in [("workflows", 60), ("started", 60), ("completed", 60), ("lost", 0)] {
        assert_eq!(account[field], expected, "{field} of {account:#}");
    }
    assert_eq!((&account["seed"], &account["completed_listed"]), (&json!(3), &json!(60)));
    assert_eq!(account["activities"], 120, "two in each workflow");
    for attacks in ["kills", "stops", "freezes", "server_restarts"] {
        assert!(number(&account[attacks]) >= 1, "{attacks} of {account:#}");
    }
    for kind in ["kill", "stop", "freeze", "server_restart"] {
        let recovery = &account["recovery_ms"][kind];
        assert!(recovery["max"].as_f64() >= recovery["p50"].as_f64(), "{kind} of {account:#}");
        assert!(number(&recovery["count"]) >= 1, "{kind} of {account:#}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The plan, with which each attack is printed, without the times and pids that depend on the run.
#[test]
fn a_seed_repeats_its_attacks() {
    let world = World::new();
    let (_up, health) = fleet_of(&world);
    let victims = || {
        let mut chaos = world.fleet(["chaos", "--fleet", &health, "--seed", "5", "--kill", "0"]);
        chaos.args(["--freeze", "0", "--stop", "4s", "--duration", "9s", "--workflows", "1"]);
        let finished = run(chaos);
        assert_eq!(finished.code, 0, "{finished:#?}");
        let attacks = finished.err.into_iter().filter(|line| line.contains("SIGTERM"));
        let victim = |line: String| line.split_whitespace().nth(3).unwrap().to_owned();
        attacks.map(victim).collect::<Vec<_>>()
    };
    let first = victims();
    assert!(!first.is_empty());
    assert_eq!(victims(), first);
}

/// A fleet at the shared server, ready, and the address of its health listener.
#[track_caller]
fn fleet_of(world: &World) -> (Process, String) {
    let (up, health) = Process::start_probed(world.fleet(["up", "-w", "2", "-a", "2"]));
    until_ready(&health);
    (up, health)
}

#[track_caller]
fn until_ready(health: &str) {
    eventually("the fleet is ready", || {
        get(health, "/readyz").is_some_and(|(code, _)| code == 200)
    });
}

fn status(health: &str) -> Value {
    let answer = get(health, "/status").map(|(_, body)| serde_json::from_str(&body).unwrap());
    answer.unwrap_or_default()
}

/// What the server at `address` says of all its workflows: how many completed, how many activities were started
/// more than once, and how many workflow tasks timed out and failed.
fn counted_at(address: &str) -> BTreeMap<&'static str, u64> {
    let ids: Vec<String> = ask_at(address, async |mut client| {
        let request = ListWorkflowExecutionsRequest {
            namespace: client.namespace(),
            page_size: 1000,
            ..Default::default()
        };
        let listed = client.list_workflow_executions(request.into_request()).await.unwrap();
        let listed = listed.into_inner().executions.into_iter();
        listed.map(|info| info.execution.unwrap().workflow_id).collect()
    });
    let mut counts = BTreeMap::new();
    for history in ids.iter().map(|id| history_at(address, id)) {
        for (what, of) in [
            ("completed", EventType::WorkflowExecutionCompleted),
            ("workflow_task_timeouts", EventType::WorkflowTaskTimedOut),
            ("workflow_task_failures", EventType::WorkflowTaskFailed),
        ] {
            *counts.entry(what).or_default() += count_events(&history, of) as u64;
        }
        let retried = activity_attempts(&history).into_iter().filter(|(_, attempt)| *attempt > 1);
        *counts.entry("retried_activities").or_default() += retried.count() as u64;
    }
    counts
}

#[test]
fn the_account_of_a_running_fleet_agrees_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("temporal.db");
    let mut up = program(FLEET);
    up.args(["up", "-w", "2", "-a", "2", "--dev-server", "--port", "0", "--ui-port", "0"]);
    up.arg("--db-filename").arg(&database);
    let (mut up, health) = Process::start_probed(up);
    until_ready(&health);
    let before = status(&health);
    assert_eq!(before["dev_server"]["database"], database.to_str().unwrap());

    let mut chaos = program(FLEET);
    chaos.args(["chaos", "--fleet", &health, "--seed", "2", "--output", "json"]);
    chaos.args(["--duration", "12s", "--workflows", "60", "--kill", "700ms"]);
    chaos.args(["--stop", "3s", "--freeze", "0", "--server-restart", "5s"]);
    let finished = run(chaos);
    assert_eq!(finished.code, 0, "{finished:#?}");
    let account = account(&finished);
    assert_eq!(account["completed"], 60, "{account:#}");
    assert_eq!(account["freezes"], 0, "{account:#}");

    let after = status(&health);
    assert_eq!(after["dev_server"]["address"], before["dev_server"]["address"]);
    assert_eq!(after["dev_server"]["restarts"], account["server_restarts"], "{after:#}");
    let restarts = after["workers"].as_array().unwrap().iter();
    let restarts: u64 = restarts.map(|worker| number(&worker["restarts"])).sum();
    assert_eq!(restarts, number(&account["kills"]) + number(&account["stops"]), "{after:#}");
    let counted = counted_at(after["dev_server"]["address"].as_str().unwrap());
    for (what, count) in &counted {
        assert_eq!(account[what], *count, "{what}: {counted:?} and {account:#}");
    }
    up.signal(Signal::TERM);
    assert_eq!(up.exit_code(), 0, "{:#?}", up.err.so_far());
}

#[test]
fn a_lost_workflow_is_named_and_the_exit_code_is_1() {
    let world = World::new();
    let (_up, health) = fleet_of(&world);
    let mut chaos = world.fleet(["chaos", "--fleet", &health, "--kill", "0", "--freeze", "0"]);
    chaos.args(["--stop", "2s", "--duration", "3s", "--workflows", "3", "--output", "json"]);
    chaos.args(["--input", r#"{"timer_ms": 4000}"#]);
    let mut chaos = Process::start(chaos);
    let id = the_workflow(&world.workflow_queue());
    server::terminate(&id, "a test");
    assert_eq!(chaos.exit_code(), 1);
    let (out, err) = (chaos.out.wait_end(), chaos.err.wait_end());
    let account: Value = serde_json::from_str(&out[0]).unwrap();
    assert_eq!((&account["completed"], &account["lost"]), (&json!(2), &json!(1)), "{account:#}");
    let lost = json!([{ "workflow_id": id, "why": "terminated" }]);
    assert_eq!(account["lost_workflows"], lost);
    let line = format!("error: 1 workflow lost: {id} (terminated)");
    assert!(err.contains(&line), "{err:#?}");
    assert!(err.iter().any(|line| line.starts_with("no server restarts: ")), "{err:#?}");
}

/// Whether a process is stopped by a signal.
#[cfg(target_os = "linux")]
fn is_frozen(pid: u64) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_stays_frozen_after_a_ctrl_c_or_a_kill() {
    let world = World::new();
    let (_up, health) = fleet_of(&world);
    for signal in [Signal::INT, Signal::KILL] {
        let mut chaos = world.fleet(["chaos", "--fleet", &health, "--kill", "0", "--stop", "0"]);
        chaos.args(["--freeze", "500ms", "--workflows", "10", "--output", "json"]);
        let mut chaos = Process::start(chaos);
        let line = chaos.err.wait_for("SIGSTOP for ");
        let pid = line.split_once("(pid ").unwrap().1.trim_end_matches(')').parse().unwrap();
        eventually("the worker is frozen", || is_frozen(pid));
        chaos.signal(signal);
        let code = chaos.exit_code();
        assert_eq!(code, 128 + signal.as_raw(), "{:#?}", chaos.err.so_far());
        let workers = || {
            let status = status(&health);
            let pids = status["workers"].as_array().unwrap().iter();
            pids.filter_map(|worker| worker["pid"].as_u64()).collect::<Vec<_>>()
        };
        if signal == Signal::INT {
            assert!(!workers().into_iter().any(is_frozen), "at its end");
            let account: Value = serde_json::from_str(&chaos.out.wait_end()[0]).unwrap();
            assert_eq!(account["interrupted"], true);
            assert_eq!(account["lost"], 0, "{account:#}");
        } else {
            eventually("the worker goes on", || !workers().into_iter().any(is_frozen));
        }
        eventually("the worker is the same and answers", || {
            workers().contains(&pid) && get(&health, "/readyz").is_some_and(|(code, _)| code == 200)
        });
    }
}

#[test]
fn an_interrupted_trial_of_its_own_fleet_has_an_account_and_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut chaos = Process::start(own_trial(&folder, &["--workflows", "500"]));
    chaos.err.wait_for("SIGKILL  ");
    let children: Vec<u32> = children_of(chaos.pid()).into_iter().map(|(pid, _)| pid).collect();
    let descendants: Vec<u32> =
        children.iter().flat_map(|pid| children_of(*pid)).map(|(pid, _)| pid).collect();
    assert!(children.len() > 4 && !descendants.is_empty(), "{children:?} {descendants:?}");
    chaos.ctrl_c();
    assert_eq!(chaos.exit_code(), 130, "{:#?}", chaos.err.so_far());
    let account: Value = serde_json::from_str(&chaos.out.wait_end()[0]).unwrap();
    assert_eq!(account["interrupted"], true);
    assert!(number(&account["not_started"]) > 0, "{account:#}");
    for pid in children.into_iter().chain(descendants) {
        let process = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        eventually("it has ended", || test_kill_process(process).is_err());
    }
}

#[track_caller]
fn refusal(command: Command) -> String {
    let finished = run(command);
    assert_eq!(finished.code, 2, "{finished:#?}");
    assert!(finished.out.is_empty(), "{finished:#?}");
    let errors: Vec<_> = finished.err.iter().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{finished:#?}");
    errors[0].clone()
}

#[test]
fn a_workflow_that_the_trials_own_fleet_does_not_have_is_refused() {
    let line = refusal(World::new().fleet(["chaos", "--workflow-type", "Nope"]));
    assert!(line.contains("--workflow-type \"Nope\": the fleet that is started"), "{line}");
}

#[test]
fn what_is_no_fleet_is_not_attacked() {
    let world = World::new();
    let at = |address: &str| refusal(world.fleet(["chaos", "--fleet", address]));
    let mut worker = world.fleet(["worker", "--role", "worker"]);
    let worker_address = format!("127.0.0.1:{}", free_port());
    worker.env("FLEET_HEALTH_ADDR", &worker_address);
    let _worker = Process::start(worker);
    eventually("the worker answers", || get(&worker_address, "/livez").is_some());
    assert!(at(&worker_address).contains("it does not answer as `fleet up` does"));

    // A listener that names a process which is no worker, and is a child of the process that it names.
    let mut sleep = program("sleep");
    sleep.arg("600");
    let mut sleep = Process::start(sleep);
    let body = json!({
        "pid": std::process::id(),
        "workers": [{
            "name": "worker:0", "role": "worker", "state": "ready", "pid": sleep.pid(),
            "uptime_s": 1, "health_addr": null, "restarts": 0,
        }],
        "dev_server": null,
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let body = body.to_string();
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    let line = at(&address);
    let why = format!("process {} does not run `worker --supervised worker:0`", sleep.pid());
    assert!(line.contains("its workers are no processes of this machine") && line.contains(&why));
    assert!(sleep.ended().is_none());
}

#[test]
fn a_fleet_on_other_task_queues_is_not_attacked() {
    let (world, other) = (World::new(), World::new());
    let (_up, health) = fleet_of(&world);
    let line = refusal(other.fleet(["chaos", "--fleet", &health]));
    let queue = other.workflow_queue();
    assert!(line.contains(&format!("polls task queue \"{queue}\"")), "{line}");
    assert!(status(&health)["workers"].as_array().unwrap().iter().all(|it| it["restarts"] == 0));
}

#[test]
fn a_dev_server_with_a_database_is_started_again_when_it_dies() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("temporal.db");
    let more = ["--db-filename".as_ref(), database.as_os_str()];
    let mut server = server::OwnServer::start("0", &more);
    let batch = |count| {
        let mut starter = program(FLEET);
        starter.args(["starter", "-n", count, "--batch", "b", "--timeout", "1ms"]);
        starter.env("TEMPORAL_ADDRESS", &server.address);
        run(starter)
    };
    assert_eq!(batch("1").code, 1);
    for killed in 1..=6 {
        let guard = children_of(server.up.pid())[0].0;
        let temporal = children_of(guard)[0].0;
        kill(temporal, Signal::KILL);
        eventually("it runs again", || {
            let lines = server.up.err.so_far();
            let ready = lines.iter().filter(|line| line.contains("export TEMPORAL_ADDRESS="));
            ready.count() == killed + 1
        });
    }
    let line = server.up.err.wait_for("ERROR: the Temporal dev server ended unexpectedly");
    assert!(line.contains("(signal: 9): starting it again in "), "{line}");
    // It knows the workflow still: another argument for the same batch is refused.
    let mut starter = program(FLEET);
    starter.args(["starter", "-n", "1", "--batch", "b", "--input", "1"]);
    starter.env("TEMPORAL_ADDRESS", &server.address);
    let finished = run(starter);
    assert_eq!(finished.code, 78, "{finished:#?}");
    server.up.signal(Signal::TERM);
    assert_eq!(server.up.exit_code(), 0);
}
