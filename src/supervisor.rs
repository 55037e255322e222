//! The workers of one machine as child processes: started, watched, restarted, stopped.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, Write},
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use temporalio_client::Client;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    child::{self, Child},
    client::identity,
    config::Config,
    error::{Error, exit},
    pollers::{self, Poller, TaskKind},
    role::Role,
    shutdown::Shutdown,
    worker::task_queue,
};

/// What a worker may take beyond its own drain deadline before it is killed.
const KILL_MARGIN: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A worker that lived this long was not part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// So many short lives in a row are a crash loop.
const CRASH_LOOP: u32 = 5;

/// Where a supervisor says what it does: `fleet up` on stdout, in the sample's words, and `fleet
/// demo`, whose stdout is for results, on stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announce {
    Stdout,
    Stderr,
}

impl Announce {
    pub(crate) fn say(self, line: &str) {
        // A reader that went away must not end the fleet.
        let _ = match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{line}"),
            Self::Stderr => writeln!(io::stderr().lock(), "{line}"),
        };
    }
}

/// A worker that runs: its process and when that started.
#[derive(Clone, Copy)]
struct Running {
    role: Role,
    pid: u32,
    since: SystemTime,
}

type Workers = Arc<Mutex<BTreeMap<String, Running>>>;

/// The workers of a fleet on this machine.
pub(crate) struct Supervisor {
    config: Config,
    names: Vec<String>,
    running: Workers,
    stop: CancellationToken,
    tending: JoinSet<Result<(), Error>>,
}

impl Supervisor {
    /// Starts `counts` workers of each role. Must be called inside a tokio runtime.
    pub(crate) fn start(
        config: &Config,
        counts: &[(Role, usize)],
        announce: Announce,
        shutdown: &Shutdown,
    ) -> Self {
        let mut supervisor = Self {
            config: config.clone(),
            names: Vec::new(),
            running: Workers::default(),
            stop: CancellationToken::new(),
            tending: JoinSet::new(),
        };
        for &(role, count) in counts {
            for index in 0..count {
                let name = format!("{role}:{index}");
                supervisor.names.push(name.clone());
                supervisor.tending.spawn(
                    Tended {
                        name,
                        role,
                        config: config.clone(),
                        announce,
                        running: supervisor.running.clone(),
                        stop: supervisor.stop.clone(),
                    }
                    .tend(),
                );
            }
        }
        // A second Ctrl-C: the workers leave at once too, since this is their second signal.
        let running = supervisor.running.clone();
        shutdown.before_leaving_at_once(move || {
            if let Ok(workers) = running.lock() {
                workers.values().for_each(|worker| child::terminate(worker.pid));
            }
        });
        supervisor
    }

