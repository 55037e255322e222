//! What a bench measures, and the quantiles that it reports.

/// A time that is measured for each workflow or for each of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// From the time when the workflow was due until its result has arrived.
    EndToEnd,
    /// From the scheduling of a workflow task until a worker takes it.
    WorkflowTaskScheduleToStart,
    /// From there until the worker's answer is at the server.
    WorkflowTaskExecution,
    /// From the scheduling of an activity until a worker takes it.
    ActivityScheduleToStart,
    /// From there until its result is at the server.
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

    /// The name in JSON and in goals.
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
        Self::ALL.into_iter().find(|measure| measure.as_str() == name)
    }
}

/// The time that a given share of all times does not exceed.
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

    /// The share of the times that do not exceed it, from 0 to 1.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::Max => 1.0,
        }
    }

    /// Also understands `p999`, which is JSON's key for p99.9.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = if name == "p999" { Self::P999.as_str() } else { name };
        Self::ALL.into_iter().find(|quantile| quantile.as_str() == name)
    }
}
