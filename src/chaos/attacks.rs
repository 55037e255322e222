//! Carries the attacks out, and measures how long it takes until all is well again.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    time::Duration,
};

use futures::FutureExt;
use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{
    fleet::{AttackedFleet, FleetStatus, WorkerStatus},
    load::Load,
    plan::{Attack, AttackKind},
};
use crate::{
    config::show,
    error::CommandError,
    health::ask,
    process::{
        child::{Child, this_program},
        exit_status::ProcessExit,
    },
};

/// How often to look whether a worker is ready again. Recovery times are exact to this.
const LOOK: Duration = Duration::from_millis(100);
/// How long the fleet's listener may not answer before the trial is given up.
const MOST_SILENCE: Duration = Duration::from_secs(15);
/// How long a worker that is not frozen any more may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
/// How long the process that freezes a worker may take to end the freeze.
const THAW_TIMEOUT: Duration = Duration::from_secs(5);

/// What the attacks did so far.
#[derive(Default)]
pub(super) struct AttackLog {
    /// How many attacks were carried out.
    pub(super) counts: BTreeMap<AttackKind, u64>,
    /// How many found nothing to attack: the worker was not ready, or the server was away.
    pub(super) skipped: u64,
    /// The times until all was well again.
    pub(super) recoveries: BTreeMap<AttackKind, Vec<Duration>>,
    /// The workers that were not ready again in the end.
    pub(super) not_recovered: Vec<String>,
}

/// The attacks of a trial.
pub(super) struct Attacks<'a, S: Fn(&str)> {
    pub(super) fleet: &'a AttackedFleet,
    pub(super) load: &'a Load<'a>,
    pub(super) began: Instant,
    planned: VecDeque<Attack>,
    awaited: Vec<Awaited>,
    log: AttackLog,
    /// Since when the fleet's listener does not answer, and why.
    silent_since: Option<Instant>,
    /// Prints a line about an attack.
    say: S,
}

/// An attack whose victim is not well yet.
struct Awaited {
    kind: AttackKind,
    /// The worker; `None` for the server.
    worker: Option<WorkerStatus>,
    /// The process that was attacked.
    pid: u32,
    since: Instant,
    /// The process that freezes the worker, until it has ended.
    freezer: Option<Child>,
}

impl<'a, S: Fn(&str)> Attacks<'a, S> {
    pub(super) fn new(
        fleet: &'a AttackedFleet,
        load: &'a Load<'a>,
        began: Instant,
        planned: Vec<Attack>,
        say: S,
    ) -> Self {
        Self {
            fleet,
            load,
            began,
            planned: planned.into(),
            awaited: Vec::new(),
            log: AttackLog::default(),
            silent_since: None,
            say,
        }
    }

    /// Attacks as planned, and waits until every victim is well again, until `deadline` or until `stop`. No worker
    /// is frozen afterwards.
    ///
    /// # Errors
    /// [`CommandError::AttackedFleet`] when the fleet does not answer any more.
    pub(super) async fn run(
        mut self,
        deadline: Instant,
        stop: impl Future<Output = ()>,
    ) -> Result<AttackLog, CommandError> {
        let ended = self.attack_until(deadline, stop).await;
        for awaited in &mut self.awaited {
            if let Some(freezer) = &mut awaited.freezer {
                freezer.stop(THAW_TIMEOUT).await;
            }
        }
        ended?;
        self.log.not_recovered = self.awaited.iter().filter_map(Awaited::name).collect();
        Ok(self.log)
    }

