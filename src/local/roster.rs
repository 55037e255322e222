//! The workers of a fleet and their current state.

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{sync::watch, time::Instant};

use crate::{config::role::Role, process::state::State};

/// A worker of a fleet.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    /// Its name, such as `orders:0`.
    pub(super) name: String,
    pub(super) group: String,
    pub(super) role: Role,
}

/// The records of all workers of a fleet, by name.
pub(super) type WorkerRecords = BTreeMap<String, WorkerRecord>;

/// The record of a worker. Its processes change; the record stays.
#[derive(Clone, Debug)]
pub(super) struct WorkerRecord {
    pub(super) group: String,
    pub(super) role: Role,
    /// The current process, if one runs.
    pub(super) process: Option<ProcessRecord>,
    /// How often a process of this worker was replaced.
    pub(super) restarts: u32,
    /// How often a process of this worker was stuck.
    pub(super) stuck: u32,
    /// How many workflows were named when they had ended or blocked a process of this worker.
    pub(super) poison: u32,
    /// Whether its last process, which has ended, was stuck.
    was_stuck: bool,
    /// Whether any process of this worker was ever ready.
    was_ready: bool,
}

impl WorkerRecord {
    /// The word for the worker's state: that of its process, or `stopped`. A worker that was stuck is so until
    /// it is replaced.
    pub(super) fn state(&self) -> String {
        match &self.process {
            Some(process) => process.state.to_string(),
            None if self.was_stuck => State::Stuck.to_string(),
            None => "stopped".to_owned(),
        }
    }

    fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.state == State::Ready)
    }
}

/// The record of a running worker process.
#[derive(Clone, Debug)]
pub(super) struct ProcessRecord {
    pub(super) pid: u32,
    pub(super) started: Instant,
    pub(super) state: State,
    /// When it became ready, if it did.
    pub(super) ready_since: Option<Instant>,
    /// Where its health listener is, if it has one.
    pub(super) health_addr: Option<SocketAddr>,
}

/// The names of the workers that are not ready.
pub(super) fn unready(workers: &WorkerRecords) -> Vec<String> {
    workers.iter().filter(|(_, worker)| !worker.is_ready()).map(|(name, _)| name.clone()).collect()
}

/// The workers of a fleet, shared by those who change their records and those who read them.
#[derive(Clone)]
pub(super) struct Roster(watch::Sender<WorkerRecords>);

impl Roster {
    /// A roster of workers of which none runs yet.
    pub(super) fn new(workers: impl IntoIterator<Item = Worker>) -> Self {
        let record = |group, role| WorkerRecord {
            group,
            role,
            process: None,
            restarts: 0,
            stuck: 0,
            poison: 0,
            was_stuck: false,
            was_ready: false,
        };
        let record = |worker: Worker| (worker.name, record(worker.group, worker.role));
        let workers = workers.into_iter().map(record).collect();
        Self(watch::Sender::new(workers))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<WorkerRecords> {
        self.0.subscribe()
    }

    /// Whether every worker is ready.
    pub(super) fn all_ready(&self) -> bool {
        unready(&self.0.borrow()).is_empty()
    }

    /// Whether any worker was ever ready.
    pub(super) fn was_ever_ready(&self) -> bool {
        self.0.borrow().values().any(|worker| worker.was_ready)
    }

    /// The pids of all running processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.0.borrow().values().filter_map(|worker| Some(worker.process.as_ref()?.pid)).collect()
    }

    /// Records that a process of the worker was started.
    pub(super) fn started(&self, name: &str, pid: u32) {
        let process = ProcessRecord {
            pid,
            started: Instant::now(),
            state: State::Starting,
            ready_since: None,
            health_addr: None,
        };
        self.update(name, |worker| {
            worker.process = Some(process);
            worker.was_stuck = false;
        });
    }

    /// Records that the worker's process is stuck.
    pub(super) fn stuck(&self, name: &str) {
        self.update(name, |worker| {
            worker.stuck += 1;
            worker.was_stuck = true;
            if let Some(process) = &mut worker.process {
                process.state = State::Stuck;
            }
        });
    }

    /// Records that the worker's process is ready. Returns whether every worker is now.
    pub(super) fn ready(&self, name: &str) -> bool {
        let mut all_ready = false;
        self.0.send_modify(|workers| {
            if let Some(worker) = workers.get_mut(name)
                && let Some(process) = &mut worker.process
            {
                process.state = State::Ready;
                process.ready_since.get_or_insert_with(Instant::now);
                worker.was_ready = true;
            }
            all_ready = unready(workers).is_empty();
        });
        all_ready
    }

    /// Changes the record of the worker's process, if one runs.
    pub(super) fn update_process(&self, name: &str, change: impl FnOnce(&mut ProcessRecord)) {
        self.update(name, |worker| worker.process.as_mut().map(change));
    }

    /// Records that the worker's process has ended, and returns its last record.
    pub(super) fn ended(&self, name: &str) -> Option<ProcessRecord> {
        self.update(name, |worker| worker.process.take()).flatten()
    }

    /// Counts a restart of the worker.
    pub(super) fn count_restart(&self, name: &str) {
        self.update(name, |worker| worker.restarts += 1);
    }

    /// Counts a workflow that was named because it has ended or blocked several workers, this one last.
    pub(super) fn count_poison(&self, name: &str) {
        self.update(name, |worker| worker.poison += 1);
    }

    fn update<T>(&self, name: &str, change: impl FnOnce(&mut WorkerRecord) -> T) -> Option<T> {
        let mut changed = None;
        self.0.send_modify(|workers| changed = workers.get_mut(name).map(change));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        let (group, role) = ("worker".to_owned(), Role::Worker);
        Roster::new(["a", "b"].map(|name| Worker { name: name.into(), group: group.clone(), role }))
    }

    #[test]
    fn a_fleet_is_ready_when_its_last_worker_is() {
        let roster = roster();
        roster.started("a", 1);
        roster.started("b", 2);
        assert!(!roster.ready("b"));
        assert_eq!(unready(&roster.subscribe().borrow()), ["a"]);
        assert!(roster.ready("a"));
        assert!(roster.all_ready());
    }

    #[test]
    fn a_worker_that_has_ended_is_not_ready_but_counts_as_once_ready() {
        let roster = roster();
        roster.started("a", 1);
        assert!(!roster.was_ever_ready());
        roster.ready("a");
        let process = roster.ended("a").unwrap();
        assert!(process.ready_since.is_some());
        assert!(roster.was_ever_ready());
        assert_eq!(roster.pids(), Vec::<u32>::new());
        assert_eq!(roster.subscribe().borrow()["a"].state(), "stopped");
    }

    #[test]
    fn a_worker_that_was_stuck_is_stuck_until_it_is_replaced() {
        let roster = roster();
        let state = || roster.subscribe().borrow()["a"].state();
        roster.started("a", 1);
        roster.ready("a");
        roster.stuck("a");
        assert_eq!(state(), "stuck");
        assert_eq!(unready(&roster.subscribe().borrow()), ["a", "b"]);
        roster.ended("a");
        assert_eq!(state(), "stuck");
        roster.started("a", 2);
        assert_eq!(state(), "starting");
        assert_eq!(roster.subscribe().borrow()["a"].stuck, 1);
    }
}
