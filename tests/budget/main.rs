//! What a workflow of the sample costs its workers, in counts: allocations, and writes to sockets and to
//! other threads. Unlike time these hardly depend on what else the machine does, so that a change which
//! makes each workflow dearer fails here. What it costs in time, `benches/compare` tells.
#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]

use temporal_fleet::{Environment, Fleet, FleetWorker, Role, parallelized::ParallelizedWorkflow};
use tokio::sync::oneshot;

// Shared with the other tests, of which these need a part.
#[allow(dead_code, reason = "a part")]
#[path = "../it/server.rs"]
mod server;
#[allow(dead_code, unused_imports, reason = "a part")]
#[path = "../it/support/mod.rs"]
mod support;

use support::{Process, World, run};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How far above its budget a count may be: what differs from run to run is how often a poll of the sticky
/// queue has to be made again, and how many threads have to be woken.
const MARGIN: f64 = 1.5;

/// Allocations of a workflow worker for each workflow: counted in November 2026, SDK 1.1.1.
const ALLOCATIONS: f64 = 862.0;
/// Their bytes.
const BYTES: f64 = 398_000.0;
/// Writes of the workflow worker and of the activity worker, wake-ups of threads among them.
const WRITES: [f64; 2] = [21.0, 5.3];

/// Enough to make what is done once, or once a minute, disappear.
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
    // Calls of write and its kin: messages to the server, and wake-ups of a thread that sleeps.
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
