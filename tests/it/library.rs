//! The library as its users have it: fleets of their own, workers they embed, the README's crate.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use temporal_fleet::{
    DrainSignal, Environment, Error, Fleet, FleetWorker, Role, State, activity_task_queue,
};
use temporalio_client::{UntypedWorkflow, WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_common::{
    data_converters::{PayloadConverter, RawValue},
    protos::temporal::api::enums::v1::EventType,
};
use temporalio_sdk::{
    ActivityOptions, ContinueAsNewOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};
use tokio::sync::{Notify, Semaphore};

use crate::{
    server::{self, count_events, history},
    support::{DEADLINE, FLEET, Process, World, example, program, run},
};

#[test]
fn fleets_side_by_side_in_one_namespace_keep_to_their_own_tasks() {
    // With the queues that each has by default.
    let start = |path: &Path, arguments: &[&str]| {
        let mut command = program(path);
        command.args(arguments).env("TEMPORAL_ADDRESS", server::address());
        command
    };
    let (orders, local) = (example("orders"), example("local_activity"));
    let _orders = Process::start(start(&orders, &["up", "-w", "1"]));
    let _local = Process::start(start(&local, &["up", "-w", "0", "-a", "0", "--num-workers", "1"]));
    let _sample = Process::start(start(Path::new(FLEET), &["up", "-w", "1"]));

    let order = r#"{"id": "7", "items": ["a"], "hold_ms": 1, "card": "valid"}"#;
    let results = run(start(&orders, &["starter", "-n", "5", "--input", order])).success();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|it| it.starts_with("order 7: ")), "{results:#?}");
    let results = run(start(&local, &["starter", "-n", "5"])).success();
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(|it| it.starts_with("local in ")), "{results:#?}");
    let results = run(start(Path::new(FLEET), &["starter", "-n", "5"])).success();
    assert_eq!(results.len(), 5);

    for id in server::workflow_ids("orders-workflows") {
        assert_eq!(server::activity_queues(&history(&id)), ["orders-activities".to_owned()].into());
        assert!(id.starts_with("orders-"), "{id}");
    }
}

#[test]
fn a_worker_of_both_serves_local_activities_in_its_own_process() {
    let world = World::new();
    let worker =
        Process::start(world.at_home(example("local_activity"), ["worker", "--role", "worker"]));
    let starter = world.at_home(example("local_activity"), ["starter", "-n", "1"]);
    let results = run(starter).success();
    assert_eq!(results, [format!("local in {0}, remote in {0}", worker.pid())]);
    let history = history(&server::workflow_ids(&world.workflow_queue())[0]);
    assert_eq!(count_events(&history, EventType::MarkerRecorded), 1, "the local activity");
    assert_eq!(count_events(&history, EventType::ActivityTaskScheduled), 1, "the other one");
    assert_eq!(server::activity_queues(&history), [world.workflow_queue()].into());
}

#[test]
fn a_signal_cuts_the_hold_of_an_order_short() {
    let world = World::new();
    let _up = Process::start(world.orders(["up", "-w", "1"]));
    let order = r#"{"id": "7", "items": [], "hold_ms": 600000, "card": "flaky"}"#;
    let mut starter = Process::start(world.orders(["starter", "-n", "1", "--input", order]));
    let mut ids = Vec::new();
    crate::support::eventually("the order waits", || {
        ids = server::workflow_ids(&world.workflow_queue());
        ids.first().is_some_and(|id| count_events(&history(id), EventType::TimerStarted) == 1)
    });
    server::signal(&ids[0], "expedite");
    assert_eq!(starter.exit_code(), 0, "{:?}", starter.err.so_far());
    assert_eq!(
        starter.out.wait_end(),
        ["order 7: charged at attempt 2, expedited, packed 0 item(s) at attempt 1, shipped"]
    );
}

#[workflow]
#[derive(Default)]
struct TellQueue;

#[workflow_methods]
impl TellQueue {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        Ok(activity_task_queue().unwrap_or_else(|| "none".into()))
    }
}

/// Continues as new, counting down, until it is at zero.
#[workflow]
#[derive(Default)]
struct Countdown;

#[workflow_methods]
impl Countdown {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>, from: u32) -> WorkflowResult<String> {
        if from > 0 {
            ctx.continue_as_new(from - 1, ContinueAsNewOptions::default())?;
        }
        Ok("lift-off".into())
    }
}

#[workflow]
#[derive(Default)]
struct Block;

#[workflow_methods]
impl Block {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_mins(10))
            .maybe_task_queue(activity_task_queue())
            .build();
        Ok(ctx.execute_activity(Deaf::sleep, (), options).await?)
    }
}

/// Activities that heed neither cancellation nor anything else until they are released.
struct Deaf {
    started: Arc<Notify>,
    release: Arc<Notify>,
}

