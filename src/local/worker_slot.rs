//! One worker of a fleet: started, watched, restarted and stopped. Its name stays the same while
//! its processes change.

use std::{fs::File, sync::Arc, time::Duration};

use tempfile::{NamedTempFile, TempPath};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    events::{FleetEvent, Reporter, WorkerProcess},
    poison::{STRIKES, Strikes},
    restarts::{Restarts, startup_failure},
    roster::Roster,
};
use crate::{
    config::{environment::Environment, role::Role},
    error::{CommandError, Error, Exit, chain},
    process::{
        child::{self, Child, ChildEvent},
        exit_status::ProcessExit,
        flight_recorder,
        named_run::NamedRun,
        stall::Stall,
        state::State,
        watchdog,
        worker_message::WorkerMessage,
    },
};

/// How long a worker may take to exit after its own drain deadline before it is killed.
const KILL_MARGIN: Duration = Duration::from_secs(5);
/// How often a worker's signs of life are looked for.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// The place of one worker in the fleet, which one process after the other fills.
pub(super) struct WorkerSlot {
    pub(super) name: String,
    pub(super) role: Role,
    /// All variables of the worker's processes.
    pub(super) environment: Arc<Environment>,
    pub(super) drain_timeout: Duration,
    /// How long a worker may give no sign of life; zero for any time.
    pub(super) stuck_timeout: Duration,
    pub(super) roster: Roster,
    /// The workflows that have ended workers, of the whole fleet.
    pub(super) strikes: Strikes,
    pub(super) reporter: Arc<dyn Reporter>,
    /// Cancelled when the fleet stops.
    pub(super) stop: CancellationToken,
}

/// The file in which a worker's process notes whose workflow code runs.
struct Recorder {
    file: File,
    /// The worker removes the file's name. If it does not come to that, this does.
    _path: TempPath,
}

impl Recorder {
    fn running(&self) -> Option<NamedRun> {
        flight_recorder::read(&self.file)
    }
}