    /// Completes when a worker cannot go on, which only happens by itself; the rest must then be
    /// [stopped](Self::stop).
    pub(crate) async fn failed(&mut self) -> Error {
        loop {
            match self.tending.join_next().await {
                Some(Ok(Err(error))) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Asks every worker to drain and waits for all.
    ///
    /// # Errors
    /// [`Error::DrainDeadline`] when one of them could not finish in time.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.stop.cancel();
        let mut outcome = Ok(());
        while let Some(ended) = self.tending.join_next().await {
            if let Ok(Err(error)) = ended {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// What it takes to tell whether all workers work, apart from the supervisor itself.
    pub(crate) fn readiness(&self) -> Readiness {
        Readiness {
            config: self.config.clone(),
            names: self.names.clone(),
            running: self.running.clone(),
        }
    }
}

/// Tells whether every worker polls, by the server's own account.
pub(crate) struct Readiness {
    config: Config,
    names: Vec<String>,
    running: Workers,
}

impl Readiness {
    /// Waits until the server lists every worker as a poller of its queue.
    ///
    /// # Errors
    /// [`Error::NotReady`] when that takes longer than `patience`.
    pub(crate) async fn wait(&self, client: &Client, patience: Duration) -> Result<(), Error> {
        const PAUSE: Duration = Duration::from_millis(50);
        let mut missing = self.names.clone();
        let all_poll = async {
            loop {
                // A server that is too busy to answer is asked again.
                if let Ok(names) = self.not_polling(client).await {
                    missing = names;
                    if missing.is_empty() {
                        return;
                    }
                }
                sleep(PAUSE).await;
            }
        };
        match timeout(patience, all_poll).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::NotReady { after: patience, missing: missing.join(", ") }),
        }
    }

    async fn not_polling(&self, client: &Client) -> Result<Vec<String>, Error> {
        let workers = self.running.lock().map(|workers| workers.clone()).unwrap_or_default();
        let mut polls: BTreeMap<Role, Vec<Poller>> = BTreeMap::new();
        for role in workers.values().map(|worker| worker.role) {
            if let Entry::Vacant(unknown) = polls.entry(role) {
                let kind = TaskKind::of(role);
                let queue = task_queue(&self.config, role);
                unknown.insert(pollers::of_queue(client, queue, kind).await?);
            }
        }
        let is_polling = |name: &str| {
            workers.get(name).is_some_and(|worker| {
                let identity = identity(worker.role.as_str(), worker.pid);
                polls[&worker.role].iter().any(|poller| poller.is(&identity, worker.since))
            })
        };
        Ok(self.names.iter().filter(|name| !is_polling(name)).cloned().collect())
    }
}

/// One worker's place in the fleet: the process that fills it changes, the name stays.
struct Tended {
    name: String,
    role: Role,
    config: Config,
    announce: Announce,
    running: Workers,
    stop: CancellationToken,
}

impl Tended {
    /// Keeps the worker running until it is told to stop, or until there is no point.
    async fn tend(self) -> Result<(), Error> {
        let mut short_lives = 0;
        let mut backoff = FIRST_BACKOFF;
        loop {
            self.announce.say(&format!("{} starting", self.name));
            let started = Instant::now();
            let mut child = self.spawn()?;
            let status = tokio::select! {
                status = child.wait() => status,
                () = self.stop.cancelled() => return self.stop_child(child).await,
            };
            self.note(None);
            let status =
                status.map_err(|source| Error::Os { what: "lost a worker".into(), source })?;
            Announce::Stderr.say(&format!(
                "ERROR: worker exited unexpectedly: {} ({})",
                self.name,
                child::describe(status)
            ));
            if let Some(code) = hopeless(status) {
                return Err(Error::WorkerConfig { worker: self.name, code });
            }
            if started.elapsed() < STEADY && status.code().is_some() {
                short_lives += 1;
            } else {
                short_lives = 0;
                backoff = FIRST_BACKOFF;
            }
            if short_lives >= CRASH_LOOP {
                return Err(Error::CrashLoop { worker: self.name, exits: short_lives });
            }
            tokio::select! {
                () = sleep(backoff) => backoff = (backoff * 2).min(LONGEST_BACKOFF),
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let mut command = child::this_program()?;
        command
            .args(["worker", "--supervised", &self.name])
            .env_clear()
            .envs(self.config.environment.iter())
            .envs(self.config.for_child(self.role));
        let since = SystemTime::now();
        let child = Child::spawn(&mut command)?;
        self.note(Some(Running { role: self.role, pid: child.pid(), since }));
        Ok(child)
    }

    async fn stop_child(&self, mut child: Child) -> Result<(), Error> {
        self.announce.say(&format!("{} shutting down", self.name));
        let deadline = self.config.drain_timeout;
        let status = child.stop(deadline + KILL_MARGIN).await;
        self.note(None);
        match status.map(|status| (status.success(), status.code())) {
            Some((true, _)) => Ok(()),
            // It had only just started, or was on its way out for a reason of its own, which it
            // has said: there was nothing in hand.
            Some((false, Some(code))) if code != i32::from(exit::DRAIN_DEADLINE) => Ok(()),
            _ => Err(Error::DrainDeadline { after: deadline }),
        }
    }

    fn note(&self, running: Option<Running>) {
        if let Ok(mut workers) = self.running.lock() {
            match running {
                Some(running) => workers.insert(self.name.clone(), running),
                None => workers.remove(&self.name),
            };
        }
    }
}

/// The exit code of a worker that would leave the same way every time: its configuration, or the
/// server's absence for the whole connect timeout.
fn hopeless(status: ExitStatus) -> Option<u8> {
    [exit::USAGE, exit::UNAVAILABLE, exit::CONFIG]
        .into_iter()
        .find(|&code| status.code() == Some(i32::from(code)))
}
