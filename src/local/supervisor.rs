//! The workers of one machine as child processes: started, watched, restarted, stopped.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitStatus, time::Duration};

use futures::future::join_all;
use opentelemetry::KeyValue;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, role::Role},
    error::{Error, exit},
    health::{Health, ask},
    process::{
        child::{self, Child, Event},
        notice::Notice,
        shutdown::Shutdown,
        state::State,
    },
    telemetry::metrics::{Metrics, exposition::merged},
    terminal::announce::Announce,
};

/// What a worker may take beyond its own drain deadline before it is killed.
const KILL_MARGIN: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A worker that was ready for this long was not part of a crash loop.
const STEADY: Duration = Duration::from_secs(10);
/// How long a worker may take to tell its metrics, and how much they may be: a tenth of Prometheus' own
/// timeout, and many times what they are.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(1);
const LARGEST_SCRAPE: usize = 4 * 1024 * 1024;
/// So many early exits in a row are a crash loop: before the worker was ready, or soon after it.
const CRASH_LOOP: u32 = 5;

/// A worker's place in the fleet, as it is now.
#[derive(Clone, Debug)]
struct Place {
    role: Role,
    /// The process that fills it, if one does.
    running: Option<Running>,
    /// How often a process of it was replaced.
    restarts: u32,
    /// Whether any of its processes was ever ready.
    was_ready: bool,
}

#[derive(Clone, Debug)]
struct Running {
    pid: u32,
    since: Instant,
    state: State,
    /// Since when it is ready, if it ever was.
    ready: Option<Instant>,
    health: Option<SocketAddr>,
}

/// Every worker's place, by name.
type Places = BTreeMap<String, Place>;

/// The workers of a fleet on this machine.
pub(crate) struct Supervisor {
    fleet: watch::Sender<Places>,
    stop: CancellationToken,
    version: String,
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
        let workers: Vec<_> = counts
            .iter()
            .flat_map(|&(role, count)| {
                (0..count).map(move |index| (format!("{role}:{index}"), role))
            })
            .collect();
        let empty = |role| Place { role, running: None, restarts: 0, was_ready: false };
        let places = workers.iter().map(|(name, role)| (name.clone(), empty(*role))).collect();
        let mut supervisor = Self {
            fleet: watch::Sender::new(places),
            stop: CancellationToken::new(),
            version: config.version.clone(),
            tending: JoinSet::new(),
        };
        for (name, role) in workers {
            let fleet = supervisor.fleet.clone();
            let stop = supervisor.stop.clone();
            let config = config.clone();
            supervisor.tending.spawn(Tended { name, role, config, announce, fleet, stop }.tend());
        }
        // A second Ctrl-C: the workers leave at once too.
        let fleet = supervisor.fleet.clone();
        shutdown.before_leaving_at_once(move || {
            for running in fleet.borrow().values().filter_map(|place| place.running.as_ref()) {
                child::kill_group(running.pid);
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
                Some(Ok(Ok(()))) => {}
                Some(Err(bug)) => return Error::Bug(bug.to_string()),
                None => std::future::pending().await,
            }
        }
    }

    /// Asks every worker to drain and waits for all.
    ///
    /// # Errors
    /// The worst: [`Error::DrainDeadline`] when one of them could not finish in time, before
    /// [`Error::WorkerLost`] when one ended before it was done.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        self.stop.cancel();
        let mut worst: Option<Error> = None;
        while let Some(ended) = self.tending.join_next().await {
            let ended = ended.unwrap_or_else(|bug| Err(Error::Bug(bug.to_string())));
            let code = |error: &Error| error.exit_code();
            if let Err(error) = ended
                && worst.as_ref().map_or(0, code) < error.exit_code()
            {
                worst = Some(error);
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// What it takes to tell how the fleet is, apart from the supervisor itself.
    /// With `metrics`, these tell of it too.
    pub(crate) fn watch(&self, metrics: Option<Metrics>) -> FleetWatch {
        if let Some(metrics) = &metrics {
            observe(metrics, &self.fleet.subscribe());
        }
        FleetWatch {
            metrics,
            fleet: self.fleet.subscribe(),
            stop: self.stop.clone(),
            version: self.version.clone(),
            begun: Instant::now(),
        }
    }
}

/// Tells how a fleet is.
#[derive(Clone)]
pub(crate) struct FleetWatch {
    fleet: watch::Receiver<Places>,
    stop: CancellationToken,
    version: String,
    metrics: Option<Metrics>,
    begun: Instant,
}

impl FleetWatch {
    /// Waits until every worker is ready.
    ///
    /// # Errors
    /// [`Error::NotReady`] when that takes longer than `patience`.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<(), Error> {
        let all_ready = self.fleet.wait_for(|fleet| missing(fleet).is_empty());
        if let Ok(Ok(_)) = timeout(patience, all_ready).await {
            return Ok(());
        }
        let missing = missing(&self.fleet.borrow()).join(", ");
        Err(Error::NotReady { after: patience, missing })
    }
}

/// The workers that are not ready.
fn missing(fleet: &Places) -> Vec<String> {
    let is_ready =
        |place: &Place| place.running.as_ref().is_some_and(|running| running.state == State::Ready);
    fleet.iter().filter(|(_, place)| !is_ready(place)).map(|(name, _)| name.clone()).collect()
}

impl Health for FleetWatch {
    fn ready(&self) -> (bool, String) {
        if self.stop.is_cancelled() {
            return (false, State::Draining.to_string());
        }
        let missing = missing(&self.fleet.borrow());
        if missing.is_empty() {
            (true, State::Ready.to_string())
        } else {
            (false, format!("not ready: {}", missing.join(", ")))
        }
    }

