//! Reads a run from the server: what is pending, the history page by page, who polls its queues.

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
    error::Error,
    temporal::{
        history::PAGE_EVENTS,
        target::{Target, describe},
        task_queue::{self, Poller},
    },
};

/// More queues than this are not asked about: a run with so many does not wait for one of them.
const MOST_QUEUES: usize = 10;

/// Reads one workflow's run, again and again if need be.
pub(crate) struct Reader {
    client: Client,
    target: Target,
    workflow_id: String,
    /// Empty: the latest, until that is known.
    run_id: String,
    /// When the last reading began.
    begun: Instant,
}

impl Reader {
    /// Of the workflow's latest run where `run_id` is empty.
    pub(crate) fn new(client: Client, target: Target, workflow_id: &str, run_id: &str) -> Self {
        let (workflow_id, run_id) = (workflow_id.to_owned(), run_id.to_owned());
        Self { client, target, workflow_id, run_id, begun: Instant::now() }
    }

    /// The run as it is now.
    ///
    /// # Errors
    /// [`Error::WorkflowMissing`]; [`Error::Unreachable`], [`Error::Refused`] and [`Error::Rpc`] of
    /// the server.
    pub(crate) async fn read(&mut self) -> Result<Timeline, Error> {
        self.begun = Instant::now();
        let told = self.describe().await?;
        let execution = told.workflow_execution_info.as_ref().and_then(|it| it.execution.as_ref());
        if let Some(execution) = execution {
            // From now on the same one: the history is of that too.
            self.run_id.clone_from(&execution.run_id);
        }
        let mut builder = Builder::default();
        self.history(&mut builder).await?;
        let failed_at = builder.failed_at;
        let mut timeline = builder
            .build(&self.run_id, SystemTime::now())
            .ok_or_else(|| Error::Bug("a history without a beginning".into()))?;
        timeline.run.workflow_id.clone_from(&self.workflow_id);
        timeline.add_pending(&told, failed_at);
        let mut unserved = BTreeSet::new();
        for (kind, queue) in timeline.queues().into_iter().take(MOST_QUEUES) {
            let pollers = task_queue::pollers(&self.client, &queue, kind).await?;
            if pollers.iter().all(Poller::is_gone) {
                unserved.insert((kind, queue));
            }
        }
        timeline.add_waits(&unserved);
        Ok(timeline)
    }

    /// A run that has ended, by its history alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) async fn read_closed(&mut self) -> Result<Timeline, Error> {
        self.begun = Instant::now();
        let mut builder = Builder::default();
        self.history(&mut builder).await?;
        builder
            .build(&self.run_id, SystemTime::now())
            .ok_or_else(|| Error::Bug("a history without a beginning".into()))
    }

    fn execution(&self) -> Option<WorkflowExecution> {
        let (workflow_id, run_id) = (self.workflow_id.clone(), self.run_id.clone());
        Some(WorkflowExecution { workflow_id, run_id })
    }

    async fn describe(&self) -> Result<DescribeWorkflowExecutionResponse, Error> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.client.namespace(),
            execution: self.execution(),
        };
        let mut client = self.client.clone();
        let told = client.describe_workflow_execution(request.into_request()).await;
        told.map(Response::into_inner)
            .map_err(|status| self.error("describe the workflow", &status))
    }

    async fn history(&self, builder: &mut Builder) -> Result<(), Error> {
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
            let read = client.get_workflow_execution_history(request.into_request()).await;
            let read =
                read.map_err(|it| self.error("read the workflow's history", &it))?.into_inner();
            read.history.unwrap_or_default().events.into_iter().for_each(|it| builder.add(it));
            page = read.next_page_token;
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    fn error(&self, what: &'static str, status: &Status) -> Error {
        match status.code() {
            Code::NotFound => Error::WorkflowMissing {
                namespace: self.client.namespace(),
                address: self.target.address.clone(),
                workflow_id: self.workflow_id.clone(),
                run_id: self.run_id.clone(),
            },
            Code::Unavailable | Code::DeadlineExceeded => Error::Unreachable {
                address: self.target.address.clone(),
                tried: Duration::from_secs(self.begun.elapsed().as_secs().max(1)),
                cause: describe(status),
                hint: "",
            },
            _ => self.target.refusal(what, status),
        }
    }
}
