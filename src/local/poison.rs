//! Workflows whose code ends or blocks its worker again and again.
//!
//! Temporal gives the task of such a workflow to the next worker, which it ends as well. The fleet survives
//! that, but only its operator can end the workflow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::process::named_run::NamedRun;

/// After how many workers a workflow is named.
pub(super) const STRIKES: u32 = 3;
/// After how long without another one the strikes of a workflow are forgotten. Chance kills a worker twice
/// while the same workflow's code runs, but rarely within this time.
const MEMORY: Duration = Duration::from_hours(1);
/// How many workflows are remembered.
const REMEMBERED: usize = 1000;

/// How many workers each workflow has ended or blocked. All workers of a fleet share it, because such a
/// workflow goes from one to the next. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes(Arc<Mutex<HashMap<String, Strike>>>);

#[derive(Clone, Copy, Debug)]
struct Strike {
    count: u32,
    last: Instant,
}

impl Strikes {
    /// Counts a worker that ended or was stuck `now`, while the code of `run` ran. Returns whether it is the
    /// one after which the workflow is named.
    pub(super) fn add(&self, run: &NamedRun, now: Instant) -> bool {
        let mut strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        strikes.retain(|_, strike| now.duration_since(strike.last) < MEMORY);
        if strikes.len() >= REMEMBERED && !strikes.contains_key(&run.run_id) {
            let oldest = strikes.iter().min_by_key(|(_, strike)| strike.last);
            if let Some(oldest) = oldest.map(|(run_id, _)| run_id.clone()) {
                strikes.remove(&oldest);
            }
        }
        let strike = strikes.entry(run.run_id.clone()).or_insert(Strike { count: 0, last: now });
        strike.count += 1;
        strike.last = now;
        strike.count == STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: usize) -> NamedRun {
        NamedRun { run_id: id.to_string(), ..NamedRun::default() }
    }

    #[test]
    fn a_workflow_is_named_once_after_its_third_worker() {
        let strikes = Strikes::default();
        let named: Vec<_> = (0..5).map(|_| strikes.add(&run(0), Instant::now())).collect();
        assert_eq!(named, [false, false, true, false, false]);
        assert!(!strikes.add(&run(1), Instant::now()));
    }

    #[test]
    fn strikes_are_forgotten_after_an_hour() {
        let strikes = Strikes::default();
        let now = Instant::now();
        assert!(!strikes.add(&run(0), now) && !strikes.add(&run(0), now));
        assert!(!strikes.add(&run(0), now + MEMORY));
    }

    #[test]
    fn a_limited_number_of_workflows_is_remembered() {
        let strikes = Strikes::default();
        for id in 0..2 * REMEMBERED {
            strikes.add(&run(id), Instant::now());
        }
        assert_eq!(strikes.0.lock().unwrap().len(), REMEMBERED);
    }
}