impl WorkerSlot {
    /// Keeps the worker running until the fleet stops.
    ///
    /// # Errors
    /// Why the worker cannot be started again, or how it failed to drain.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let mut restarts = Restarts::new(self.name.clone());
        let mut replaces = false;
        loop {
            let pause = match self.start() {
                Ok((mut child, recorder)) => {
                    if replaces {
                        self.roster.count_restart(&self.name);
                    }
                    replaces = true;
                    let exit = tokio::select! {
                        exit = self.until_exit(&mut child, recorder.as_ref()) => exit?,
                        () = self.stop.cancelled() => return self.drain(child).await,
                    };
                    // What its activities have started ends with it.
                    child.kill_group();
                    self.after_exit(&child, exit, recorder.as_ref(), &mut restarts)?
                }
                Err(error) => self.after_failed_start(error, &mut restarts)?,
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Starts a process for the worker, with a flight recorder if a file for it can be created.
    fn start(&self) -> Result<(Child, Option<Recorder>), CommandError> {
        let mut command = child::this_program()?;
        command
            .args(["worker", "--supervised", &self.name])
            .env_clear()
            .envs(self.environment.iter());
        let recorder = NamedTempFile::new().ok().map(|file| {
            let (file, path) = file.into_parts();
            command.arg("--flight-recorder").arg(&path);
            Recorder { file, _path: path }
        });
        let child = Child::spawn_worker(command)?;
        self.roster.started(&self.name, child.pid());
        self.reporter.report(&FleetEvent::WorkerStarting(self.process(&child)));
        Ok((child, recorder))
    }

    /// Follows the worker's messages until its process has exited. A worker that gives no sign of life for
    /// the stuck timeout is killed.
    ///
    /// The seconds without a sign of life are counted, not measured. If this process was stopped itself, or
    /// the machine was suspended, that counts as one.
    async fn until_exit(
        &self,
        child: &mut Child,
        recorder: Option<&Recorder>,
    ) -> Result<ProcessExit, CommandError> {
        let limit = watchdog::limit(self.stuck_timeout);
        let mut looks = interval(LOOK_PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut silent_for, mut stall) = (0, Stall::default());
        loop {
            let event = tokio::select! {
                // A sign of life that has arrived counts before the second in which it was missing.
                biased;
                event = child.next_event() => event,
                _ = looks.tick(), if limit.is_some_and(|limit| silent_for < limit) => {
                    silent_for += 1;
                    if limit == Some(silent_for) {
                        self.kill_stuck(child, std::mem::take(&mut stall), recorder);
                    }
                    continue;
                }
            };
            match event {
                ChildEvent::Message(WorkerMessage::State(State::Ready)) => self.on_ready(child),
                ChildEvent::Message(WorkerMessage::State(state)) => {
                    self.roster.update_process(&self.name, |process| process.state = state);
                    if state == State::Disconnected {
                        self.reporter.report(&FleetEvent::WorkerDisconnected(self.process(child)));
                    }
                }
                ChildEvent::Message(WorkerMessage::HealthAddr(address)) => {
                    let address = Some(address);
                    self.roster.update_process(&self.name, |process| process.health_addr = address);
                }
                ChildEvent::Message(WorkerMessage::Beat) => {
                    // A worker that was killed may have sent it before.
                    if limit.is_none_or(|limit| silent_for < limit) {
                        silent_for = 0;
                        stall = Stall::default();
                    }
                }
                ChildEvent::Message(WorkerMessage::Stalled(now)) => stall = now,
                ChildEvent::Exited(exit) => {
                    return exit.map_err(|source| {
                        Error::Os { what: "lost a worker".into(), source }.into()
                    });
                }
            }
        }
    }

    fn kill_stuck(&self, child: &Child, mut stall: Stall, recorder: Option<&Recorder>) {
        self.roster.stuck(&self.name);
        // A process that was stopped as a whole could send nothing.
        stall.running = stall.running.or_else(|| recorder?.running());
        let (process, silent_for) = (self.process(child), self.stuck_timeout);
        self.reporter.report(&FleetEvent::WorkerStuck { process, silent_for, stall });
        child.kill_group();
    }

    fn on_ready(&self, child: &Child) {
        let all_ready = self.roster.ready(&self.name);
        self.reporter.report(&FleetEvent::WorkerReady(self.process(child)));
        if all_ready {
            self.reporter.report(&FleetEvent::FleetReady);
        }
    }

    /// Reports an exit that nobody asked for. Returns the pause before the next start.
    fn after_exit(
        &self,
        child: &Child,
        exit: ProcessExit,
        recorder: Option<&Recorder>,
        restarts: &mut Restarts,
    ) -> Result<Duration, CommandError> {
        let running = recorder.and_then(Recorder::running).filter(|_| !exit.was_stopped());
        let ready_since = self.roster.ended(&self.name).and_then(|process| process.ready_since);
        let ready_for = ready_since.map(|since| since.elapsed());
        let (now, fleet_worked) = (Instant::now(), self.roster.was_ever_ready());
        let pause = restarts.next_pause(exit, now, ready_for, running.is_some(), fleet_worked);
        let restart_in = pause.as_ref().ok().copied();
        let process = self.process(child);
        self.reporter.report(&FleetEvent::WorkerExited { process, exit, restart_in });
        if let Some(run) = running
            && self.strikes.add(&run, now)
        {
            self.roster.count_poison(&self.name);
            self.reporter.report(&FleetEvent::WorkflowEndsWorkers { run, workers: STRIKES });
        }
        pause
    }

    /// Reports that no process could be started for the worker. Returns the pause before the next try.
    ///
    /// # Errors
    /// The failure itself, if no worker of the fleet was ever ready: nobody would notice otherwise.
    fn after_failed_start(
        &self,
        error: CommandError,
        restarts: &mut Restarts,
    ) -> Result<Duration, CommandError> {
        if !self.roster.was_ever_ready() {
            return Err(error);
        }
        let restart_in = restarts.pause_after_failure();
        self.reporter.report(&FleetEvent::WorkerStartFailed {
            worker: self.name.clone(),
            role: self.role,
            error: chain(&error),
            restart_in,
        });
        Ok(restart_in)
    }

    /// Asks the worker to drain and waits for its exit.
    async fn drain(&self, mut child: Child) -> Result<(), CommandError> {
        let process = self.process(&child);
        self.reporter.report(&FleetEvent::WorkerShuttingDown(process.clone()));
        self.roster.update_process(&self.name, |process| process.state = State::Draining);
        let exit = child.stop(self.drain_timeout + KILL_MARGIN).await;
        child.kill_group();
        self.roster.ended(&self.name);
        let event =
            FleetEvent::WorkerStopped { process, exit: exit.unwrap_or(ProcessExit::KILLED) };
        self.reporter.report(&event);
        match exit {
            Some(exit) if exit.is_success() => Ok(()),
            // A worker that could not even start had no work in flight. It has logged the reason.
            Some(exit) if startup_failure(exit).is_some() => Ok(()),
            Some(exit) if !exit.is(Exit::DrainDeadline) => {
                Err(CommandError::WorkerLost { worker: self.name.clone(), how: exit.to_string() })
            }
            _ => Err(Error::DrainDeadline { after: self.drain_timeout }.into()),
        }
    }

    fn process(&self, child: &Child) -> WorkerProcess {
        WorkerProcess { worker: self.name.clone(), role: self.role, pid: child.pid() }
    }
}
