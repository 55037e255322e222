//! Limits for what a workflow of the sample costs its workers, as counts of allocations and of writes to
//! sockets and to other threads. Unlike times, these counts hardly depend on other load of the machine,
//! so that a change that makes workflows more expensive fails here. `benches/compare` measures the time.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use temporal_fleet::{Environment, Fleet, FleetWorker, Role, parallelized::ParallelizedWorkflow};
use tokio::sync::oneshot;

// The modules below are shared with the other tests. These tests use only a part of them.
#[allow(dead_code, reason = "partly used")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "partly used")]
#[path = "../it/support/mod.rs"]
mod support;

use support::{Process, World, run};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The factor by which a count may differ from its budget. Between runs, the number of repeated polls of
/// the sticky queue differs, and the number of threads that have to be woken.
const MARGIN: f64 = 1.5;

/// Allocations of a workflow worker for each workflow, counted in November 2026 with SDK 1.1.1.
const ALLOCATIONS: f64 = 862.0;
/// Bytes that these allocations have in total.
const BYTES: f64 = 398_000.0;
/// Writes of the workflow worker and of the activity worker for each workflow. They include wake-ups of
/// threads.
const WRITES: [f64; 2] = [21.0, 5.3];

/// The number of workflows, large enough to make work that happens once, or once a minute, negligible.
const WORKFLOWS: usize = 100;

#[track_caller]
fn assert_within(what: &str, counted: f64, budget: f64) {
    println!("{what}: {counted:.1} a workflow, budget {budget}");
    assert!(
        counted <= budget * MARGIN,
        "{what}: {counted:.1} a workflow, {:.1} times the budget of {budget}. If that is worth it, set a new one",
        counted / budget
    );
    assert!(
        counted * MARGIN >= budget,
        "{what}: {counted:.1} a workflow, far below the budget of {budget}: set a new one, or it guards nothing"
    );
}

fn run_batch(world: &World, count: usize) {
    let count = count.to_string();
    let results = run(world.fleet(["starter", "-n", &count, "--concurrency", "10"])).success();
    assert_eq!(results.len().to_string(), count);
}

#[test]
fn a_workflow_needs_no_more_allocations_than_recorded() {
    let profiler = dhat::Profiler::builder().testing().build();
    let world = World::new();
    let _activities = Process::start(world.fleet(["worker", "--role", "activity-worker"]));
    let fleet = Fleet::new("budget").workflow::<ParallelizedWorkflow>();
    let environment = Environment::from_iter([
        ("TEMPORAL_ADDRESS".to_owned(), server::address().to_owned()),
        ("FLEET_WORKFLOW_TASK_QUEUE".to_owned(), world.workflow_queue()),
        ("FLEET_ACTIVITY_TASK_QUEUE".to_owned(), world.activity_queue()),
    ]);
    let config = fleet.config(environment).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let batches = std::thread::spawn(move || {
        run_batch(&world, 20);
        let before = dhat::HeapStats::get();
        run_batch(&world, WORKFLOWS);
        let after = dhat::HeapStats::get();
        drop(stop);
        (after.total_blocks - before.total_blocks, after.total_bytes - before.total_bytes)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let worker = FleetWorker::build(&fleet, &config, Role::WorkflowWorker).await.unwrap();
        worker.run(async { drop(stopped.await) }).await.unwrap();
    });
    let (blocks, bytes) = batches.join().unwrap();
    drop(profiler);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = |sum: u64| sum as f64 / WORKFLOWS as f64;
    assert_within("allocations", each(blocks), ALLOCATIONS);
    assert_within("bytes allocated", each(bytes), BYTES);
}

#[cfg(target_os = "linux")]
#[test]
fn a_workflow_needs_no_more_writes_than_recorded() {
    let world = World::new();
    let up = Process::start_ready(world.fleet(["up", "-w", "1", "-a", "1"]));
    run_batch(&world, 20);
    let workers: Vec<u32> =
        support::children_of(up.pid()).into_iter().map(|child| child.0).collect();
    assert_eq!(workers.len(), 2);
    // The number of `write` calls and the like: messages to the server, and wake-ups of sleeping threads.
    let writes = |worker: &u32| -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{worker}/io")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap().parse().unwrap()
    };
    let before: Vec<f64> = workers.iter().map(writes).collect();
    run_batch(&world, WORKFLOWS);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = WORKFLOWS as f64;
    for ((worker, before), budget) in workers.iter().zip(before).zip(WRITES) {
        let (_, command) =
            support::children_of(up.pid()).into_iter().find(|child| child.0 == *worker).unwrap();
        assert_within(&format!("writes of {command:?}"), (writes(worker) - before) / count, budget);
    }
}