#[activities]
impl Deaf {
    #[activity]
    async fn sleep(self: Arc<Self>, _ctx: ActivityContext) -> Result<(), ActivityError> {
        self.started.notify_one();
        self.release.notified().await;
        Ok(())
    }
}

/// The settings of a fleet with queues of its own, on the shared server.
fn environment(workflows: &str, activities: &str, more: &str) -> Environment {
    format!(
        "TEMPORAL_ADDRESS={}\nFLEET_WORKFLOW_TASK_QUEUE={workflows}\n\
         FLEET_ACTIVITY_TASK_QUEUE={activities}\n{more}",
        server::address()
    )
    .parse()
    .unwrap()
}

/// Starts a workflow without input and returns its result.
async fn result_of(client: &temporalio_client::Client, name: &str, queue: &str) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let handle = client
        .start_workflow(
            UntypedWorkflow::new(name),
            RawValue::new(vec![]),
            WorkflowStartOptions::new(queue, id).build(),
        )
        .await
        .unwrap();
    let value = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
    value.to_value(&PayloadConverter::default())
}

#[test]
fn a_batch_of_workflows_that_continue_as_new_is_read_again_and_not_taken_for_another() {
    let fleet = Fleet::new("embedded").workflow::<Countdown>();
    let world = World::new();
    let there = environment(&world.workflow_queue(), &world.activity_queue(), "");
    let config = fleet.config(there).unwrap();
    server::ask(async |_| {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let id = world.id();
        let mut starter = world.fleet(["starter", "-n", "2", "--workflow-type", "Countdown"]);
        starter.args(["--input", "3", "--batch", &id]);
        let mut again = world.fleet(["starter", "-n", "3", "--workflow-type", "Countdown"]);
        again.args(["--input", "3", "--batch", &id]);
        let batches = tokio::task::spawn_blocking(move || {
            let results = [run(starter), run(again)];
            stopped.notify_one();
            results
        });
        let worker = FleetWorker::build(&fleet, &config, Role::WorkflowWorker).await.unwrap();
        worker.run(stop.notified()).await.unwrap();
        let [first, again] = batches.await.unwrap();
        assert_eq!(first.success(), ["lift-off"; 2]);
        assert_eq!(again.success(), ["lift-off"; 3]);
    });
}

#[test]
fn two_embedded_workers_in_one_process_each_know_their_own_activity_queue() {
    let fleet = Fleet::new("embedded").workflow::<TellQueue>();
    server::ask(async |client| {
        let stop = Arc::new(Notify::new());
        let mut workers = Vec::new();
        let worlds = [World::new(), World::new()];
        for world in &worlds {
            let there = environment(&world.workflow_queue(), &world.activity_queue(), "");
            let config = fleet.config(there).unwrap();
            workers.push(FleetWorker::build(&fleet, &config, Role::WorkflowWorker).await.unwrap());
        }
        let [first, second] = <[_; 2]>::try_from(workers).map_err(|_| "two").unwrap();
        let questions = async {
            for world in &worlds {
                let told = result_of(&client, "TellQueue", &world.workflow_queue()).await;
                assert_eq!(told, world.activity_queue());
            }
            stop.notify_waiters();
        };
        let (first, second, ()) =
            tokio::join!(first.run(stop.notified()), second.run(stop.notified()), questions);
        first.unwrap();
        second.unwrap();
    });
    assert_eq!(activity_task_queue(), None, "nobody's queue outside a worker");
}

#[test]
fn an_embedded_worker_whose_activity_ignores_its_end_says_so_at_the_deadline() {
    let world = World::new();
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let fleet = Fleet::new("embedded")
        .workflow::<Block>()
        .activities(Deaf { started: started.clone(), release: release.clone() });
    let there =
        environment(&world.workflow_queue(), &world.activity_queue(), "FLEET_DRAIN_TIMEOUT=300ms");
    let config = fleet.config(there).unwrap();
    server::ask(async |client| {
        let worker = FleetWorker::build(&fleet, &config, Role::Worker).await.unwrap();
        let id = uuid::Uuid::new_v4().to_string();
        let options = WorkflowStartOptions::new(world.workflow_queue(), id).build();
        let block = UntypedWorkflow::new("Block");
        client.start_workflow(block, RawValue::new(vec![]), options).await.unwrap();
        let ended = worker.run(started.notified()).await;
        let Err(Error::DrainDeadline { after }) = &ended else { panic!("{ended:?}") };
        assert_eq!(*after, Duration::from_millis(300));
        assert_eq!(ended.unwrap_err().exit_code(), 75);
        release.notify_one();
    });
}

#[workflow]
#[derive(Default)]
struct WaitBothWays;

#[workflow_methods]
impl WaitBothWays {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let options = || {
            ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
                .maybe_task_queue(activity_task_queue())
                .build()
        };
        let asynchronous = ctx.execute_activity(Patient::wait, (), options());
        let synchronous = ctx.execute_activity(Patient::block, (), options());
        let (one, other) = temporalio_sdk::workflows::join!(asynchronous, synchronous);
        one?;
        Ok(other?)
    }
}

