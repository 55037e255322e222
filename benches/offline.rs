//! Measures the parts of a fleet that need no server: reading its settings, reporting a batch, and
//! replaying a history.
//!
//! ```sh
//! cargo bench                # measures all, and compares with the last run
//! cargo bench -- replay      # measures one of them
//! ```

use std::{fmt::Write as _, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use temporal_fleet::{Environment, Fleet, bench_report, parallelized::ParallelizedWorkflow};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

/// The history of one run of the sample, written by the SDK's `WorkflowHistory::to_json`. The SDK cannot
/// read the CLI's JSON, which has other field names.
const HISTORY: &[u8] = include_bytes!("histories/parallelized.json");

fn config(criterion: &mut Criterion) {
    let fleet = Fleet::new("bench").workflow::<ParallelizedWorkflow>();
    let mut text = String::from(
        "FLEET_ROLE=workflow-worker\nFLEET_MAX_CACHED_WORKFLOWS=500\nFLEET_DRAIN_TIMEOUT=30s\n\
         TEMPORAL_ADDRESS=localhost:7233\nOTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317\n",
    );
    // Every environment contains many variables that the fleet does not use.
    for number in 0..50 {
        let _ = writeln!(text, "SOMETHING_ELSE_{number}=value {number}");
    }
    let environment: Environment = text.parse().expect("NAME=value lines");
    criterion.bench_function("config", |bencher| {
        bencher.iter_batched(
            || environment.clone(),
            |environment| fleet.config(environment).expect("the settings are valid"),
            BatchSize::SmallInput,
        );
    });
}

fn report(criterion: &mut Criterion) {
    const WORKFLOWS: usize = 1000;
    let mut group = criterion.benchmark_group("report");
    group.throughput(Throughput::Elements(WORKFLOWS as u64));
    for (name, as_json) in [("text", false), ("json", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| bench_report(black_box(WORKFLOWS), as_json));
        });
    }
    group.finish();
}

fn replay(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the runtime starts");
    let mut options = WorkflowReplayerOptions::new().build();
    options.register_workflow::<ParallelizedWorkflow>().expect("the workflow can be registered");
    let replayer = WorkflowReplayer::new(options).expect("the replayer can be created");
    criterion.bench_function("replay", |bencher| {
        bencher.iter_batched(
            || WorkflowHistory::from_json(HISTORY).expect("the history can be parsed"),
            |history| {
                runtime.block_on(replayer.replay_workflow(history)).expect("the workflow replays");
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, config, report, replay);
criterion_main!(benches);
