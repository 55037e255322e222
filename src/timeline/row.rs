//! A row of a timeline: a task, a timer, a signal, … with its times.

use std::time::{Duration, SystemTime};

use crate::temporal::failure::FailureChain;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    WorkflowTask,
    Activity,
    LocalActivity,
    Timer,
    ChildWorkflow,
    NexusOperation,
    Signal,
    Update,
    CancelRequest,
    /// A signal that this workflow sends to another one.
    ExternalSignal,
    /// A cancel request that this workflow sends to another one.
    ExternalCancel,
    Pause,
    Unpause,
    /// What an SDK writes down for replay, other than a local activity: a version, a side effect, …
    Marker,
    /// The time before the first workflow task that the server holds a run back.
    StartWait,
}

impl Kind {
    /// The name in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowTask => "workflow_task",
            Self::Activity => "activity",
            Self::LocalActivity => "local_activity",
            Self::Timer => "timer",
            Self::ChildWorkflow => "child_workflow",
            Self::NexusOperation => "nexus_operation",
            Self::Signal => "signal",
            Self::Update => "update",
            Self::CancelRequest => "cancel_request",
            Self::ExternalSignal => "external_signal",
            Self::ExternalCancel => "external_cancel",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Marker => "marker",
            Self::StartWait => "start_wait",
        }
    }

    /// Whether a worker runs it.
    pub(crate) fn is_task(self) -> bool {
        matches!(self, Self::WorkflowTask | Self::Activity | Self::LocalActivity)
    }
}

/// How far a row has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowStatus {
    /// A task that no worker has taken yet.
    Queued,
    /// A task that a worker has taken.
    Running,
    /// The last attempt failed, and the next one is not due yet.
    BackingOff,
    Paused,
    /// A Nexus operation that the server does not try for now.
    Blocked,
    /// Something other than a task that has not ended yet.
    Open,
    Completed,
    Failed,
    TimedOut,
    /// A workflow task that was to be done again, without any fault: a signal arrived meanwhile, for
    /// example.
    Repeated,
    Cancelled,
    Terminated,
    /// Still open when the run ended.
    Abandoned,
}

impl RowStatus {
    /// The name in text and JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::BackingOff => "backing off",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Repeated => "repeated",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) fn is_open(self) -> bool {
        matches!(
            self,
            Self::Queued
                | Self::Running
                | Self::BackingOff
                | Self::Paused
                | Self::Blocked
                | Self::Open
        )
    }
}

/// Why an activity is not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) since: Option<SystemTime>,
    /// The identity of who paused it, and the rule by which, if it was a rule.
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

/// A request to cancel an activity or a Nexus operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CancelRequest {
    pub(crate) at: SystemTime,
    /// Why the request could not be delivered.
    pub(crate) failure: Option<String>,
}

/// A task, a timer, a signal, …
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    /// The id of the event that the row begins with; 0 if the history does not have it yet.
    pub(crate) event_id: i64,
    /// The type of an activity or workflow, or the name of a signal; empty if there is none.
    pub(crate) name: String,
    /// The id of an activity, a timer or a workflow; empty if there is none.
    pub(crate) id: String,
    pub(crate) task_queue: String,
    /// The worker in whose sticky queue the task is, because that worker has the workflow in its
    /// cache.
    pub(crate) sticky_to: Option<String>,
    pub(crate) status: RowStatus,
    /// When it was scheduled. For a workflow task that is tried again, the end of the last attempt
    /// that the history contains.
    pub(crate) at: SystemTime,
    /// Whether `at` is only a place among the other rows, because the time is not known.
    pub(crate) is_undated: bool,
    /// When the attempt that the row shows was put into its queue. For an activity the history has
    /// this for the first attempt only.
    pub(crate) queued: Option<SystemTime>,
    /// When a worker took it.
    pub(crate) started: Option<SystemTime>,
    pub(crate) ended: Option<SystemTime>,
    /// The number of the attempt, from 1; 0 for something that has no attempts.
    pub(crate) attempt: u32,
    /// The identity of the worker that took it last; empty if none has.
    pub(crate) worker: String,
    /// That worker's version, as `deployment:build`, or its build id.
    pub(crate) version: Option<String>,
    /// Why it ended as it did.
    pub(crate) failure: Option<String>,
    /// That failure with its causes; empty if it did not fail.
    pub(crate) failure_chain: FailureChain,
    /// Why the previous attempt failed.
    pub(crate) last_failure: Option<String>,
    /// That failure with its causes; empty if none failed.
    pub(crate) last_failure_chain: FailureChain,
    /// When a timer fires, or when the next attempt is scheduled.
    pub(crate) due: Option<SystemTime>,
    pub(crate) last_heartbeat: Option<SystemTime>,
    pub(crate) cancel_request: Option<CancelRequest>,
    pub(crate) pause: Option<Pause>,
    /// What a marker records: the number of a version, for example.
    pub(crate) value: Option<String>,
    /// A note for people that the workflow code has set.
    pub(crate) summary: Option<String>,
}

/// What a row did in a part of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Failed attempts that the history has no details about, and the pauses after them.
    Retries,
    /// In a task queue: no worker has taken it.
    Queue,
    Run,
    /// A timer, a child workflow or a Nexus operation: nothing for this workflow's workers to do.
    Wait,
    /// The server holds the run back: a start delay, a cron schedule, a pause before a retry.
    HeldBack,
}

