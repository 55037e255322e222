//! Reads a run from the server: what is pending, the history page by page, and the pollers of its
//! queues.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Response, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
        GetWorkflowExecutionHistoryRequest,
    },
};

use super::{events::Builder, model::Timeline};
use crate::{
    error::{CommandError, Error},
    temporal::{
        clock::{ClockReader, ServerClock},
        history::PAGE_EVENTS,
        target::{Target, describe},
        task_queue::{self, Poller, TaskKind},
    },
};

/// How many queues to ask about at most. A run whose tasks wait in more queues than this does not
/// wait for one of them.
const MOST_QUEUES: usize = 10;

/// Reads one run of a workflow, as often as needed.
pub(crate) struct TimelineReader {
    client: Client,
    target: Target,
    workflow_id: String,
    /// Empty until it is known, if the latest run is to be read.
    run_id: String,
    /// When the current read began.
    begun: Instant,
    clock: ClockReader,
}

impl TimelineReader {
    /// A reader of the run `run_id`, or of the workflow's latest run if that is empty.
    pub(crate) fn new(client: Client, target: Target, workflow_id: &str, run_id: &str) -> Self {
        let (workflow_id, run_id) = (workflow_id.to_owned(), run_id.to_owned());
        Self {
            client,
            target,
            workflow_id,
            run_id,
            begun: Instant::now(),
            clock: ClockReader::default(),
        }
    }

    /// Reads the run as it is now.
    ///
    /// # Errors
    /// [`CommandError::WorkflowMissing`] if the server does not have it; [`Error::Unreachable`],
    /// [`Error::Refused`] or [`Error::Rpc`] if the server does not answer or refuses.
    pub(crate) async fn read(&mut self) -> Result<Timeline, CommandError> {
        self.begun = Instant::now();
        let described = self.describe().await?;
        let info = described.workflow_execution_info.as_ref();
        if let Some(execution) = info.and_then(|info| info.execution.as_ref()) {
            // The history, and later reads, must be of the same run.
            self.run_id.clone_from(&execution.run_id);
        }
        let builder = self.history().await?;
        let failed_at = builder.failed_at;
        // A closed run ends when its history does. For an open one it matters what time it is.
        let newest = builder.newest();
        let clock = match builder.open_queue() {
            Some(queue) => Some(self.clock.read(&self.client, queue).await.bounded(newest, None)),
            None => None,
        };
        let now = clock.map(|clock| clock.now());
        let mut timeline = self.build(builder, now)?;
        timeline.skew = clock.and_then(|clock| clock.skew());
        timeline.run.workflow_id.clone_from(&self.workflow_id);
        timeline.add_pending(&described, failed_at);
        let unserved = self.unserved(timeline.queues(), clock).await?;
        timeline.add_waits(&unserved);
        Ok(timeline)
    }

    /// Reads a closed run. This asks for its history only, which is all that the server has of it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub(crate) async fn read_closed(&mut self) -> Result<Timeline, CommandError> {
        self.begun = Instant::now();
        let builder = self.history().await?;
        self.build(builder, None)
    }

    /// The timeline until `now`, if the run is open.
    fn build(&self, builder: Builder, now: Option<SystemTime>) -> Result<Timeline, CommandError> {
        builder
            .build(&self.run_id, now.unwrap_or_else(SystemTime::now))
            .ok_or_else(|| Error::Bug("a history without a beginning".into()).into())
    }

    /// Which of the queues no worker polls, by the server's clock.
    async fn unserved(
        &self,
        queues: BTreeSet<(TaskKind, String)>,
        clock: Option<ServerClock>,
    ) -> Result<BTreeSet<(TaskKind, String)>, CommandError> {
        let mut unserved = BTreeSet::new();
        for (kind, queue) in queues.into_iter().take(MOST_QUEUES) {
            let mut pollers = task_queue::listed_pollers(&self.client, &queue, kind).await?;
            if let Some(clock) = clock {
                let newest = pollers.iter().filter_map(|poller| poller.last_access).max();
                let now = clock.bounded(None, newest).now();
                for poller in &mut pollers {
                    poller.listed = now;
                }
            }
            if pollers.iter().all(Poller::is_gone) {
                unserved.insert((kind, queue));
            }
        }
        Ok(unserved)
    }

    fn execution(&self) -> Option<WorkflowExecution> {
        let (workflow_id, run_id) = (self.workflow_id.clone(), self.run_id.clone());
        Some(WorkflowExecution { workflow_id, run_id })
    }

    async fn describe(&self) -> Result<DescribeWorkflowExecutionResponse, CommandError> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.client.namespace(),
            execution: self.execution(),
        };
        let mut client = self.client.clone();
        let response = client.describe_workflow_execution(request.into_request()).await;
        response
            .map(Response::into_inner)
            .map_err(|status| self.error("describe the workflow", &status))
    }

    async fn history(&self) -> Result<Builder, CommandError> {
        let mut builder = Builder::default();
        let mut page = Vec::new();
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: self.client.namespace(),
                execution: self.execution(),
                maximum_page_size: PAGE_EVENTS,
                next_page_token: page,
                ..Default::default()
            };
            let mut client = self.client.clone();
            let response = client
                .get_workflow_execution_history(request.into_request())
                .await
                .map_err(|status| self.error("read the workflow's history", &status))?
                .into_inner();
            for event in response.history.unwrap_or_default().events {
                builder.add(event);
            }
            page = response.next_page_token;
            if page.is_empty() {
                return Ok(builder);
            }
        }
    }

    fn error(&self, what: &'static str, status: &Status) -> CommandError {
        match status.code() {
            Code::NotFound => CommandError::WorkflowMissing {
                namespace: self.client.namespace(),
                address: self.target.address.clone(),
                workflow_id: self.workflow_id.clone(),
                run_id: self.run_id.clone(),
            },
            Code::Unavailable | Code::DeadlineExceeded => Error::Unreachable {
                address: self.target.address.clone(),
                tried: Duration::from_secs(self.begun.elapsed().as_secs().max(1)),
                cause: describe(status),
                hint: "".into(),
            }
            .into(),
            _ => self.target.refusal(what, status).into(),
        }
    }
}
