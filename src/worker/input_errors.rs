//! Says why a workflow's input cannot be decoded.
//!
//! The SDK fails the workflow task with "Failed to create workflow execution", and drops the reason
//! (docs/sdk.md).

use std::{
    collections::{HashMap, HashSet},
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

/// Arguments of this size, in bytes, are kept in case that the SDK cannot decode them: a copy costs nothing
/// that could be measured. Larger ones are kept when their workflow task comes again, because it failed.
const LARGEST_KEPT: usize = 16 * 1024;
/// How many runs with larger arguments are remembered.
const REMEMBERED: usize = 1000;

/// Keeps the arguments of a workflow until its first activation is completed, and decodes them itself if the
/// SDK could not.
pub(super) struct InputErrors {
    /// By workflow type.
    checks: HashMap<&'static str, CheckInput>,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    /// By run id.
    begun: HashMap<String, Begun>,
    /// The ids of runs whose arguments were not kept when the SDK could not decode them.
    to_keep: HashSet<String>,
}

/// A workflow whose code is about to run for the first time in this worker.
struct Begun {
    workflow_id: String,
    workflow_type: String,
    /// `None` if they are too large.
    arguments: Option<Vec<Payload>>,
}

impl InputErrors {
    pub(super) fn new(checks: HashMap<&'static str, CheckInput>) -> Self {
        Self { checks, runs: Mutex::default() }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait(?Send)]
impl WorkerInterceptor for InputErrors {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        for job in &activation.jobs {
            if let Some(Variant::InitializeWorkflow(workflow)) = &job.variant {
                let size: usize = workflow.arguments.iter().map(|payload| payload.data.len()).sum();
                let mut runs = self.runs();
                let kept = size <= LARGEST_KEPT || runs.to_keep.remove(&activation.run_id);
                let begun = Begun {
                    workflow_id: workflow.workflow_id.clone(),
                    workflow_type: workflow.workflow_type.clone(),
                    arguments: kept.then(|| workflow.arguments.clone()),
                };
                runs.begun.insert(activation.run_id.clone(), begun);
            }
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        let mut runs = self.runs();
        let Some(begun) = runs.begun.remove(&completion.run_id) else { return };
        let Some(Status::Failed(failed)) = &completion.status else { return };
        let message = failed.failure.as_ref().map(|failure| failure.message.as_str());
        let Begun { workflow_id, workflow_type, arguments } = begun;
        let Some(check) = self.checks.get(workflow_type.as_str()) else { return };
        if !message.is_some_and(|message| message.starts_with(FAILURE)) {
            return;
        }
        match arguments {
            Some(arguments) => {
                if let Err(problem) = check(arguments) {
                    warn!("{workflow_type} {workflow_id} {problem}");
                }
            }
            None if runs.to_keep.len() < REMEMBERED => {
                runs.to_keep.insert(completion.run_id.clone());
            }
            None => {}
        }
    }
}
