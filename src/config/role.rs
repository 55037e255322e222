//! The role of a process decides what it registers and which task queue it polls.

use std::{fmt, str::FromStr};

/// The role of a worker process.
///
/// A process takes it from `FLEET_ROLE` or `fleet worker --role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Runs workflow code. It polls workflow tasks on the workflow task queue.
    WorkflowWorker,
    /// Runs activities. It polls activity tasks on the activity task queue.
    ActivityWorker,
    /// Runs both on one task queue, the workflow task queue, as workers usually do. It is the only role whose
    /// workflows can use local activities, because those run in the process that schedules them.
    Worker,
}

impl Role {
    /// Every role, in the order in which help texts and errors list them.
    pub const ALL: [Self; 3] = [Self::WorkflowWorker, Self::ActivityWorker, Self::Worker];

    /// The name in `FLEET_ROLE`, worker names, identities and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowWorker => "workflow-worker",
            Self::ActivityWorker => "activity-worker",
            Self::Worker => "worker",
        }
    }

    /// The key of the setting that names the task queue which this role polls.
    pub(crate) fn queue_key(self) -> &'static str {
        match self {
            Self::WorkflowWorker | Self::Worker => "workflow_task_queue",
            Self::ActivityWorker => "activity_task_queue",
        }
    }

    /// Whether this role runs workflow code.
    #[must_use]
    pub fn runs_workflows(self) -> bool {
        matches!(self, Self::WorkflowWorker | Self::Worker)
    }

    /// Whether this role runs activities that other processes schedule.
    #[must_use]
    pub fn runs_activities(self) -> bool {
        matches!(self, Self::ActivityWorker | Self::Worker)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// The text names no [`Role`].
#[derive(Debug, thiserror::Error)]
#[error("unknown role; expected workflow-worker, activity-worker or worker")]
pub struct UnknownRole;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_parses_from_its_own_name() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
    }

    #[test]
    fn an_unknown_role_names_every_known_one() {
        let message = "actvity".parse::<Role>().unwrap_err().to_string();
        for role in Role::ALL {
            assert!(message.contains(role.as_str()), "{message}");
        }
    }
}
