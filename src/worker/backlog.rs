//! The backlog of a worker's task queue, as a metric.

use std::{convert::Infallible, future::pending, time::Duration};

use temporalio_client::Client;
use tokio::time::{sleep, timeout};

use crate::{
    config::role::Role,
    telemetry::metrics::Metrics,
    temporal::{
        connection::TRY_TIMEOUT,
        task_queue::{self, TaskKind},
    },
};

/// The interval between two requests, which is how often Prometheus usually scrapes.
const PERIOD: Duration = Duration::from_secs(15);

/// Periodically asks the server how many tasks wait in the queue that a worker in `role` polls, and
/// records that as a metric.
pub(super) async fn record_backlog(
    client: &Client,
    queue: &str,
    role: Role,
    metrics: Option<&Metrics>,
) -> Infallible {
    let Some(metrics) = metrics else { return pending().await };
    loop {
        for kind in TaskKind::all_of(role) {
            // An unreachable server is not reported here, because the connection's metrics show it.
            let backlog = timeout(TRY_TIMEOUT, task_queue::backlog(client, queue, kind));
            if let Ok(Ok(backlog)) = backlog.await {
                metrics.record_backlog(queue, kind.as_str(), backlog.tasks, backlog.oldest);
            }
        }
        sleep(PERIOD).await;
    }
}
