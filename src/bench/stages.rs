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
    timeline::{Kind, Phase, Timeline, TimelineReader},
};

/// How many histories are read at the same time.
const AT_A_TIME: usize = 8;

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
        let mut timelines = stream::iter(sample)
            .map(async |run| {
                let id = batch.workflow_id(run.index);
                TimelineReader::new(client.clone(), target.clone(), &id, &run.run_id)
                    .read_closed()
                    .await
            })
            .buffer_unordered(AT_A_TIME);
        while let Some(timeline) = timelines.next().await {
            if let Ok(timeline) = timeline {
                add(results, &timeline);
            }
        }
    };
    let _ = timeout(within, read_all).await;
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