    fn status(&self) -> Value {
        let worker = |(name, place): (&String, &Place)| {
            let running = place.running.as_ref();
            json!({
                "name": name,
                "role": place.role.as_str(),
                "state": running.map_or("stopped".to_owned(), |it| it.state.to_string()),
                "pid": running.map(|it| it.pid),
                "uptime_s": running.map(|it| it.since.elapsed().as_secs()),
                "health_addr": running.and_then(|it| it.health).map(|it| it.to_string()),
                "restarts": place.restarts,
            })
        };
        let (ready, state) = Health::ready(self);
        json!({
            "state": if ready || self.stop.is_cancelled() { state } else { "starting".to_owned() },
            "version": self.version,
            "pid": std::process::id(),
            "uptime_s": self.begun.elapsed().as_secs(),
            "workers": self.fleet.borrow().iter().map(worker).collect::<Vec<_>>(),
        })
    }

    /// The supervisor's own metrics and those of its workers; of one that does not answer, none.
    async fn metrics(&self) -> String {
        let addresses: Vec<_> = self
            .fleet
            .borrow()
            .values()
            .filter_map(|place| place.running.as_ref()?.health)
            .collect();
        let asked = addresses
            .into_iter()
            .map(|address| ask(address, "/metrics", SCRAPE_TIMEOUT, LARGEST_SCRAPE));
        let mut texts: Vec<_> = self.metrics.iter().map(Metrics::text).collect();
        for answer in join_all(asked).await {
            if let Ok((200, text)) = answer {
                texts.push(text);
            }
        }
        merged(texts.iter().map(String::as_str))
    }
}

/// Counts a fleet's workers by role and state, and their restarts.
fn observe(metrics: &Metrics, fleet: &watch::Receiver<Places>) {
    let meter = metrics.meter();
    let places = fleet.clone();
    meter
        .u64_observable_gauge("fleet.workers")
        .with_description("Workers of this fleet, by role and state")
        .with_callback(move |it| {
            let mut counts = BTreeMap::<_, u64>::new();
            for place in places.borrow().values() {
                let running = place.running.as_ref();
                let state = running.map_or("stopped".to_owned(), |it| it.state.to_string());
                *counts.entry((place.role.as_str(), state)).or_default() += 1;
            }
            for ((role, state), count) in counts {
                it.observe(count, &[KeyValue::new("role", role), KeyValue::new("state", state)]);
            }
        })
        .build();
    let places = fleet.clone();
    meter
        .u64_observable_counter("fleet.worker.restarts")
        .with_description("How often a worker was replaced")
        .with_callback(move |it| {
            for (name, place) in places.borrow().iter() {
                let about = [
                    KeyValue::new("worker", name.clone()),
                    KeyValue::new("role", place.role.as_str()),
                ];
                it.observe(u64::from(place.restarts), &about);
            }
        })
        .build();
}

/// One worker's place in the fleet: the process that fills it changes, the name stays.
struct Tended {
    name: String,
    role: Role,
    config: Config,
    announce: Announce,
    fleet: watch::Sender<Places>,
    stop: CancellationToken,
}

impl Tended {
    /// Keeps the worker running until it is told to stop, or until there is no point.
    async fn tend(self) -> Result<(), Error> {
        let mut early_exits = 0;
        let mut backoff = FIRST_BACKOFF;
        loop {
            self.announce.say(&format!("{} starting", self.name));
            let mut child = self.spawn()?;
            let status = loop {
                tokio::select! {
                    event = child.next_event() => match event {
                        Event::Told(notice) => self.note(notice),
                        Event::Exited(status) => break status,
                    },
                    () = self.stop.cancelled() => return self.stop_child(child).await,
                }
            };
            let ready = self.update(|place| place.running.take()?.ready).flatten();
            let status =
                status.map_err(|source| Error::Os { what: "lost a worker".into(), source })?;
            Announce::Stderr.say(&format!(
                "ERROR: worker exited unexpectedly: {} ({})",
                self.name,
                child::describe(status)
            ));
            // While no worker was ever ready, what keeps this one from starting keeps all. Later it is
            // the server that is away, and a fleet outlives that.
            let fleet_worked = self.fleet.borrow().values().any(|place| place.was_ready);
            let hopeless = hopeless(status);
            if let Some(code) = hopeless
                && !fleet_worked
            {
                return Err(Error::WorkerConfig { worker: self.name, code });
            }
            let steady = ready.is_some_and(|ready| ready.elapsed() >= STEADY);
            if steady {
                backoff = FIRST_BACKOFF;
            }
            // One that was killed from outside was no part of a crash loop, once it worked.
            let killed_at_work = ready.is_some() && status.code().is_none();
            if hopeless.is_none() {
                early_exits = if steady || killed_at_work { 0 } else { early_exits + 1 };
            }
            if early_exits >= CRASH_LOOP {
                return Err(Error::CrashLoop { worker: self.name, exits: early_exits });
            }
            tokio::select! {
                () = sleep(backoff) => backoff = (backoff * 2).min(LONGEST_BACKOFF),
                () = self.stop.cancelled() => return Ok(()),
            }
            self.update(|place| place.restarts += 1);
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let mut command = child::this_program()?;
        command
            .args(["worker", "--supervised", &self.name])
            .env_clear()
            .envs(self.config.environment.iter())
            .envs(self.config.for_child(self.role));
        if self.config.health_addr.is_some() {
            // The address proper is the supervisor's; each worker takes a free port.
            command.env("FLEET_HEALTH_ADDR", "127.0.0.1:0");
        }
        let child = Child::spawn_telling(command)?;
        let running = Running {
            pid: child.pid(),
            since: Instant::now(),
            state: State::Starting,
            ready: None,
            health: None,
        };
        self.update(|place| place.running = Some(running));
        Ok(child)
    }

    fn note(&self, notice: Notice) {
        self.update(|place| {
            let Some(running) = &mut place.running else { return };
            match notice {
                Notice::State(state) => {
                    running.state = state;
                    if state == State::Ready {
                        running.ready = Some(Instant::now());
                        place.was_ready = true;
                    }
                }
                Notice::HealthAddr(address) => running.health = Some(address),
            }
        });
    }

    async fn stop_child(&self, mut child: Child) -> Result<(), Error> {
        self.announce.say(&format!("{} shutting down", self.name));
        let deadline = self.config.drain_timeout;
        self.note(Notice::State(State::Draining));
        let status = child.stop(deadline + KILL_MARGIN).await;
        self.update(|place| place.running = None);
        match status {
            Some(status) if status.success() => Ok(()),
            // It had only just started and could not: it has said why, and had nothing in hand.
            Some(status) if hopeless(status).is_some() => Ok(()),
            Some(status) if status.code() != Some(exit::DRAIN_DEADLINE.into()) => {
                Err(Error::WorkerLost { worker: self.name.clone(), how: child::describe(status) })
            }
            _ => Err(Error::DrainDeadline { after: deadline }),
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let mut changed = None;
        self.fleet.send_modify(|fleet| changed = fleet.get_mut(&self.name).map(change));
        changed
    }
}

/// The exit code of a worker that could not start for a reason outside itself: its configuration, or
/// the server's absence for the whole connect timeout.
fn hopeless(status: ExitStatus) -> Option<u8> {
    [exit::USAGE, exit::UNAVAILABLE, exit::CONFIG]
        .into_iter()
        .find(|&code| status.code() == Some(i32::from(code)))
}
