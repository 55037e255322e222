//! What is known about the start of each workflow.

use std::{
    collections::BTreeMap,
    error::Error as _,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use temporalio_client::tonic::{Code, Status};

/// The workflows whose start was requested, and whose outcome was not returned yet.
#[derive(Default)]
pub(super) struct Starts(Mutex<BTreeMap<usize, Start>>);

/// What is known about one start.
#[derive(Clone, Copy, Default)]
struct Start {
    /// A request is on its way.
    asked: bool,
    /// A request was not answered, so that the server may have carried it out.
    lost: bool,
    /// The server answered that the workflow runs, or ran.
    done: bool,
}

/// The numbers of the workflows without an outcome, by what is known about their start.
#[derive(Default)]
pub(super) struct Unfinished {
    /// They were started.
    pub(super) started: Vec<usize>,
    /// The server did not answer, so that they may have been started.
    pub(super) unknown: Vec<usize>,
    /// The server refused, or was not reached: they were not started.
    pub(super) refused: Vec<usize>,
}

/// How one request to start a workflow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Started,
    /// The server refused, or the request did not leave this machine.
    Refused,
    /// The server may have carried the request out.
    Lost,
}

impl Answer {
    /// What a failed request says about the workflow.
    pub(super) fn of(status: &Status) -> Self {
        match status.code() {
            Code::Unavailable if was_not_sent(status) => Self::Refused,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss => Self::Lost,
            _ => Self::Refused,
        }
    }
}

/// Whether there was no connection that could have carried a request.
fn was_not_sent(status: &Status) -> bool {
    let mut next = status.source();
    while let Some(cause) = next {
        let os = cause.downcast_ref::<io::Error>();
        if os.is_some_and(|os| os.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl Starts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self, index: usize) {
        self.lock().entry(index).or_default().asked = true;
    }

    pub(super) fn answered(&self, index: usize, answer: Answer) {
        let mut starts = self.lock();
        let start = starts.entry(index).or_default();
        start.asked = false;
        match answer {
            Answer::Started => start.done = true,
            Answer::Lost => start.lost = true,
            Answer::Refused => {}
        }
    }

    /// Whether an earlier request for the workflow was not answered.
    pub(super) fn was_lost(&self, index: usize) -> bool {
        self.lock().get(&index).is_some_and(|start| start.lost)
    }

    /// Forgets a workflow, because its outcome is known.
    pub(super) fn ended(&self, index: usize) {
        self.lock().remove(&index);
    }

    /// Whether the answer to a request is awaited.
    pub(super) fn awaits_answer(&self) -> bool {
        self.lock().values().any(|start| start.asked && !start.done)
    }

    pub(super) fn unfinished(&self) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for (index, start) in self.lock().iter() {
            let list = match start {
                Start { done: true, .. } => &mut unfinished.started,
                Start { asked: true, .. } | Start { lost: true, .. } => &mut unfinished.unknown,
                _ => &mut unfinished.refused,
            };
            list.push(*index);
        }
        unfinished
    }

    /// The number of a workflow to look at: one that was started, else one that may have been.
    pub(super) fn one_to_look_at(&self) -> Option<usize> {
        let starts = self.lock();
        let first = |is: fn(&Start) -> bool| starts.iter().find(|(_, start)| is(start));
        first(|start| start.done).or_else(|| first(|start| start.lost)).map(|(index, _)| *index)
    }
}

#[cfg(test)]
mod tests {
    use std::{error, sync::Arc};

    use super::*;

    #[test]
    fn only_a_start_without_an_answer_may_have_been_carried_out() {
        let refused =
            Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let mut unsent = Status::unavailable("tcp connect error");
        unsent.set_source(Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(error::Error::source(&refused).is_some());
        for (status, answer) in [
            (Status::permission_denied(""), Answer::Refused),
            (Status::invalid_argument("WorkflowId exceeds length limit"), Answer::Refused),
            (Status::not_found("namespace"), Answer::Refused),
            (Status::resource_exhausted("namespace rate limit exceeded"), Answer::Refused),
            (Status::failed_precondition(""), Answer::Refused),
            (unsent, Answer::Refused),
            (Status::unavailable("connection reset"), Answer::Lost),
            (Status::deadline_exceeded(""), Answer::Lost),
            (Status::internal(""), Answer::Lost),
        ] {
            assert_eq!(Answer::of(&status), answer, "{status:?}");
        }
    }

    #[test]
    fn a_workflow_was_started_may_have_been_or_was_not() {
        let starts = Starts::default();
        for index in 0..5 {
            starts.asked(index);
        }
        assert!(starts.awaits_answer());
        starts.answered(0, Answer::Started);
        starts.answered(1, Answer::Refused);
        starts.answered(2, Answer::Lost);
        // A later refusal does not take back that an earlier request may have been carried out.
        starts.asked(2);
        starts.answered(2, Answer::Refused);
        starts.answered(3, Answer::Started);
        starts.ended(3);
        let Unfinished { started, unknown, refused } = starts.unfinished();
        assert_eq!((started, unknown, refused), (vec![0], vec![2, 4], vec![1]));
        assert_eq!(starts.one_to_look_at(), Some(0));
    }
}
