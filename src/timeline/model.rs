//! What a timeline is made of: a run, its rows, and what it waits for.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// One run of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) run: Run,
    /// By time, and then as the history has them.
    pub(crate) rows: Vec<Row>,
    /// What a run that still goes on waits for.
    pub(crate) waits: Vec<Wait>,
    /// How many events of each type no row tells of.
    pub(crate) other: BTreeMap<String, usize>,
    /// The end of the axis: of the run, or when the server was asked.
    pub(crate) until: SystemTime,
}

/// The run itself.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    pub(crate) status: &'static str,
    pub(crate) started: SystemTime,
    /// When its first workflow task was to be scheduled, where that was not at once: a start delay,
    /// a cron schedule or the pause before a retry.
    pub(crate) begins: Option<SystemTime>,
    pub(crate) closed: Option<SystemTime>,
    /// The identity of who started it.
    pub(crate) started_by: String,
    /// For people, from who started it.
    pub(crate) summary: Option<String>,
    /// Why it ended so: the failure, or what somebody said who ended it.
    pub(crate) failure: Option<String>,
    /// Counted over the runs of a workflow with a retry policy.
    pub(crate) attempt: u32,
    /// The id of its parent workflow.
    pub(crate) parent: Option<String>,
    pub(crate) previous_run: Option<String>,
    pub(crate) next_run: Option<String>,
    /// How many events its history has.
    pub(crate) events: u64,
}

impl Timeline {
    /// What differs once something has happened: more than the time.
    pub(crate) fn news(&self) -> (u64, Vec<(i64, State, u32)>, usize) {
        let open = self.rows.iter().filter(|row| row.state.is_open());
        let open = open.map(|row| (row.event_id, row.state, row.attempt)).collect();
        let unserved = self.waits.iter().filter(|wait| wait.unserved).count();
        (self.run.events, open, unserved)
    }
}

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
    /// To another workflow.
    ExternalSignal,
    /// To another workflow.
    ExternalCancel,
    Pause,
    Unpause,
}

impl Kind {
    /// As JSON names it.
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
        }
    }

    /// Whether a worker runs it.
    pub(crate) fn is_task(self) -> bool {
        matches!(self, Self::WorkflowTask | Self::Activity | Self::LocalActivity)
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A task that no worker has taken yet.
    Queued,
    /// A worker has it.
    Running,
    /// Its last attempt failed, and the next is to come.
    BackingOff,
    Paused,
    /// Not a task, and not over.
    Open,
    Completed,
    Failed,
    TimedOut,
    Cancelled,
    Terminated,
    /// Still open when the run ended.
    Abandoned,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::BackingOff => "backing off",
            Self::Paused => "paused",
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::Abandoned => "abandoned",
        }
    }

    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::BackingOff | Self::Paused | Self::Open)
    }
}

/// A task, a timer, a signal, …
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    /// The event that it begins with; 0 where the history has none yet.
    pub(crate) event_id: i64,
    /// The type of an activity or workflow, the name of a signal; empty where there is none.
    pub(crate) name: String,
    /// The id of an activity, a timer or a workflow.
    pub(crate) id: String,
    pub(crate) task_queue: String,
    /// The worker whose own queue it is in, since that has the workflow in its cache (sticky).
    pub(crate) sticky_to: Option<String>,
    pub(crate) state: State,
    /// When it was scheduled; of a workflow task that is tried again, when the last attempt ended
    /// that the history tells of.
    pub(crate) at: SystemTime,
    /// When the attempt that the row tells of began to wait in its queue. An activity's history does
    /// not tell that of later attempts than the first.
    pub(crate) queued: Option<SystemTime>,
    /// When a worker took it.
    pub(crate) started: Option<SystemTime>,
    pub(crate) ended: Option<SystemTime>,
    /// 0 for what is not tried.
    pub(crate) attempt: u32,
    /// The identity of the worker that took it last.
    pub(crate) worker: String,
    /// That worker's version, as `deployment:build`, or its build id.
    pub(crate) version: Option<String>,
    /// Why it ended so.
    pub(crate) failure: Option<String>,
    /// Why the attempt before failed.
    pub(crate) last_failure: Option<String>,
    /// When a timer fires, or the next attempt is scheduled.
    pub(crate) due: Option<SystemTime>,
    pub(crate) last_heartbeat: Option<SystemTime>,
    /// For people, from the workflow's code.
    pub(crate) summary: Option<String>,
}