    async fn attack_until(
        &mut self,
        deadline: Instant,
        stop: impl Future<Output = ()>,
    ) -> Result<(), CommandError> {
        let mut stop = std::pin::pin!(stop);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.planned.is_empty() && self.awaited.is_empty() {
                return Ok(());
            }
            let next = self.planned.front().map(|attack| self.began + attack.at);
            tokio::select! {
                () = until(next) => {
                    if let Some(attack) = self.planned.pop_front() {
                        self.attack(attack).await?;
                    }
                }
                _ = looks.tick() => self.look().await?,
                () = sleep_until(deadline) => return Ok(()),
                () = &mut stop => return Ok(()),
            }
        }
    }

    async fn attack(&mut self, attack: Attack) -> Result<(), CommandError> {
        let Some(status) = self.status().await? else {
            self.log.skipped += 1;
            return Ok(());
        };
        let done = match attack.kind {
            AttackKind::ServerRestart => self.restart_server(&status),
            _ => self.attack_worker(attack, &status.workers),
        };
        match done {
            Some(awaited) => {
                *self.log.counts.entry(attack.kind).or_default() += 1;
                let at = self.began.elapsed().as_secs_f64();
                let (name, pid) = (awaited.name(), awaited.pid);
                let name = name.as_deref().unwrap_or("the server");
                (self.say)(&format!("{at:6.1} s  {}  {name} (pid {pid})", words(attack)));
                self.awaited.push(awaited);
            }
            None => self.log.skipped += 1,
        }
        Ok(())
    }

    /// Attacks the worker that the plan names. If that one cannot be attacked now, the next one by name is, unless it
    /// is a kill: one a second would else keep a fleet from ever being ready. `None` if none can.
    fn attack_worker(&self, attack: Attack, workers: &[WorkerStatus]) -> Option<Awaited> {
        let first = usize::try_from(attack.victim % (workers.len() as u64).max(1)).ok()?;
        let others = if attack.kind == AttackKind::Kill { 0 } else { workers.len() };
        let by_turn = workers[first..].iter().chain(&workers[..first]).take(1 + others);
        by_turn.filter(|worker| self.may_attack(worker)).find_map(|worker| {
            let mut awaited = Awaited {
                kind: attack.kind,
                worker: Some(worker.clone()),
                pid: worker.pid?,
                since: Instant::now(),
                freezer: None,
            };
            match attack.kind {
                AttackKind::Kill => self.fleet.signal(worker, Signal::KILL).ok()?,
                AttackKind::Stop => self.fleet.signal(worker, Signal::TERM).ok()?,
                _ => awaited.freezer = Some(self.freeze(worker, attack.freeze)?),
            }
            Some(awaited)
        })
    }

    /// Only a worker that is ready is attacked, and only one attack at a time.
    fn may_attack(&self, worker: &WorkerStatus) -> bool {
        let is_awaited = self.awaited.iter().any(|awaited| awaited.is_of(worker));
        worker.is_ready() && !is_awaited
    }

    /// Starts the process that freezes a worker, and makes it go on even if this process is killed.
    fn freeze(&self, worker: &WorkerStatus, time: Duration) -> Option<Child> {
        let mut command = this_program().ok()?;
        command.args(self.fleet.freeze_command(worker, time));
        Child::spawn(&mut command).ok()
    }

    fn restart_server(&self, status: &FleetStatus) -> Option<Awaited> {
        let is_awaited = self.awaited.iter().any(|awaited| awaited.worker.is_none());
        let server =
            status.dev_server.as_ref().filter(|server| server.is_ready() && !is_awaited)?;
        let pid = server.pid?;
        let since = Instant::now();
        self.fleet.kill_server(pid).ok()?;
        let kind = AttackKind::ServerRestart;
        Some(Awaited { kind, worker: None, pid, since, freezer: None })
    }

    /// Looks which victims are well again, and records how long that took.
    async fn look(&mut self) -> Result<(), CommandError> {
        if self.awaited.is_empty() {
            return Ok(());
        }
        let Some(status) = self.status().await? else { return Ok(()) };
        for mut awaited in std::mem::take(&mut self.awaited) {
            match self.recovered(&mut awaited, &status).await {
                Recovery::Awaited => self.awaited.push(awaited),
                Recovery::After(time) => {
                    self.log.recoveries.entry(awaited.kind).or_default().push(time);
                }
                Recovery::NotMeasured => {}
                Recovery::NotAttacked => {
                    self.log.skipped += 1;
                    *self.log.counts.entry(awaited.kind).or_default() -= 1;
                }
            }
        }
        Ok(())
    }

    async fn recovered(&self, awaited: &mut Awaited, status: &FleetStatus) -> Recovery {
        let Some(attacked) = &awaited.worker else { return self.server_recovered(awaited, status) };
        let now = status.workers.iter().find(|worker| worker.name == attacked.name);
        let Some(now) = now.filter(|worker| worker.is_ready()) else { return Recovery::Awaited };
        if now.pid != Some(awaited.pid) {
            // If it was frozen, the supervisor has replaced it meanwhile.
            return Recovery::After(awaited.since.elapsed());
        }
        if awaited.kind != AttackKind::Freeze {
            return Recovery::Awaited;
        }
        if let Some(freezer) = &mut awaited.freezer {
            match freezer.wait().now_or_never() {
                None => return Recovery::Awaited,
                Some(exit) => {
                    awaited.freezer = None;
                    if !exit.is_ok_and(ProcessExit::is_success) {
                        return Recovery::NotAttacked;
                    }
                }
            }
        }
        let answers = match now.health_addr {
            Some(address) => ask(address, "/livez", ANSWER_TIMEOUT, 1024).await.is_ok(),
            None => true,
        };
        if answers { Recovery::After(awaited.since.elapsed()) } else { Recovery::Awaited }
    }

    /// The server is well again when a workflow has completed.
    fn server_recovered(&self, awaited: &Awaited, status: &FleetStatus) -> Recovery {
        let server = status.dev_server.as_ref();
        if !server.is_some_and(|server| server.is_ready() && server.pid != Some(awaited.pid)) {
            return Recovery::Awaited;
        }
        let progress = self.load.progress.borrow();
        // What was on its way when the server was killed does not count.
        let begin = awaited.since + LOOK;
        let first = progress.completions.iter().find(|at| **at > begin);
        match first {
            Some(first) => Recovery::After(first.duration_since(awaited.since)),
            None if progress.is_over => Recovery::NotMeasured,
            None => Recovery::Awaited,
        }
    }

    /// The fleet's status; `None` if it does not answer just now.
    async fn status(&mut self) -> Result<Option<FleetStatus>, CommandError> {
        match self.fleet.status().await {
            Ok(status) => {
                self.silent_since = None;
                Ok(Some(status))
            }
            Err(why) => {
                let since = *self.silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() < MOST_SILENCE {
                    return Ok(None);
                }
                let why = format!("{why}, for {}", show(MOST_SILENCE));
                Err(CommandError::AttackedFleet { address: self.fleet.address, why })
            }
        }
    }
}

/// What became of a victim.
enum Recovery {
    Awaited,
    After(Duration),
    /// Nothing shows it.
    NotMeasured,
    /// It was not attacked in the end.
    NotAttacked,
}

impl Awaited {
    fn name(&self) -> Option<String> {
        self.worker.as_ref().map(|worker| worker.name.clone())
    }

    fn is_of(&self, worker: &WorkerStatus) -> bool {
        self.worker.as_ref().is_some_and(|awaited| awaited.name == worker.name)
    }
}

fn words(attack: Attack) -> String {
    match attack.kind {
        AttackKind::Kill | AttackKind::ServerRestart => "SIGKILL".into(),
        AttackKind::Stop => "SIGTERM".into(),
        AttackKind::Freeze => {
            format!("SIGSTOP for {:.1} s", attack.freeze.as_secs_f64())
        }
    }
}

/// Completes at `time`; never if there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
