//! What is measured, and which numbers of it are told.

/// A time that each workflow, or each of its tasks, takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// From when the workflow was to be started until its result is here.
    EndToEnd,
    /// In a task queue, until a worker takes it.
    WorkflowTaskScheduleToStart,
    /// At a worker.
    WorkflowTaskExecution,
    ActivityScheduleToStart,
    ActivityExecution,
}

impl Measure {
    pub(crate) const ALL: [Self; 5] = [
        Self::EndToEnd,
        Self::WorkflowTaskScheduleToStart,
        Self::WorkflowTaskExecution,
        Self::ActivityScheduleToStart,
        Self::ActivityExecution,
    ];

    /// As JSON and goals name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::EndToEnd => "end_to_end",
            Self::WorkflowTaskScheduleToStart => "workflow_task_schedule_to_start",
            Self::WorkflowTaskExecution => "workflow_task_execution",
            Self::ActivityScheduleToStart => "activity_schedule_to_start",
            Self::ActivityExecution => "activity_execution",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// A number that tells of many times: so many of them are not longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

impl Quantile {
    pub(crate) const ALL: [Self; 5] = [Self::P50, Self::P90, Self::P99, Self::P999, Self::Max];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
        }
    }

    /// The share of all that are not longer.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::Max => 1.0,
        }
    }

    /// JSON's name for p99.9, which has no dot, is understood too.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name).or_else(|| {
            let is_p999 = name == "p999";
            is_p999.then_some(Self::P999)
        })
    }
}
