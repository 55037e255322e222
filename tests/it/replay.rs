//! Replay of recorded histories. The sample reads its process id in workflow code;
//! `temporal_fleet::label` explains why that is safe, and these tests show it.

use temporal_fleet::{load::LoadWorkflow, parallelized::ParallelizedWorkflow, worker_label};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{
    WorkflowReplayError, WorkflowReplayer, WorkflowReplayerOptions,
};

use crate::{
    server,
    support::{Process, World, labels, run},
};

fn replay(history: &[u8]) -> Result<(), WorkflowReplayError> {
    let mut options = WorkflowReplayerOptions::new().build();
    options.register_workflow::<ParallelizedWorkflow>().unwrap();
    options.register_workflow::<LoadWorkflow>().unwrap();
    let replayer = WorkflowReplayer::new(options).unwrap();
    let history = WorkflowHistory::from_json(history).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(replayer.replay_workflow(history))
}

#[test]
fn a_history_recorded_in_one_process_replays_in_another() {
    let world = World::new();
    let _up = Process::start(world.fleet(["up", "-w", "1"]));
    let results = run(world.fleet(["starter", "-n", "1"])).success();
    let [recorded_in, ..] = labels(&results[0]);
    assert_ne!(recorded_in, worker_label(), "this process is another one");

    let workflow = server::workflow_ids(&world.workflow_queue()).remove(0);
    let json = server::history_json(&workflow);
    replay(&json).unwrap();
}

#[test]
fn the_history_of_the_benches_replays() {
    replay(include_bytes!("../../benches/histories/parallelized.json")).unwrap();
}

#[test]
fn a_history_of_other_activities_does_not_replay() {
    // This shows that replay detects a difference, so that the tests above can fail.
    let world = World::new();
    let _up = Process::start(world.fleet(["up", "-w", "1"]));
    run(world.fleet(["starter", "-n", "1"])).success();
    let workflow = server::workflow_ids(&world.workflow_queue()).remove(0);
    let json = String::from_utf8(server::history_json(&workflow)).unwrap();
    assert!(json.contains("echo_pid_activity"));
    let changed = json.replace("echo_pid_activity", "another_activity");
    let error = replay(changed.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("nondeterministic"), "{error}");
}

#[test]
fn a_load_workflow_that_computed_waited_and_fanned_out_replays() {
    let world = World::new();
    let _up = Process::start(world.fleet(["up", "-w", "1"]));
    let load = r#"{"activities": 2, "parallel": 3, "workflow_iterations": 100000,
        "activity_iterations": 1000, "payload_bytes": 100, "timer_ms": 10}"#;
    let mut starter = world.fleet(["starter", "-n", "1", "--workflow-type", "LoadWorkflow"]);
    starter.args(["--input", load]);
    assert_eq!(run(starter).success(), ["6"], "two steps of three activities");

    let workflow = server::workflow_ids(&world.workflow_queue()).remove(0);
    let json = String::from_utf8(server::history_json(&workflow)).unwrap();
    replay(json.as_bytes()).unwrap();
    // A changed history does not replay.
    assert!(json.contains("load_activity"));
    replay(json.replace("load_activity", "another_activity").as_bytes()).unwrap_err();
}
