//! Asks the server about a task queue: its pollers, its backlog and its rates.

use std::time::{Duration, SystemTime};

use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion},
    enums::v1::{DescribeTaskQueueMode, TaskQueueKind, TaskQueueType, WorkerVersioningMode},
    taskqueue::v1::{PollerInfo, TaskQueue, TaskQueueStats, TaskQueueVersionSelection},
    workflowservice::v1::{DescribeTaskQueueRequest, DescribeTaskQueueResponse},
};

use super::{
    clock,
    rate_limits::{RateLimits, once, repeat_limited},
    target::describe,
};
use crate::{config::role::Role, error::Error};

/// A poller that the server has not seen for this long has probably gone. A poll is answered after at most a
/// minute, with a task or without one, and is then repeated. The server forgets a poller after five minutes.
const POLLER_TIMEOUT: Duration = Duration::from_secs(90);

/// A worker that polls a queue.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    pub(crate) identity: String,
    /// When the server last received a poll from it.
    pub(crate) last_access: Option<SystemTime>,
    /// Its worker deployment version, as `deployment:build`; `None` if it is not versioned.
    pub(crate) version: Option<String>,
    /// When the server listed it, by the server's clock as far as that is known.
    pub(crate) listed: SystemTime,
}

impl Poller {
    /// How long ago the server received its last poll.
    pub(crate) fn seen_ago(&self) -> Option<Duration> {
        self.last_access.map(|at| self.listed.duration_since(at).unwrap_or_default())
    }

    /// Whether the worker has probably gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.seen_ago().is_none_or(|ago| ago > POLLER_TIMEOUT)
    }
}

/// The tasks that wait in a queue for a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    /// The server's estimate of how many they are.
    pub(crate) tasks: i64,
    /// How long the oldest of them has waited.
    pub(crate) oldest: Option<Duration>,
}

impl Backlog {
    fn of(stats: &TaskQueueStats) -> Self {
        Self {
            tasks: stats.approximate_backlog_count,
            oldest: stats.approximate_backlog_age.and_then(|age| age.try_into().ok()),
        }
    }
}

/// The state of a queue for one kind of task.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) pollers: Vec<Poller>,
    /// The server's estimate of how many tasks wait for a worker.
    pub(crate) backlog: i64,
    /// How long the oldest of them has waited.
    pub(crate) oldest: Option<Duration>,
    /// Tasks added per second, over the last 30 seconds.
    pub(crate) add_rate: f32,
    /// Tasks given to workers per second, over the last 30 seconds.
    pub(crate) dispatch_rate: f32,
    /// The worker deployment version that new workflows are routed to, as `deployment:build`.
    pub(crate) routed_to: Option<String>,
}

impl View {
    /// Counts times from `now`, which is the server's time.
    pub(crate) fn count_from(&mut self, now: SystemTime) {
        for poller in &mut self.pollers {
            poller.listed = now;
        }
    }

    /// Whether the queue has pollers or waiting tasks.
    pub(crate) fn is_used(&self) -> bool {
        !self.pollers.is_empty() || self.backlog > 0
    }

    /// Whether tasks wait and no worker polls for them.
    pub(crate) fn is_unserved(&self) -> bool {
        self.backlog > 0 && self.pollers.iter().all(Poller::is_gone)
    }
}

/// The kind of task that a poller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TaskKind {
    Workflow,
    Activity,
}

impl TaskKind {
    /// The kind under which the server lists a worker in `role` as a poller. The role `worker` polls for both
    /// kinds and is looked up among the workflow pollers.
    pub(crate) fn of(role: Role) -> Self {
        if role.runs_workflows() { Self::Workflow } else { Self::Activity }
    }

    /// The kinds that a worker in `role` polls for.
    pub(crate) fn all_of(role: Role) -> Vec<Self> {
        let kinds =
            [(role.runs_workflows(), Self::Workflow), (role.runs_activities(), Self::Activity)];
        kinds.into_iter().filter_map(|(is_polled, kind)| is_polled.then_some(kind)).collect()
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Activity => "activity",
        }
    }
}

