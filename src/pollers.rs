//! Who polls a task queue, by the server's own account.

use std::time::{Duration, SystemTime};

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    enums::v1::{TaskQueueKind, TaskQueueType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::DescribeTaskQueueRequest,
};

use crate::{client::describe, error::Error, role::Role};

/// One poller of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    pub(crate) identity: String,
    /// When the server last saw a poll of it.
    pub(crate) last_access: Option<SystemTime>,
}

/// The kind of task that a poller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Workflow,
    Activity,
}

impl TaskKind {
    /// The kind by which a worker in `role` is known at its queue; role worker polls for both.
    pub(crate) fn of(role: Role) -> Self {
        if role.runs_workflows() { Self::Workflow } else { Self::Activity }
    }
}

/// The pollers of `queue` for one kind of task. The server forgets one after about five minutes.
pub(crate) async fn of_queue(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Vec<Poller>, Error> {
    let kind = match kind {
        TaskKind::Workflow => TaskQueueType::Workflow,
        TaskKind::Activity => TaskQueueType::Activity,
    };
    let request = DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(TaskQueue {
            name: queue.to_owned(),
            kind: TaskQueueKind::Normal.into(),
            ..Default::default()
        }),
        task_queue_type: kind.into(),
        ..Default::default()
    };
    let response = client
        .clone()
        .describe_task_queue(request.into_request())
        .await
        .map_err(|status| Error::Rpc { what: "describe a task queue", cause: describe(&status) })?
        .into_inner();
    Ok(response
        .pollers
        .into_iter()
        .map(|poller| Poller {
            identity: poller.identity,
            last_access: poller.last_access_time.and_then(|time| {
                let seconds = Duration::from_secs(u64::try_from(time.seconds).ok()?);
                let nanos = Duration::from_nanos(u64::try_from(time.nanos).ok()?);
                Some(SystemTime::UNIX_EPOCH + seconds + nanos)
            }),
        })
        .collect())
}
