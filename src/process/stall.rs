//! What a worker does whose executor does not come on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{named_run::NamedRun, state::Vitals};

/// How many workflows are named. All of them wait for the same thread, and the first one says why.
const NAMED: usize = 20;

/// What a worker does whose executor does not come on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stall {
    /// The workflow whose code runs, and does not return.
    pub(crate) running: Option<NamedRun>,
    /// Other workflows whose tasks are in flight. They are no cause: they wait.
    pub(crate) waiting: Vec<NamedRun>,
    /// The number of activities in flight.
    pub(crate) activities: usize,
}

impl Stall {
    /// What the worker with these vitals does now.
    pub(super) fn of(vitals: &Vitals) -> Self {
        let running = vitals.code().running();
        let mut waiting = vitals.runs_in_flight();
        waiting.retain(|run| running.as_ref().is_none_or(|running| running.run_id != run.run_id));
        waiting.truncate(NAMED);
        Self { running, waiting, activities: vitals.activities_in_flight() }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self == &Self::default() {
            return f.write_str("it is not known what was in flight");
        }
        let mut separator = "";
        if let Some(running) = &self.running {
            write!(f, "the code of workflow {running} does not return")?;
            separator = "; ";
        }
        if !self.waiting.is_empty() {
            let waiting: Vec<_> = self.waiting.iter().map(ToString::to_string).collect();
            write!(f, "{separator}workflow tasks that wait: {}", waiting.join(", "))?;
            separator = "; ";
        }
        if self.activities > 0 {
            write!(f, "{separator}activities in flight: {}", self.activities)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> NamedRun {
        NamedRun { workflow_type: "Load".into(), workflow_id: id.into(), run_id: "r".into() }
    }

    #[test]
    fn the_workflow_that_runs_is_reported_apart_from_those_that_wait() {
        let mut stall = Stall { running: Some(run("a")), waiting: vec![run("b")], activities: 2 };
        assert_eq!(
            stall.to_string(),
            "the code of workflow Load a (run r) does not return; workflow tasks that wait: Load b \
             (run r); activities in flight: 2"
        );
        stall.running = None;
        stall.waiting.clear();
        assert_eq!(stall.to_string(), "activities in flight: 2");
        assert_eq!(Stall::default().to_string(), "it is not known what was in flight");
    }
}
