//! A timeline: a run of a workflow, its rows, and what it waits for.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::row::{Kind, Row, RowStatus, since};
use crate::temporal::{clock::Skew, failure::FailureChain};

/// One run of a workflow as rows on a time axis.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) run: WorkflowRun,
    /// Ordered by time; rows of the same time are in the history's order.
    pub(crate) rows: Vec<Row>,
    /// What an open run waits for.
    pub(crate) waits: Vec<Wait>,
    /// How many events of each type are not shown by any row.
    pub(crate) other: BTreeMap<String, usize>,
    /// The end of the axis: the run's end, or for an open run the time when the server was asked.
    pub(crate) until: SystemTime,
    /// How far this machine's clock differs from the server's, if that was measured.
    pub(crate) skew: Option<Skew>,
}

/// The run itself.
#[derive(Clone, Debug)]
pub(crate) struct WorkflowRun {
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    pub(crate) status: RunStatus,
    pub(crate) started: SystemTime,
    /// When the first workflow task was due, if that was not at once: after a start delay, or in a
    /// cron schedule or a retry.
    pub(crate) begins: Option<SystemTime>,
    /// Why it was not due at once.
    pub(crate) start_wait: Option<StartWait>,
    pub(crate) closed: Option<SystemTime>,
    /// The identity of the client that started it.
    pub(crate) started_by: String,
    /// A note for people that the starter has set.
    pub(crate) summary: Option<String>,
    /// The identity of the client that terminated it.
    pub(crate) terminated_by: Option<String>,
    /// Why it ended as it did: the failure, or the reason that was given for ending it.
    pub(crate) failure: Option<String>,
    /// The failure with its causes; empty if it did not fail.
    pub(crate) failure_chain: FailureChain,
    /// When somebody last asked it to cancel itself.
    pub(crate) cancel_requested: Option<SystemTime>,
    /// The number of the attempt, from 1. Each retry of the workflow is a run of its own.
    pub(crate) attempt: u32,
    pub(crate) cron_schedule: Option<String>,
    /// Why the run before failed, if this one is its retry, or the next of a cron schedule.
    pub(crate) continued_failure: Option<String>,
    /// The result of the last run of a cron schedule that completed.
    pub(crate) last_result: Option<String>,
    /// The id of the parent workflow.
    pub(crate) parent: Option<String>,
    pub(crate) previous_run: Option<String>,
    pub(crate) next_run: Option<String>,
    /// The run of which this one is a copy up to a reset.
    pub(crate) reset_from: Option<String>,
    /// The run in which this one was continued by a reset.
    pub(crate) reset_to: Option<String>,
    /// The number of events in the history.
    pub(crate) events: u64,
}

/// Why the server held a run back before its first workflow task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartWait {
    StartDelay,
    Retry,
    Cron,
    /// The server leaves at least a second between runs that continue as new.
    ContinueAsNew,
}

impl StartWait {
    /// The name in text and JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::StartDelay => "start delay",
            Self::Retry => "retry backoff",
            Self::Cron => "cron wait",
            Self::ContinueAsNew => "continue-as-new backoff",
        }
    }
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunStatus {
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
    Terminated,
    TimedOut,
    ContinuedAsNew,
}

impl RunStatus {
    /// The name in text and JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::TimedOut => "timed out",
            Self::ContinuedAsNew => "continued as new",
        }
    }
}

/// Something that a run waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    /// The kind of the open row; `None` if the run does not wait for a row.
    pub(crate) kind: Option<Kind>,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) since: SystemTime,
    /// Whether it is in a queue that no worker polls.
    pub(crate) unserved: bool,
    /// A description for people.
    pub(crate) text: String,
    /// The failure with which the text ends, if it ends with one.
    pub(crate) failure_chain: FailureChain,
}

impl Wait {
    /// A wait that belongs to no row.
    pub(super) fn of_run(since: SystemTime, text: String) -> Self {
        Self {
            kind: None,
            name: String::new(),
            id: String::new(),
            since,
            unserved: false,
            text,
            failure_chain: FailureChain::default(),
        }
    }
}

/// The parts of a timeline that change when something happens, and not only because time passes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    events: u64,
    /// Event id, status and attempt of each open row.
    open: Vec<(i64, RowStatus, u32)>,
    /// The number of waits in queues that no worker polls.
    unserved: usize,
    /// The number of activities that are paused.
    paused: usize,
}

impl Timeline {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let open = self.rows.iter().filter(|row| row.status.is_open());
        Fingerprint {
            events: self.run.events,
            open: open.map(|row| (row.event_id, row.status, row.attempt)).collect(),
            paused: self.rows.iter().filter(|row| row.pause.is_some()).count(),
            unserved: self.waits.iter().filter(|wait| wait.unserved).count(),
        }
    }

    /// The length of the axis.
    pub(super) fn total(&self) -> Duration {
        since(self.run.started, self.until)
    }
}
