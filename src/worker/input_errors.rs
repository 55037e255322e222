//! Says why a workflow's input cannot be decoded.
//!
//! The SDK fails the workflow task with "Failed to create workflow execution", and drops the reason
//! (docs/sdk.md).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use temporalio_common::protos::{
    coresdk::{
        workflow_activation::{WorkflowActivation, workflow_activation_job::Variant},
        workflow_completion::{
            WorkflowActivationCompletion, workflow_activation_completion::Status,
        },
    },
    temporal::api::common::v1::Payload,
};
use temporalio_sdk::interceptors::WorkerInterceptor;
use tracing::warn;

use crate::user_code::input::CheckInput;

/// How the SDK's failure of such a workflow task begins.
const FAILURE: &str = "Failed to create workflow";

/// Keeps the arguments of a workflow until its first activation is completed, and decodes them itself if the
/// SDK could not.
pub(super) struct InputErrors {
    /// By workflow type.
    checks: HashMap<&'static str, CheckInput>,
    /// By run id.
    begun: Mutex<HashMap<String, Begun>>,
}

/// A workflow whose code is about to run for the first time in this worker.
struct Begun {
    workflow_id: String,
    workflow_type: String,
    arguments: Vec<Payload>,
}

impl InputErrors {
    pub(super) fn new(checks: HashMap<&'static str, CheckInput>) -> Self {
        Self { checks, begun: Mutex::default() }
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<String, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for InputErrors {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        for job in &activation.jobs {
            if let Some(Variant::InitializeWorkflow(workflow)) = &job.variant {
                let begun = Begun {
                    workflow_id: workflow.workflow_id.clone(),
                    workflow_type: workflow.workflow_type.clone(),
                    arguments: workflow.arguments.clone(),
                };
                self.begun().insert(activation.run_id.clone(), begun);
            }
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        let Some(begun) = self.begun().remove(&completion.run_id) else { return };
        let Some(Status::Failed(failed)) = &completion.status else { return };
        let message = failed.failure.as_ref().map(|failure| failure.message.as_str());
        let Begun { workflow_id, workflow_type, arguments } = begun;
        let check = self.checks.get(workflow_type.as_str());
        if let (Some(message), Some(check)) = (message, check)
            && message.starts_with(FAILURE)
            && let Err(problem) = check(arguments)
        {
            warn!("{workflow_type} {workflow_id} {problem}");
        }
    }
}
