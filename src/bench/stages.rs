//! The times of tasks, from the histories of a sample of the workflows.
//!
//! The histories are read after the run, so that reading them is not part of the load.

use std::time::Duration;

use futures::{StreamExt, stream};
use temporalio_client::Client;
use tokio::time::timeout;

use super::{measure::Measure, results::Results};
use crate::{
    batch::Batch,
    temporal::target::Target,
    timeline::{Kind, Phase, RunStatus, Timeline, TimelineReader},
};

/// How many histories are read at the same time.
const AT_A_TIME: usize = 8;
/// How many runs of one workflow are read at most.
const MOST_RUNS: usize = 50;

/// The histories of one workflow.
struct Runs {
    timelines: Vec<Timeline>,
    /// Whether no run is missing.
    are_all: bool,
}

/// Reads the histories of the sample and adds their times to `results`. After the time `within` it
/// stops. A history that cannot be read is left out; `results.histories` counts the others.
pub(crate) async fn read(
    results: &mut Results,
    batch: &Batch,
    client: &Client,
    target: &Target,
    within: Duration,
) {
    let sample = results.take_sample();
    let read_all = async {
        let mut workflows = stream::iter(sample)
            .map(async |run| {
                read_runs(client, target, &batch.workflow_id(run.index), run.run_id).await
            })
            .buffer_unordered(AT_A_TIME);
        while let Some(runs) = workflows.next().await {
            for timeline in &runs.timelines {
                add(results, timeline);
            }
            results.cut_chains += usize::from(!runs.are_all && !runs.timelines.is_empty());
        }
    };
    let _ = timeout(within, read_all).await;
}

/// Reads a run, and those before and after it: a workflow that continues as new, is retried or has a cron
/// schedule has several.
async fn read_runs(client: &Client, target: &Target, id: &str, run_id: String) -> Runs {
    let read = async |run_id: &str| {
        TimelineReader::new(client.clone(), target.clone(), id, run_id).read_closed().await.ok()
    };
    let Some(first) = read(&run_id).await else {
        return Runs { timelines: Vec::new(), are_all: false };
    };
    let (mut earlier, mut later) = (first.run.previous_run.clone(), first.run.next_run.clone());
    let mut runs = Runs { timelines: vec![first], are_all: true };
    while let Some(run_id) = earlier.take().or_else(|| later.take()) {
        let is_room = runs.timelines.len() < MOST_RUNS;
        let Some(timeline) = (if is_room { read(&run_id).await } else { None }) else {
            runs.are_all = false;
            return runs;
        };
        let first = &runs.timelines[0].run;
        let is_earlier = timeline.run.started < first.started;
        // A run that was reset is counted in the run that took its place.
        if timeline.run.status == RunStatus::Terminated {
            continue;
        }
        if is_earlier {
            earlier.clone_from(&timeline.run.previous_run);
        } else {
            later.clone_from(&timeline.run.next_run);
        }
        runs.timelines.push(timeline);
    }
    runs
}

fn add(results: &mut Results, timeline: &Timeline) {
    results.histories += 1;
    for row in &timeline.rows {
        let (queue, run) = match row.kind {
            Kind::WorkflowTask => {
                (Measure::WorkflowTaskScheduleToStart, Measure::WorkflowTaskExecution)
            }
            Kind::Activity => (Measure::ActivityScheduleToStart, Measure::ActivityExecution),
            _ => continue,
        };
        if let Some(time) = row.time_in(Phase::Queue, timeline.until) {
            results.record(queue, time);
        }
        if let Some(time) = row.run_time(timeline.until) {
            results.record(run, time);
        }
    }
}