/// Activities that go on until their worker drains.
struct Patient {
    started: Arc<Semaphore>,
}

#[activities]
impl Patient {
    #[activity]
    async fn wait(self: Arc<Self>, ctx: ActivityContext) -> Result<(), ActivityError> {
        self.started.add_permits(1);
        DrainSignal::of(&ctx).draining().await;
        Ok(())
    }

    #[activity]
    #[expect(clippy::needless_pass_by_value, reason = "the SDK's signature")]
    fn block(self: Arc<Self>, ctx: ActivityContext) -> Result<(), ActivityError> {
        self.started.add_permits(1);
        let drain = DrainSignal::of(&ctx);
        // Bounded: nothing could end this thread, nor then the test.
        let begun = std::time::Instant::now();
        while !drain.is_draining() && begun.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

#[test]
fn async_and_sync_activities_leave_early_when_their_own_worker_drains() {
    let started = Arc::new(Semaphore::new(0));
    let fleet = Fleet::new("patient")
        .workflow::<WaitBothWays>()
        .activities(Patient { started: started.clone() });
    server::ask(async |client| {
        let worlds = [World::new(), World::new()];
        let stops = [Arc::new(Notify::new()), Arc::new(Notify::new())];
        let mut workers = Vec::new();
        for world in &worlds {
            let there = environment(&world.workflow_queue(), &world.activity_queue(), "");
            let config = fleet.config(there).unwrap();
            workers.push(FleetWorker::build(&fleet, &config, Role::Worker).await.unwrap());
            let id = world.workflow_queue();
            let options = WorkflowStartOptions::new(world.workflow_queue(), id).build();
            let workflow = UntypedWorkflow::new("WaitBothWays");
            client.start_workflow(workflow, RawValue::new(vec![]), options).await.unwrap();
        }
        let [first, second] = <[_; 2]>::try_from(workers).map_err(|_| "two").unwrap();
        let second_state = second.state();
        let (second_stop, both) = (stops[1].clone(), async {
            started.acquire_many(4).await.unwrap().forget();
            stops[0].notify_one();
        });
        let first = async {
            let ended = first.run(stops[0].notified()).await;
            // Long before its grace, and the other one went on.
            assert_eq!(*second_state.borrow(), State::Ready);
            second_stop.notify_one();
            ended
        };
        let (first, second, ()) = tokio::join!(first, second.run(stops[1].notified()), both);
        first.unwrap();
        second.unwrap();
    });
}

#[test]
fn a_fleet_without_what_a_role_needs_is_told_so() {
    let fleet = Fleet::new("empty");
    let config = fleet.config(Environment::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (role, missing) in [
        (
            Role::WorkflowWorker,
            "this fleet registers no workflow, which role workflow-worker needs",
        ),
        (
            Role::ActivityWorker,
            "this fleet registers no activities, which role activity-worker needs",
        ),
    ] {
        let error = runtime.block_on(FleetWorker::build(&fleet, &config, role)).err().unwrap();
        assert_eq!(error.to_string(), missing);
        assert_eq!(error.exit_code(), 78);
    }
}

/// The first block of a language in the README after a heading.
fn readme_block(heading: &str, language: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split_once(heading).expect(heading).1;
    let block = section.split_once(&format!("```{language}\n")).expect(language).1;
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_readmes_crate_builds_as_it_stands_and_runs_a_workflow() {
    let folder = tempfile::TempDir::new().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let manifest = readme_block("## Your own workflows", "toml");
    let here = "path = \"../temporal-fleet\"";
    assert!(manifest.contains(here), "{manifest}");
    fs::create_dir(folder.path().join("src")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("Cargo.toml", &manifest.replace(here, &format!("path = {root:?}")));
    write("src/main.rs", &readme_block("## Your own workflows", "rust"));
    fs::copy(Path::new(root).join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    // Shared with this build, whose dependencies then need not be built again.
    let profile = Path::new(FLEET).parent().unwrap();
    #[expect(clippy::disallowed_methods, reason = "cargo tells which cargo runs the test")]
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut build = program(cargo);
    build
        .args(["build", "--quiet"])
        .args(profile.ends_with("release").then_some("--release"))
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", profile.parent().unwrap());
    run_for_long(build);

    let greetings = profile.join("greetings");
    let at_server = |arguments: &[&str]| {
        let mut command = program(&greetings);
        command.args(arguments).env("TEMPORAL_ADDRESS", server::address());
        command
    };
    let _up = Process::start(at_server(&["up", "-w", "1"]));
    let results = run(at_server(&["starter", "-n", "2", "--input", "\"you\""])).success();
    assert_eq!(results, ["Hello, you!", "Hello, you!"]);
}

/// A build takes as long as it takes.
fn run_for_long(mut command: std::process::Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