/// The pollers of `queue` for one kind of task. If all seem to have gone, that may be this machine's
/// clock, and they are judged by the server's.
///
/// # Errors
/// [`Error::Rpc`] if the server refuses or does not answer.
pub(crate) async fn pollers(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Vec<Poller>, Error> {
    let mut pollers = listed_pollers(client, queue, kind).await?;
    if !pollers.is_empty()
        && pollers.iter().all(Poller::is_gone)
        && let Some(clock) = clock::measure(client, queue).await
    {
        for poller in &mut pollers {
            poller.listed = clock.now();
        }
    }
    Ok(pollers)
}

/// The pollers of `queue` for one kind of task, as the server lists them.
///
/// # Errors
/// [`Error::Rpc`] if the server refuses or does not answer.
pub(crate) async fn listed_pollers(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Vec<Poller>, Error> {
    let response = describe_with_all_pollers(client, queue, kind, false, None).await?;
    Ok(response.pollers.into_iter().map(Poller::from).collect())
}

/// The whole state of `queue` for one kind of task. `limits` counts the refusals of the calls.
///
/// # Errors
/// [`Error::Rpc`] if the server refuses or does not answer.
pub(crate) async fn view(
    client: &Client,
    queue: &str,
    kind: TaskKind,
    limits: &RateLimits,
) -> Result<View, Error> {
    let response = describe_with_all_pollers(client, queue, kind, true, Some(limits)).await?;
    let stats = response.stats.unwrap_or_default();
    let backlog = Backlog::of(&stats);
    let routed_to = response.versioning_info.and_then(|info| info.current_deployment_version);
    Ok(View {
        pollers: response.pollers.into_iter().map(Poller::from).collect(),
        backlog: backlog.tasks,
        oldest: backlog.oldest,
        add_rate: stats.tasks_add_rate,
        dispatch_rate: stats.tasks_dispatch_rate,
        routed_to: routed_to.map(|WorkerDeploymentVersion { deployment_name, build_id }| {
            format!("{deployment_name}:{build_id}")
        }),
    })
}

/// The backlog of `queue` for one kind of task. This is one call to the server, where [`view`] makes two.
///
/// # Errors
/// [`Error::Rpc`] if the server refuses or does not answer.
pub(crate) async fn backlog(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Backlog, Error> {
    let response =
        describe_queue(client, describe_request(client, queue, kind, true), None).await?;
    Ok(Backlog::of(&response.stats.unwrap_or_default()))
}

/// Describes the queue, with the pollers that any of its partitions knows.
async fn describe_with_all_pollers(
    client: &Client,
    queue: &str,
    kind: TaskKind,
    report_stats: bool,
    limits: Option<&RateLimits>,
) -> Result<DescribeTaskQueueResponse, Error> {
    let request = describe_request(client, queue, kind, report_stats);
    let (response, more_pollers) = tokio::join!(
        describe_queue(client, request.clone(), limits),
        pollers_of_all_partitions(client, request, limits),
    );
    let mut response = response?;
    response.pollers = merge(response.pollers, more_pollers);
    Ok(response)
}

async fn describe_queue(
    client: &Client,
    request: DescribeTaskQueueRequest,
    limits: Option<&RateLimits>,
) -> Result<DescribeTaskQueueResponse, Error> {
    let refused = |status: Status| Error::Rpc {
        what: "describe a task queue",
        cause: describe(&status),
        code: status.code(),
    };
    call(client, request, limits).await.map_err(refused)
}

/// Asks the server. With `limits`, calls that it refuses because of a limit are counted.
async fn call(
    client: &Client,
    request: DescribeTaskQueueRequest,
    limits: Option<&RateLimits>,
) -> Result<DescribeTaskQueueResponse, Status> {
    let answer = match limits {
        None => client.clone().describe_task_queue(request.into_request()).await,
        Some(limits) => {
            repeat_limited(limits, async || {
                client.clone().describe_task_queue(once(request.clone())).await
            })
            .await
        }
    };
    Ok(answer?.into_inner())
}

fn describe_request(
    client: &Client,
    queue: &str,
    kind: TaskKind,
    report_stats: bool,
) -> DescribeTaskQueueRequest {
    let kind = match kind {
        TaskKind::Workflow => TaskQueueType::Workflow,
        TaskKind::Activity => TaskQueueType::Activity,
    };
    DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(TaskQueue {
            name: queue.to_owned(),
            kind: TaskQueueKind::Normal.into(),
            ..Default::default()
        }),
        task_queue_type: kind.into(),
        report_stats,
        ..Default::default()
    }
}

/// The pollers that the queue's partitions know. The server caches this answer, so it may be a few seconds
/// old.
///
/// The plain request is answered by the first partition alone, and a queue usually has four. A worker with
/// one or two pollers may be unknown there for minutes, because each of its polls lasts up to a minute
/// and may go to another partition.
#[expect(deprecated, reason = "no other call covers all partitions")]
async fn pollers_of_all_partitions(
    client: &Client,
    mut request: DescribeTaskQueueRequest,
    limits: Option<&RateLimits>,
) -> Vec<PollerInfo> {
    request.task_queue_types = vec![request.task_queue_type];
    request.api_mode = DescribeTaskQueueMode::Enhanced.into();
    request.report_pollers = true;
    request.report_stats = false;
    request.versions = Some(TaskQueueVersionSelection {
        unversioned: true,
        all_active: true,
        ..Default::default()
    });
    // The server may not support this mode. Then the plain answer is all there is.
    let Ok(response) = call(client, request, limits).await else {
        return Vec::new();
    };
    let versions = response.versions_info.into_values();
    versions
        .flat_map(|version| version.types_info.into_values())
        .flat_map(|of_kind| of_kind.pollers)
        .collect()
}

/// Both lists in one, where each poller appears once, as it was seen last.
fn merge(one: Vec<PollerInfo>, other: Vec<PollerInfo>) -> Vec<PollerInfo> {
    let mut pollers: Vec<PollerInfo> = Vec::new();
    for poller in one.into_iter().chain(other) {
        let seen =
            |poller: &PollerInfo| poller.last_access_time.map(|time| (time.seconds, time.nanos));
        match pollers.iter_mut().find(|known| known.identity == poller.identity) {
            Some(known) if seen(known) < seen(&poller) => *known = poller,
            Some(_) => {}
            None => pollers.push(poller),
        }
    }
    pollers
}

impl From<PollerInfo> for Poller {
    fn from(info: PollerInfo) -> Self {
        Self {
            identity: info.identity,
            last_access: info.last_access_time.and_then(|time| time.try_into().ok()),
            version: info.deployment_options.as_ref().and_then(version),
            listed: SystemTime::now(),
        }
    }
}

fn version(options: &WorkerDeploymentOptions) -> Option<String> {
    let versioned = options.worker_versioning_mode() == WorkerVersioningMode::Versioned;
    versioned.then(|| format!("{}:{}", options.deployment_name, options.build_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ago: u64) -> Poller {
        Poller {
            identity: "worker@host:1".into(),
            last_access: Some(SystemTime::now() - Duration::from_secs(ago)),
            version: None,
            listed: SystemTime::now(),
        }
    }

    #[test]
    fn a_poller_is_judged_by_the_servers_clock() {
        let mut view = View {
            pollers: vec![seen(120)],
            backlog: 1,
            oldest: None,
            add_rate: 0.0,
            dispatch_rate: 0.0,
            routed_to: None,
        };
        assert!(view.is_unserved());
        // This machine's clock is two minutes ahead.
        view.count_from(SystemTime::now() - Duration::from_mins(2));
        assert!(!view.is_unserved());
        assert!(view.pollers[0].seen_ago().unwrap() < Duration::from_secs(90));
    }

    #[test]
    fn a_queue_is_unserved_if_tasks_wait_and_every_poller_has_gone() {
        let view = |pollers, backlog| View {
            pollers,
            backlog,
            oldest: None,
            add_rate: 0.0,
            dispatch_rate: 0.0,
            routed_to: None,
        };
        assert!(view(vec![], 1).is_unserved());
        assert!(view(vec![seen(91), seen(200)], 1).is_unserved());
        assert!(!view(vec![seen(91), seen(60)], 1).is_unserved());
        assert!(!view(vec![], 0).is_unserved());
        // The server's clock may be ahead of this machine's.
        let ahead = SystemTime::now() + Duration::from_mins(1);
        assert!(!Poller { last_access: Some(ahead), ..seen(0) }.is_gone());
    }
}
