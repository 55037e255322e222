//! The workflow code that runs at the moment.
//!
//! All workflow code of a worker runs on one thread, so at most one workflow's code runs at a time. An
//! interceptor of the SDK notes whose it is. A thread beside the worker can then name the workflow whose
//! code never returns, and not those that wait behind it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use serde::{Deserialize, Serialize};
use temporalio_sdk::{
    WorkflowContextView,
    workflow_interceptors::{
        ExecuteWorkflowInput, ExecuteWorkflowResult, HandleQueryInput, HandleQueryResult,
        HandleSignalInput, HandleSignalResult, HandleUpdateInput, HandleUpdateResult,
        InitializeWorkflowInput, InitializeWorkflowOutput, SyncWorkflowInterceptorContext,
        ValidateUpdateInput, ValidateUpdateResult, WorkflowInterceptor,
        WorkflowInterceptorConstructor, WorkflowInterceptorContext, WorkflowInterceptorFuture,
        WorkflowNext,
    },
};

/// What identifies a run of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkflowRun {
    pub(crate) workflow_type: String,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

/// Shown as `LoadWorkflow load-1 (run 0192…)`. Clients choose types and ids, so control characters are
/// escaped.
impl fmt::Display for WorkflowRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (before, text, after) in [
            ("", &self.workflow_type, " "),
            ("", &self.workflow_id, " "),
            ("(run ", &self.run_id, ")"),
        ] {
            f.write_str(before)?;
            for character in text.chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            f.write_str(after)?;
        }
        Ok(())
    }
}

/// The workflow code that runs at the moment, and how far the executor that runs it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkflowCode(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    progress: AtomicU64,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// The run whose code ran last, or still runs.
    run: Option<Arc<WorkflowRun>>,
    is_running: bool,
}

impl WorkflowCode {
    /// A number that grows whenever the executor has come on: when it has polled the worker once more, and
    /// when it goes from one workflow's code to another's. A workflow that wakes itself for ever makes none.
    pub(super) fn progress(&self) -> u64 {
        self.0.progress.load(Ordering::Relaxed)
    }

    /// Counts progress of the executor.
    pub(super) fn advance(&self) {
        self.0.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// The run whose code runs at the moment, if any does.
    pub(super) fn running(&self) -> Option<WorkflowRun> {
        let now = self.now();
        now.run.as_deref().filter(|_| now.is_running).cloned()
    }

    /// Notes that the code of `run` runs until the result is dropped.
    fn enter(&self, run: &Arc<WorkflowRun>) -> Running<'_> {
        let mut now = self.now();
        if now.run.as_ref().is_none_or(|last| !Arc::ptr_eq(last, run)) {
            self.advance();
            now.run = Some(run.clone());
        }
        let was_running = std::mem::replace(&mut now.is_running, true);
        Running { code: self, was_running }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interceptor that notes whose code runs.
    pub(super) fn interceptor(&self) -> WorkflowInterceptorConstructor {
        let code = self.clone();
        WorkflowInterceptorConstructor::new(move |workflow: &WorkflowContextView| CodeInterceptor {
            code: code.clone(),
            run: Arc::new(WorkflowRun {
                workflow_type: workflow.workflow_type().to_owned(),
                workflow_id: workflow.workflow_id().to_owned(),
                run_id: workflow.run_id().to_owned(),
            }),
        })
    }
}

/// Workflow code that runs. It is dropped when the code returns or panics.
struct Running<'a> {
    code: &'a WorkflowCode,
    was_running: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.code.now().is_running = self.was_running;
    }
}

/// Each workflow in the sticky cache has one.
struct CodeInterceptor {
    code: WorkflowCode,
    run: Arc<WorkflowRun>,
}

type Next<'a, I, O> = WorkflowNext<'a, I, WorkflowInterceptorFuture<'a, O>>;

impl CodeInterceptor {
    fn watch<'a, T: 'a>(
        &'a self,
        inner: WorkflowInterceptorFuture<'a, T>,
    ) -> WorkflowInterceptorFuture<'a, T> {
        WorkflowInterceptorFuture::new(Watched { of: self, inner })
    }
}

impl WorkflowInterceptor for CodeInterceptor {
    fn initialize_workflow(
        &self,
        _: WorkflowContextView,
        input: InitializeWorkflowInput,
        next: WorkflowNext<'_, InitializeWorkflowInput, InitializeWorkflowOutput>,
    ) -> InitializeWorkflowOutput {
        let _running = self.code.enter(&self.run);
        next.run(input)
    }

    fn execute<'a>(
        &'a self,
        _: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: Next<'a, ExecuteWorkflowInput, ExecuteWorkflowResult>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        self.watch(next.run(input))
    }

    fn handle_signal<'a>(
        &'a self,
        _: WorkflowInterceptorContext,
        input: HandleSignalInput,
        next: Next<'a, HandleSignalInput, HandleSignalResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        self.watch(next.run(input))
    }

    fn handle_update<'a>(
        &'a self,
        _: WorkflowInterceptorContext,
        input: HandleUpdateInput,
        next: Next<'a, HandleUpdateInput, HandleUpdateResult>,
    ) -> WorkflowInterceptorFuture<'a, HandleUpdateResult> {
        self.watch(next.run(input))
    }

    fn handle_query(
        &self,
        _: SyncWorkflowInterceptorContext,
        input: HandleQueryInput,
        next: WorkflowNext<'_, HandleQueryInput, HandleQueryResult>,
    ) -> HandleQueryResult {
        let _running = self.code.enter(&self.run);
        next.run(input)
    }

    fn validate_update(
        &self,
        _: SyncWorkflowInterceptorContext,
        input: ValidateUpdateInput,
        next: WorkflowNext<'_, ValidateUpdateInput, ValidateUpdateResult>,
    ) -> ValidateUpdateResult {
        let _running = self.code.enter(&self.run);
        next.run(input)
    }
}

/// A future of workflow code. Its code runs while it is polled.
struct Watched<'a, T> {
    of: &'a CodeInterceptor,
    inner: WorkflowInterceptorFuture<'a, T>,
}

impl<T> Future for Watched<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let _running = self.of.code.enter(&self.of.run);
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> Arc<WorkflowRun> {
        let workflow_type = "Load".to_owned();
        Arc::new(WorkflowRun { workflow_type, workflow_id: id.into(), run_id: "r".into() })
    }

    #[test]
    fn code_runs_until_it_returns() {
        let code = WorkflowCode::default();
        assert_eq!(code.running(), None);
        let a = run("a");
        let running = code.enter(&a);
        assert_eq!(code.running().as_ref(), Some(&*a));
        drop(code.enter(&a));
        assert_eq!(code.running().as_ref(), Some(&*a), "a handler that was called has returned");
        drop(running);
        assert_eq!(code.running(), None);
    }

    #[test]
    fn one_workflow_that_runs_again_and_again_is_no_progress_and_another_one_is() {
        let code = WorkflowCode::default();
        let (a, b) = (run("a"), run("b"));
        drop(code.enter(&a));
        let before = code.progress();
        drop(code.enter(&a));
        assert_eq!(code.progress(), before);
        drop(code.enter(&b));
        assert!(code.progress() > before);
    }

    #[test]
    fn a_run_is_shown_without_control_characters() {
        let text = run("a\n\u{1b}[2J").to_string();
        assert_eq!(text, "Load a\\n\\u{1b}[2J (run r)");
    }
}
