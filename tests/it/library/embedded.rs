//! Workers that a user's own program runs.

use std::{sync::Arc, time::Duration};

use temporal_fleet::{
    DrainSignal, Environment, Error, Fleet, FleetWorker, Role, State, activity_task_queue,
};
use temporalio_client::{UntypedWorkflow, WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_sdk::{
    ActivityOptions, ContinueAsNewOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError, activities},
    workflows::{workflow, workflow_methods},
};
use tokio::sync::{Notify, Semaphore};

use crate::{
    server,
    support::{DEADLINE, World, run},
};

#[workflow]
#[derive(Default)]
struct ReportQueue;

#[workflow_methods]
impl ReportQueue {
    #[run]
    async fn run(_ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        Ok(activity_task_queue().unwrap_or_else(|| "none".into()))
    }
}

/// A workflow that counts down to zero, with continue-as-new for each step.
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
        Ok(ctx.execute_activity(IgnoresCancellation::sleep, (), options).await?)
    }
}

/// Activities that ignore cancellation and the drain until the test releases them.
struct IgnoresCancellation {
    started: Arc<Notify>,
    release: Arc<Notify>,
}

#[activities]
impl IgnoresCancellation {
    #[activity]
    async fn sleep(self: Arc<Self>, _ctx: ActivityContext) -> Result<(), ActivityError> {
        self.started.notify_one();
        self.release.notified().await;
        Ok(())
    }
}

/// Returns the settings of a fleet with its own task queues on the shared server.
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
fn a_batch_of_workflows_that_continue_as_new_can_be_run_again_and_extended() {
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
    let fleet = Fleet::new("embedded").workflow::<ReportQueue>();
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
                let reported = result_of(&client, "ReportQueue", &world.workflow_queue()).await;
                assert_eq!(reported, world.activity_queue());
            }
            stop.notify_waiters();
        };
        let (first, second, ()) =
            tokio::join!(first.run(stop.notified()), second.run(stop.notified()), questions);
        first.unwrap();
        second.unwrap();
    });
    assert_eq!(activity_task_queue(), None, "outside a worker there is no task queue");
}

#[test]
fn an_activity_that_ignores_cancellation_ends_an_embedded_worker_at_the_drain_deadline() {
    let world = World::new();
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let fleet = Fleet::new("embedded")
        .workflow::<Block>()
        .activities(IgnoresCancellation { started: started.clone(), release: release.clone() });
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
        let asynchronous = ctx.execute_activity(UntilDrain::wait, (), options());
        let synchronous = ctx.execute_activity(UntilDrain::block, (), options());
        let (one, other) = temporalio_sdk::workflows::join!(asynchronous, synchronous);
        one?;
        Ok(other?)
    }
}

/// Activities that run until their worker drains.
struct UntilDrain {
    started: Arc<Semaphore>,
}

#[activities]
impl UntilDrain {
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
        // The loop has a time limit: otherwise a failing test could not end this thread, nor itself.
        let start = std::time::Instant::now();
        while !drain.is_draining() && start.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

#[test]
fn async_and_sync_activities_leave_early_when_their_own_worker_drains() {
    let started = Arc::new(Semaphore::new(0));
    let fleet = Fleet::new("until-drain")
        .workflow::<WaitBothWays>()
        .activities(UntilDrain { started: started.clone() });
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
            // The activity ended long before its grace, and the other worker continued.
            assert_eq!(*second_state.borrow(), State::Ready);
            second_stop.notify_one();
            ended
        };
        let (first, second, ()) = tokio::join!(first, second.run(stops[1].notified()), both);
        first.unwrap();
        second.unwrap();
    });
}
