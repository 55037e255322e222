//! A task queue by the server's own account: who polls it, and what waits in it.

use std::time::{Duration, SystemTime};

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion},
    enums::v1::{DescribeTaskQueueMode, TaskQueueKind, TaskQueueType, WorkerVersioningMode},
    taskqueue::v1::{PollerInfo, TaskQueue, TaskQueueStats, TaskQueueVersionSelection},
    workflowservice::v1::{DescribeTaskQueueRequest, DescribeTaskQueueResponse},
};

use super::target::describe;
use crate::{config::role::Role, error::Error};

/// A poll is answered after a minute at the latest, if only with nothing, and then repeated. Who was
/// not seen for this long has probably gone; the server forgets it after five minutes.
const GONE: Duration = Duration::from_secs(90);

/// One poller of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    pub(crate) identity: String,
    /// When the server last saw a poll of it.
    pub(crate) last_access: Option<SystemTime>,
    /// The version of a worker deployment that it is, as `deployment:build`.
    pub(crate) version: Option<String>,
}

impl Poller {
    /// How long ago the server saw it, by this machine's clock.
    pub(crate) fn seen_ago(&self) -> Option<Duration> {
        self.last_access.map(|at| at.elapsed().unwrap_or_default())
    }

    /// Whether it has probably gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.seen_ago().is_none_or(|ago| ago > GONE)
    }
}

/// What waits in a queue for a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    /// About how many tasks.
    pub(crate) tasks: i64,
    /// How long the first of them has waited.
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

/// A queue for one kind of task.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) pollers: Vec<Poller>,
    /// About how many tasks wait for a worker.
    pub(crate) backlog: i64,
    /// How long the first of them has waited.
    pub(crate) oldest: Option<Duration>,
    /// Tasks a second, over the last 30 seconds.
    pub(crate) add_rate: f32,
    pub(crate) dispatch_rate: f32,
    /// The version of a worker deployment that new workflows are routed to, as `deployment:build`.
    pub(crate) routed_to: Option<String>,
}

impl View {
    /// Whether anything polls it, or waits in it.
    pub(crate) fn is_used(&self) -> bool {
        !self.pollers.is_empty() || self.backlog > 0
    }

    /// Whether tasks wait and nobody comes for them.
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
    /// The kind by which a worker in `role` is known at its queue; role worker polls for both.
    pub(crate) fn of(role: Role) -> Self {
        if role.runs_workflows() { Self::Workflow } else { Self::Activity }
    }

    /// The kinds that a worker in `role` takes from its queue.
    pub(crate) fn all_of(role: Role) -> Vec<Self> {
        let kinds =
            [(role.runs_workflows(), Self::Workflow), (role.runs_activities(), Self::Activity)];
        kinds.into_iter().filter_map(|(does, kind)| does.then_some(kind)).collect()
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Activity => "activity",
        }
    }
}

/// The pollers of `queue` for one kind of task.
///
/// # Errors
/// [`Error::Rpc`].
pub(crate) async fn pollers(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Vec<Poller>, Error> {
    let response = ask(client, queue, kind, false).await?;
    Ok(response.pollers.into_iter().map(Poller::from).collect())
}

/// All that the server tells of `queue` for one kind of task.
///
/// # Errors
/// [`Error::Rpc`].
pub(crate) async fn view(client: &Client, queue: &str, kind: TaskKind) -> Result<View, Error> {
    let response = ask(client, queue, kind, true).await?;
    let stats = response.stats.unwrap_or_default();
    let backlog = Backlog::of(&stats);
    let routed_to = response.versioning_info.and_then(|it| it.current_deployment_version);
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

/// What waits in `queue` for one kind of task: one call, where [`view`] takes two.
///
/// # Errors
/// [`Error::Rpc`].
pub(crate) async fn backlog(
    client: &Client,
    queue: &str,
    kind: TaskKind,
) -> Result<Backlog, Error> {
    let response = describe_queue(client, question(client, queue, kind, true)).await?;
    Ok(Backlog::of(&response.stats.unwrap_or_default()))
}

async fn ask(
    client: &Client,
    queue: &str,
    kind: TaskKind,
    report_stats: bool,
) -> Result<DescribeTaskQueueResponse, Error> {
    let request = question(client, queue, kind, report_stats);
    let (response, elsewhere) = tokio::join!(
        describe_queue(client, request.clone()),
        pollers_of_all_partitions(client, request),
    );
    let mut response = response?;
    response.pollers = merged(response.pollers, elsewhere);
    Ok(response)
}

async fn describe_queue(
    client: &Client,
    request: DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Error> {
    let refused = |status| Error::Rpc { what: "describe a task queue", cause: describe(&status) };
    let response = client.clone().describe_task_queue(request.into_request()).await;
    Ok(response.map_err(refused)?.into_inner())
}

fn question(
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

/// The pollers that each of the queue's partitions knows, as of at most a few seconds ago: the server
/// keeps its answer.
///
/// The plain question is answered by the first partition alone, of usually four. A worker with a
/// poll or two may be unknown there for minutes, as the polls of a minute each come to the others.
#[expect(deprecated, reason = "nothing else tells of all partitions")]
async fn pollers_of_all_partitions(
    client: &Client,
    mut request: DescribeTaskQueueRequest,
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
    // A server without this mode: the plain answer has to do, late as it may be.
    let Ok(response) = client.clone().describe_task_queue(request.into_request()).await else {
        return Vec::new();
    };
    let versions = response.into_inner().versions_info.into_values();
    versions
        .flat_map(|version| version.types_info.into_values())
        .flat_map(|of_kind| of_kind.pollers)
        .collect()
}

/// Each poller once, as it was seen last.
fn merged(one: Vec<PollerInfo>, other: Vec<PollerInfo>) -> Vec<PollerInfo> {
    let mut pollers: Vec<PollerInfo> = Vec::new();
    for poller in one.into_iter().chain(other) {
        let seen = |it: &PollerInfo| it.last_access_time.map(|at| (at.seconds, at.nanos));
        match pollers.iter_mut().find(|it| it.identity == poller.identity) {
            Some(known) if seen(known) < seen(&poller) => *known = poller,
            Some(_) => {}
            None => pollers.push(poller),
        }
    }
    pollers
}

impl From<PollerInfo> for Poller {
    fn from(it: PollerInfo) -> Self {
        Self {
            identity: it.identity,
            last_access: it.last_access_time.and_then(|time| time.try_into().ok()),
            version: it.deployment_options.as_ref().and_then(version),
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
        }
    }

    #[test]
    fn tasks_that_wait_for_pollers_long_gone_are_unserved() {
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
        // A server's clock that is ahead of ours.
        let ahead = SystemTime::now() + Duration::from_mins(1);
        assert!(!Poller { last_access: Some(ahead), ..seen(0) }.is_gone());
    }
}
