//! The workflow code that runs at the moment.
//!
//! All workflow code of a worker runs on one thread, so at most one workflow's code runs at a time. An
//! interceptor of the SDK notes whose it is. A thread beside the worker can then name the workflow whose
//! code never returns, and not those that wait behind it.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use temporalio_sdk::{
    WorkflowContextView,
    workflow_interceptors::{WorkflowInterceptorConstructor, WorkflowInterceptorContext},
};

use super::{
    around_code::{AroundCode, around_code},
    flight_recorder::{FlightRecorder, record},
    named_run::NamedRun,
};

/// The workflow code that runs at the moment, and how far the executor that runs it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkflowCode(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    progress: AtomicU64,
    now: Mutex<Now>,
    recorder: OnceLock<FlightRecorder>,
}

/// A run, and how the flight recorder writes it.
#[derive(Debug)]
struct Known {
    run: NamedRun,
    record: Vec<u8>,
}

impl From<NamedRun> for Known {
    fn from(run: NamedRun) -> Self {
        Self { record: record(&run), run }
    }
}

#[derive(Debug, Default)]
struct Now {
    /// The run whose code ran last, or still runs.
    run: Option<Arc<Known>>,
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
    pub(super) fn running(&self) -> Option<NamedRun> {
        let now = self.now();
        now.run.as_ref().filter(|_| now.is_running).map(|known| known.run.clone())
    }

    /// From now on, `recorder` notes whose code runs.
    pub(super) fn record_to(&self, recorder: FlightRecorder) {
        // There is one recorder for a process.
        let _ = self.0.recorder.set(recorder);
    }

    /// Notes that the code of `run` runs until the result is dropped.
    fn enter(&self, run: &Arc<Known>) -> Running<'_> {
        let mut now = self.now();
        if now.run.as_ref().is_none_or(|last| !Arc::ptr_eq(last, run)) {
            self.advance();
            now.run = Some(run.clone());
        }
        let was_running = std::mem::replace(&mut now.is_running, true);
        if let Some(recorder) = self.0.recorder.get().filter(|_| !was_running) {
            recorder.begin(&run.record);
        }
        Running { code: self, was_running }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interceptor that notes whose code runs.
    pub(super) fn interceptor(&self) -> WorkflowInterceptorConstructor {
        let code = self.clone();
        around_code(move |workflow: &WorkflowContextView| CodeOfRun {
            code: code.clone(),
            run: Arc::new(Known::from(NamedRun {
                workflow_type: workflow.workflow_type().to_owned(),
                workflow_id: workflow.workflow_id().to_owned(),
                run_id: workflow.run_id().to_owned(),
            })),
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
        if let Some(recorder) = self.code.0.recorder.get().filter(|_| !self.was_running) {
            recorder.end();
        }
    }
}

/// The code of one workflow.
struct CodeOfRun {
    code: WorkflowCode,
    run: Arc<Known>,
}

impl AroundCode for CodeOfRun {
    type Entered<'a> = Running<'a>;

    fn enter(&self, _: Option<&WorkflowInterceptorContext>) -> Running<'_> {
        self.code.enter(&self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::flight_recorder;

    fn run(id: &str) -> Arc<Known> {
        let workflow_type = "Load".to_owned();
        let run = NamedRun { workflow_type, workflow_id: id.into(), run_id: "r".into() };
        Arc::new(Known::from(run))
    }

    #[test]
    fn code_runs_until_it_returns() {
        let code = WorkflowCode::default();
        assert_eq!(code.running(), None);
        let a = run("a");
        let running = code.enter(&a);
        assert_eq!(code.running().as_ref(), Some(&a.run));
        drop(code.enter(&a));
        assert_eq!(code.running().as_ref(), Some(&a.run), "a handler that was called has returned");
        drop(running);
        assert_eq!(code.running(), None);
    }

    #[test]
    fn the_recorder_notes_the_workflow_until_the_outermost_code_returns() {
        let (file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
        let code = WorkflowCode::default();
        code.record_to(FlightRecorder::open(&path).unwrap());
        let a = run("a");
        let running = code.enter(&a);
        drop(code.enter(&a));
        assert_eq!(flight_recorder::read(&file).as_ref(), Some(&a.run));
        drop(running);
        assert_eq!(flight_recorder::read(&file), None);
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
}
