//! The times of tasks, from the server's own histories of some of the workflows.
//!
//! They are read after the run, so that reading them is no part of the load.

use std::time::Duration;

use futures::{StreamExt, stream};
use temporalio_client::Client;
use tokio::time::timeout;

use super::{measure::Measure, results::Results};
use crate::{
    batch::Batch,
    temporal::connection::Target,
    timeline::{Kind, Phase, Timeline, TimelineReader},
};

/// Histories that are read at a time.
const AT_A_TIME: usize = 8;

/// Reads the histories of the sample, for so long at most. One that cannot be read is left out.
pub(crate) async fn read(
    results: &mut Results,
    batch: &Batch,
    client: &Client,
    target: &Target,
    within: Duration,
) {
    let sampled = results.sampled();
    let reading = async {
        let mut read = stream::iter(sampled)
            .map(async |it| {
                let id = batch.workflow_id(it.index);
                TimelineReader::new(client.clone(), target.clone(), &id, &it.run_id)
                    .read_closed()
                    .await
            })
            .buffer_unordered(AT_A_TIME);
        while let Some(timeline) = read.next().await {
            if let Ok(timeline) = timeline {
                add(results, &timeline);
            }
        }
    };
    // What was read until then is enough to go by, and it is told how much that was.
    let _ = timeout(within, reading).await;
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
