//! What a workflow is started with besides its type, its task queue and its arguments.

use std::{collections::HashMap, time::Duration};

use temporalio_client::{
    RetryOptions, RpcOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::{
    MemoValues, Priority, RetryPolicy,
    data_converters::RawValue,
    protos::temporal::api::{
        common::v1::{Memo, Payload, SearchAttributes as ProtoSearchAttributes},
        sdk::v1::UserMetadata,
    },
    search_attributes::SearchAttributes,
};

use crate::temporal::payload;

/// Options of a start, as the Temporal CLI has them.
#[derive(Clone, Debug)]
pub(crate) struct StartOptions {
    /// Pairs of a key and a value in JSON.
    pub(crate) memo: Vec<(String, String)>,
    /// Pairs of a name and a value in JSON.
    pub(crate) search_attributes: Vec<(String, String)>,
    pub(crate) execution_timeout: Option<Duration>,
    pub(crate) run_timeout: Option<Duration>,
    pub(crate) task_timeout: Option<Duration>,
    pub(crate) retry_policy: Option<RetryPolicy>,
    pub(crate) priority: Priority,
    pub(crate) id_reuse_policy: WorkflowIdReusePolicy,
    pub(crate) id_conflict_policy: WorkflowIdConflictPolicy,
    pub(crate) start_delay: Option<Duration>,
    /// `None`: the name of the batch and the workflow's number.
    pub(crate) static_summary: Option<String>,
    pub(crate) static_details: Option<String>,
}

impl Default for StartOptions {
    /// A workflow that exists already is not started again.
    fn default() -> Self {
        Self {
            memo: Vec::new(),
            search_attributes: Vec::new(),
            execution_timeout: None,
            run_timeout: None,
            task_timeout: None,
            retry_policy: None,
            priority: Priority::default(),
            id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
            id_conflict_policy: WorkflowIdConflictPolicy::UseExisting,
            start_delay: None,
            static_summary: None,
            static_details: None,
        }
    }
}

impl StartOptions {
    /// The SDK's options for a workflow. `summary` is used if the user gave none. The SDK makes each request only
    /// once, so that its answer is known.
    pub(super) fn for_sdk(&self, queue: &str, id: String, summary: String) -> WorkflowStartOptions {
        let rpc = RpcOptions::builder().retry_options(RetryOptions::no_retries()).build();
        let memo = (!self.memo.is_empty()).then(|| self.memo_values());
        let attributes = (!self.search_attributes.is_empty())
            .then(|| SearchAttributes::from(self.proto_search_attributes()));
        WorkflowStartOptions::new(queue, id)
            .id_reuse_policy(self.id_reuse_policy)
            .id_conflict_policy(self.id_conflict_policy)
            .maybe_execution_timeout(self.execution_timeout)
            .maybe_run_timeout(self.run_timeout)
            .maybe_task_timeout(self.task_timeout)
            .maybe_retry_policy(self.retry_policy.clone())
            .priority(self.priority.clone())
            .maybe_search_attributes(attributes)
            .maybe_memo(memo)
            .static_summary(self.static_summary.clone().unwrap_or(summary))
            .maybe_static_details(self.static_details.clone())
            .rpc_options(rpc)
            .build()
    }

    fn memo_values(&self) -> MemoValues {
        let mut values = MemoValues::new();
        for (key, json) in &self.memo {
            values.insert(key, RawValue::new(vec![payload::from_json(json)]));
        }
        values
    }

    pub(super) fn proto_memo(&self) -> Option<Memo> {
        (!self.memo.is_empty()).then(|| Memo { fields: payloads(&self.memo) })
    }

    pub(super) fn proto_search_attributes(&self) -> ProtoSearchAttributes {
        ProtoSearchAttributes { indexed_fields: payloads(&self.search_attributes) }
    }

    pub(super) fn user_metadata(&self, summary: &str) -> UserMetadata {
        let text = |text: &str| payload::from_json(&serde_json::Value::from(text).to_string());
        let summary = self.static_summary.as_deref().unwrap_or(summary);
        UserMetadata {
            summary: Some(text(summary)),
            details: self.static_details.as_deref().map(text),
        }
    }
}

fn payloads(pairs: &[(String, String)]) -> HashMap<String, Payload> {
    pairs.iter().map(|(key, json)| (key.clone(), payload::from_json(json))).collect()
}