impl Row {
    pub(crate) fn new(kind: Kind, event_id: i64, at: SystemTime) -> Self {
        Self {
            kind,
            event_id,
            name: String::new(),
            id: String::new(),
            task_queue: String::new(),
            sticky_to: None,
            status: RowStatus::Open,
            at,
            is_undated: false,
            queued: None,
            started: None,
            ended: None,
            attempt: 0,
            worker: String::new(),
            version: None,
            failure: None,
            failure_chain: FailureChain::default(),
            last_failure: None,
            last_failure_chain: FailureChain::default(),
            due: None,
            last_heartbeat: None,
            cancel_request: None,
            pause: None,
            value: None,
            summary: None,
        }
    }

    /// Its phases, each with begin and end, in order. An open row lasts until `until`.
    pub(crate) fn phases(&self, until: SystemTime) -> Vec<(Phase, SystemTime, SystemTime)> {
        if self.is_undated {
            return Vec::new();
        }
        let end = self.ended_or(until).unwrap_or(self.at).max(self.at);
        match self.kind {
            Kind::Timer | Kind::ChildWorkflow | Kind::NexusOperation => {
                return vec![(Phase::Wait, self.at, end)];
            }
            Kind::StartWait => return vec![(Phase::HeldBack, self.at, end)],
            Kind::WorkflowTask | Kind::Activity | Kind::LocalActivity => {}
            _ => return Vec::new(),
        }
        let mut phases = Vec::with_capacity(3);
        let known_from = self.queued.or(self.started).unwrap_or(end).clamp(self.at, end);
        if self.at < known_from {
            phases.push((Phase::Retries, self.at, known_from));
        }
        if self.queued.is_some() {
            let to = self.started.unwrap_or(end).clamp(known_from, end);
            phases.push((Phase::Queue, known_from, to));
        }
        if let Some(started) = self.started {
            // The work of a workflow task that failed is done again. The failure of an activity is
            // its result.
            let is_repeated = self.kind == Kind::WorkflowTask
                && matches!(self.status, RowStatus::Failed | RowStatus::TimedOut);
            let phase = if is_repeated { Phase::Retries } else { Phase::Run };
            phases.push((phase, started.clamp(known_from, end), end));
        }
        phases
    }

    /// How long it was in `phase`. `None` if that is unknown or it was not in that phase.
    pub(crate) fn time_in(&self, phase: Phase, until: SystemTime) -> Option<Duration> {
        let phases = self.phases(until).into_iter().filter(|(other, ..)| *other == phase);
        phases.map(|(_, from, to)| since(from, to)).reduce(|sum, time| sum + time)
    }

    /// How long a worker had it, whether or not it succeeded.
    pub(crate) fn run_time(&self, until: SystemTime) -> Option<Duration> {
        Some(since(self.started?, self.ended_or(until)?))
    }

    /// The time from its begin to its end, or to `until` if it has not ended. `None` if it is not known.
    pub(crate) fn duration(&self, until: SystemTime) -> Option<Duration> {
        let ended = self.ended_or(until).filter(|_| !self.is_undated)?;
        Some(since(self.at, ended))
    }

    /// The time before the attempt that the row shows. `None` if it is not known.
    pub(crate) fn retries(&self, until: SystemTime) -> Option<Duration> {
        let began = self.queued.or(self.started).or_else(|| self.ended_or(until));
        began.filter(|_| !self.is_undated).map(|began| since(self.at, began))
    }

    /// Its end, or `until` if it has not ended. `None` if it has ended and it is not known when.
    fn ended_or(&self, until: SystemTime) -> Option<SystemTime> {
        self.ended.or_else(|| self.status.is_open().then_some(until))
    }

    /// What it is, for people.
    pub(crate) fn label(&self) -> String {
        let Self { name, id, .. } = self;
        let label = match self.kind {
            Kind::WorkflowTask => "workflow task".to_owned(),
            Kind::Activity => format!("activity {name}"),
            Kind::LocalActivity => format!("local activity {name}").trim_end().to_owned(),
            Kind::Timer => format!("timer {name}"),
            Kind::ChildWorkflow => format!("child workflow {name} {id}"),
            Kind::NexusOperation => format!("Nexus operation {name}"),
            Kind::Signal => format!("signal {name}"),
            Kind::Update => format!("update {name}"),
            Kind::CancelRequest => by("cancel request", name),
            Kind::ExternalSignal => format!("signal {name} to {id}"),
            Kind::ExternalCancel => format!("cancel request to {id}"),
            Kind::Pause => by("paused", name),
            Kind::Unpause => by("unpaused", name),
            Kind::Marker => [name, id, self.value.as_deref().unwrap_or_default()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            Kind::StartWait => name.clone(),
        };
        match &self.summary {
            Some(summary) => format!("{label}: {summary}"),
            None => label,
        }
    }
}

/// What was done, and the identity of who did it, if that is known.
fn by(what: &str, identity: &str) -> String {
    match identity {
        "" => what.to_owned(),
        identity => format!("{what} by {identity}"),
    }
}

/// The time from `from` to `to`. It is zero if `to` is earlier, which can happen with the clocks of
/// two machines.
pub(crate) fn since(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
