//! The workers of a fleet on one machine, as child processes of this one.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    events::{FleetEvent, Reporter},
    fleet_health::FleetHealth,
    poison::Strikes,
    roster::{Roster, Worker, unready},
    worker_slot::WorkerSlot,
};
use crate::{
    config::{environment::Environment, role::Role},
    error::{CommandError, Error},
    process::{child::kill_group, shutdown::Shutdown},
    telemetry::metrics::Metrics,
};

/// A group of workers that are all alike.
pub(crate) struct WorkerGroup {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) count: usize,
    /// All variables of each worker's process.
    pub(crate) environment: Environment,
    pub(crate) timeouts: Timeouts,
}

/// How long a worker may take.
#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    /// To drain when the fleet stops.
    pub(crate) drain: Duration,
    /// Until its next sign of life; zero for any time.
    pub(crate) stuck: Duration,
}

/// Runs the workers of a fleet on this machine.
pub(crate) struct Supervisor {
    roster: Roster,
    stop: CancellationToken,
    /// Runs each worker's slot.
    slots: JoinSet<Result<(), CommandError>>,
}

impl Supervisor {
    /// Starts the workers of all groups. Must be called inside a tokio runtime.
    ///
    /// A second signal kills all workers.
    pub(crate) fn start(
        groups: Vec<WorkerGroup>,
        reporter: &Arc<dyn Reporter>,
        shutdown: &Shutdown,
    ) -> Self {
        reporter.report(&starting(&groups));
        let roster = Roster::new(groups.iter().flat_map(workers));
        if roster.all_ready() {
            reporter.report(&FleetEvent::FleetReady); // there is no worker to wait for
        }
        let stop = CancellationToken::new();
        let (mut slots, strikes) = (JoinSet::new(), Strikes::default());
        for group in groups {
            let workers: Vec<_> = workers(&group).collect();
            let (role, timeouts) = (group.role, group.timeouts);
            let environment = Arc::new(group.environment);
            for worker in workers {
                let slot = WorkerSlot {
                    name: worker.name,
                    role,
                    environment: environment.clone(),
                    drain_timeout: timeouts.drain,
                    stuck_timeout: timeouts.stuck,
                    roster: roster.clone(),
                    strikes: strikes.clone(),
                    reporter: reporter.clone(),
                    stop: stop.clone(),
                };
                slots.spawn(slot.run());
            }
        }
        let running = roster.clone();
        shutdown.on_second_signal(move || running.pids().into_iter().for_each(kill_group));
        Self { roster, stop, slots }
    }

    /// Completes with an error when a worker cannot be kept running. The other workers must then be
    /// [stopped](Self::stop).
    pub(crate) async fn failed(&mut self) -> CommandError {
        loop {
            match self.slots.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(Ok(Ok(()))) => {}
                Some(Err(bug)) => return Error::Bug(bug.to_string()).into(),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until every worker is ready. The future borrows nothing.
    ///
    /// # Errors
    /// [`CommandError::NotReady`] when that takes longer than `time_limit`.
    pub(crate) fn ready(
        &self,
        time_limit: Duration,
    ) -> impl Future<Output = Result<(), CommandError>> + use<> {
        let mut workers = self.roster.subscribe();
        async move {
            let all_ready = workers.wait_for(|workers| unready(workers).is_empty());
            if let Ok(Ok(_)) = timeout(time_limit, all_ready).await {
                return Ok(());
            }
            let missing = unready(&workers.borrow()).join(", ");
            Err(CommandError::NotReady { after: time_limit, missing })
        }
    }

    /// What a health listener answers for this fleet. `version` is the fleet's; `metrics` are this
    /// process's own.
    pub(crate) fn health(&self, version: String, metrics: Option<Metrics>) -> FleetHealth {
        FleetHealth::new(self.roster.subscribe(), self.stop.clone(), version, metrics)
    }

    /// Asks every worker to drain and waits for all of them.
    ///
    /// # Errors
    /// The error with the highest exit code: [`Error::DrainDeadline`] when a worker could not
    /// finish in time, before [`CommandError::WorkerLost`] when one ended before it had drained.
    pub(crate) async fn stop(mut self) -> Result<(), CommandError> {
        self.stop.cancel();
        let mut worst: Option<CommandError> = None;
        while let Some(ended) = self.slots.join_next().await {
            let ended = ended.unwrap_or_else(|bug| Err(Error::Bug(bug.to_string()).into()));
            if let Err(error) = ended
                && worst.as_ref().map_or(0, |worst| worst.exit().code()) < error.exit().code()
            {
                worst = Some(error);
            }
        }
        worst.map_or(Ok(()), Err)
    }
}

/// The workers of a group.
fn workers(group: &WorkerGroup) -> impl Iterator<Item = Worker> + use<> {
    let (group, role, count) = (group.name.clone(), group.role, group.count);
    (0..count).map(move |index| Worker {
        name: format!("{group}:{index}"),
        group: group.clone(),
        role,
    })
}

fn starting(groups: &[WorkerGroup]) -> FleetEvent {
    let count = |role| {
        groups.iter().filter(|group| group.role == role).map(|group| group.count).sum::<usize>()
    };
    FleetEvent::FleetStarting {
        workflow_workers: count(Role::WorkflowWorker),
        activity_workers: count(Role::ActivityWorker),
        workers: count(Role::Worker),
    }
}