/// What a part of a row's time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Attempts that failed, of which no more is known, and the pauses after them.
    Retries,
    /// In a task queue: no worker has taken it.
    Queue,
    Run,
    /// A timer, a child workflow, a Nexus operation: nothing for this workflow's workers to do.
    Wait,
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
            state: State::Open,
            at,
            queued: None,
            started: None,
            ended: None,
            attempt: 0,
            worker: String::new(),
            version: None,
            failure: None,
            last_failure: None,
            due: None,
            last_heartbeat: None,
            summary: None,
        }
    }

    /// What its time was, in order; what is not over lasts until `until`.
    pub(crate) fn phases(&self, until: SystemTime) -> Vec<(Phase, SystemTime, SystemTime)> {
        let end = self.ended.unwrap_or(until).max(self.at);
        match self.kind {
            Kind::Timer | Kind::ChildWorkflow | Kind::NexusOperation => {
                return vec![(Phase::Wait, self.at, end)];
            }
            Kind::WorkflowTask | Kind::Activity | Kind::LocalActivity => {}
            _ => return Vec::new(),
        }
        let mut phases = Vec::with_capacity(2);
        let known_from = self.queued.or(self.started).unwrap_or(end).clamp(self.at, end);
        if self.at < known_from {
            phases.push((Phase::Retries, self.at, known_from));
        }
        if self.queued.is_some() {
            let to = self.started.unwrap_or(end).clamp(known_from, end);
            phases.push((Phase::Queue, known_from, to));
        }
        if let Some(started) = self.started {
            // A workflow task that failed is an attempt whose work is done again. The failure of an
            // activity is its result.
            let in_vain = matches!(self.state, State::Failed | State::TimedOut)
                && self.kind == Kind::WorkflowTask;
            let phase = if in_vain { Phase::Retries } else { Phase::Run };
            phases.push((phase, started.clamp(known_from, end), end));
        }
        phases
    }

    /// How long it was in a phase; `None`: not known, or not at all.
    pub(crate) fn time_in(&self, phase: Phase, until: SystemTime) -> Option<Duration> {
        let phases = self.phases(until).into_iter().filter(|(its, ..)| *its == phase);
        phases.map(|(_, from, to)| since(from, to)).reduce(|sum, more| sum + more)
    }

    /// How long a worker had it, whatever came of it.
    pub(crate) fn run_time(&self, until: SystemTime) -> Option<Duration> {
        self.started.map(|started| since(started, self.ended.unwrap_or(until)))
    }

    /// What it is, as people call it.
    pub(crate) fn label(&self) -> String {
        let Self { name, id, .. } = self;
        let mut label = match self.kind {
            Kind::WorkflowTask => "workflow task".to_owned(),
            Kind::Activity => format!("activity {name}"),
            Kind::LocalActivity => format!("local activity {name}"),
            Kind::Timer => format!("timer {name}"),
            Kind::ChildWorkflow => format!("child workflow {name} {id}"),
            Kind::NexusOperation => format!("Nexus operation {name}"),
            Kind::Signal => format!("signal {name}"),
            Kind::Update => format!("update {name}"),
            Kind::CancelRequest => "cancel request".to_owned(),
            Kind::ExternalSignal => format!("signal {name} to {id}"),
            Kind::ExternalCancel => format!("cancel request to {id}"),
            Kind::Pause => "paused".to_owned(),
            Kind::Unpause => "unpaused".to_owned(),
        };
        if let Some(summary) = &self.summary {
            label.push_str(": ");
            label.push_str(summary);
        }
        label
    }
}

/// Something that a run waits for.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) kind: Option<Kind>,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) since: SystemTime,
    /// Whether it is in a queue that no worker polls.
    pub(crate) unserved: bool,
    /// In words.
    pub(crate) text: String,
}

/// From one to the other; nothing if that is not later, as by two machines' clocks.
pub(crate) fn since(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// A duration to three digits or so, in at most seven characters.
pub(crate) fn short(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if duration.is_zero() {
        "0 ms".into()
    } else if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if millis < 9995.0 {
        format!("{:.2} s", millis / 1000.0)
    } else if minutes == 0 {
        format!("{:.1} s", millis / 1000.0)
    } else if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else {
        format!("{days}d {:02}h", hours % 24)
    }
}
