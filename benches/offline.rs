//! What of a fleet needs no server: its settings, the report of a batch, the replay of a history.
//!
//! ```sh
//! cargo bench                # measures, and compares with the last time
//! cargo bench -- replay      # one of them
//! ```

use std::{fmt::Write as _, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use temporal_fleet::{Environment, Fleet, bench_report, parallelized::ParallelizedWorkflow};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

/// A run of the sample, as the SDK writes it (`WorkflowHistory::to_json`): the CLI's JSON has other names,
/// and the SDK does not read it.
const HISTORY: &[u8] = include_bytes!("histories/parallelized.json");

fn config(criterion: &mut Criterion) {
    let fleet = Fleet::new("bench").workflow::<ParallelizedWorkflow>();
    let mut text = String::from(
        "FLEET_ROLE=workflow-worker\nFLEET_MAX_CACHED_WORKFLOWS=500\nFLEET_DRAIN_TIMEOUT=30s\n\
         TEMPORAL_ADDRESS=localhost:7233\nOTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317\n",
    );
    // As much again that is none of its business, as in any environment.
    for number in 0..50 {
        let _ = writeln!(text, "SOMETHING_ELSE_{number}=value {number}");
    }
    let environment: Environment = text.parse().expect("NAME=value lines");
    criterion.bench_function("config", |bencher| {
        bencher.iter_batched(
            || environment.clone(),
            |environment| fleet.config(environment).expect("settings without a mistake"),
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
        .expect("a machine with resources left");
    let mut options = WorkflowReplayerOptions::new().build();
    options.register_workflow::<ParallelizedWorkflow>().expect("a workflow of that name");
    let replayer = WorkflowReplayer::new(options).expect("a replayer of one workflow");
    criterion.bench_function("replay", |bencher| {
        bencher.iter_batched(
            || WorkflowHistory::from_json(HISTORY).expect("a history"),
            |history| {
                runtime
                    .block_on(replayer.replay_workflow(history))
                    .expect("the workflow still does what it did");
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, config, report, replay);
criterion_main!(benches);
