//! `fleet worker`: one worker in this process.

use std::{
    io::{self, Write},
    process,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    context::{Context, settle},
    runtime::{as_task, block_on, runtime_for},
};
use crate::{
    cli::WorkerArgs,
    config::{Config, role::Role},
    error::{Error, exit},
    health::{Health, Listener},
    process::{
        identity::{identity, own_build_id},
        shutdown::Shutdown,
        state::{State, Vitals},
        worker_message::{SupervisorLink, WorkerMessage},
    },
    telemetry::{self, FLUSH_TIMEOUT, Logs, Traces, metrics::Metrics},
    worker::{FleetWorker, options::task_queue},
};

/// What the worker says of itself. The SDK's own warnings are few and worth reading.
const LOG_FILTER: &str = "warn,temporal_fleet=info";
/// Under a supervisor, on a terminal with other workers, only what is not as it should be.
const SUPERVISED_LOG_FILTER: &str = "warn";

/// How far past the drain deadline the last resort waits.
const LAST_RESORT_MARGIN: Duration = Duration::from_secs(1);
/// How long the collector is waited for where the drain has left no time.
const LEAST_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn run(context: &Context<'_>, args: &WorkerArgs) -> Result<u8, Error> {
    let name = args.supervised.as_deref();
    let filter = if name.is_some() { SUPERVISED_LOG_FILTER } else { LOG_FILTER };
    if name.is_some() {
        context
            .shutdown
            .stop_with_parent()
            .map_err(|source| Error::Os { what: "cannot watch the supervisor".into(), source })?;
    }

    let mut flags = args.settings.overrides();
    flags.extend(args.role.map(|role| ("role", role.to_string())));
    let config = context.config(flags)?;
    let role = config.role.ok_or(Error::RoleMissing)?;
    let traces = context.fleet.traces(&config, role.as_str())?;
    let logs = Logs::start(&config, role.as_str())?;
    telemetry::install(&config, filter, name, traces.as_ref(), logs.as_ref());
    let metrics = Metrics::start(&config, role.as_str(), name)?;
    settle(&config);
    let stopped = leave_at_the_latest(&context.shutdown, config.drain_timeout + LAST_RESORT_MARGIN);
    let work = work(context, &config, role, name.is_some(), metrics.as_ref(), traces.as_ref());
    let ended = block_on(runtime_for(role, &config)?, work);
    // What the drain has left of its time; the last resort is further away than the least.
    let left = || {
        let left = stopped.get().map_or(FLUSH_TIMEOUT, |stopped: &Instant| {
            config.drain_timeout.saturating_sub(stopped.elapsed())
        });
        left.clamp(LEAST_FLUSH_TIMEOUT, FLUSH_TIMEOUT)
    };
    thread::scope(|scope| {
        // At the same time: each may have to wait for a collector that does not answer.
        if let Some(metrics) = metrics {
            scope.spawn(move || metrics.flush(left()));
        }
        if let Some(logs) = logs {
            scope.spawn(move || logs.flush(left()));
        }
        if let Some(traces) = traces {
            traces.flush(left());
        }
    });
    ended
}

async fn work(
    context: &Context<'_>,
    config: &Config,
    role: Role,
    supervised: bool,
    metrics: Option<&Metrics>,
    traces: Option<&Traces>,
) -> Result<u8, Error> {
    let vitals = Vitals::default();
    let mut parent = if supervised { SupervisorLink::on_stdin().ok() } else { None };
    if let Some(metrics) = metrics {
        metrics.observe_worker(&vitals, role, &config.version, &build_id(config));
        metrics.install();
    }
    if let Some(address) = config.health_addr {
        let listener = Listener::bind(address).await?;
        if let Some(parent) = &mut parent {
            parent.send(WorkerMessage::HealthAddr(listener.address));
        }
        let metrics = metrics.cloned();
        let health =
            WorkerHealth::new(vitals.clone(), config, role, context.shutdown.clone(), metrics);
        tokio::spawn(listener.serve(health));
    }
    if let Some(parent) = parent {
        tokio::spawn(tell_states(vitals.state(), parent));
    }
    let build =
        FleetWorker::build_with(context.fleet, config, role, vitals, metrics.cloned(), traces);
    if let Some(worker) = context.unless_stopped(build).await? {
        as_task(Box::pin(worker.run(context.shutdown.requested()))).await?;
    }
    Ok(0)
}

async fn tell_states(mut state: watch::Receiver<State>, mut parent: SupervisorLink) {
    while state.changed().await.is_ok() {
        let now = *state.borrow_and_update();
        parent.send(WorkerMessage::State(now));
    }
}

/// What the health listener tells of this process's worker.
struct WorkerHealth {
    vitals: Vitals,
    shutdown: Shutdown,
    metrics: Option<Metrics>,
    begun: Instant,
    /// The part of the status that does not change.
    about: Value,
}

impl WorkerHealth {
    fn new(
        vitals: Vitals,
        config: &Config,
        role: Role,
        shutdown: Shutdown,
        metrics: Option<Metrics>,
    ) -> Self {
        let about = json!({
            "role": role.as_str(),
            "fleet": config.fleet,
            "task_queue": task_queue(config, role),
            "identity": identity(role.as_str(), process::id()),
            "pid": process::id(),
            "version": config.version,
            "deployment": config.deployment.as_ref().map(|it| &it.name),
            "build_id": build_id(config),
        });
        Self { vitals, shutdown, metrics, begun: Instant::now(), about }
    }

    fn state(&self) -> State {
        // Before the worker itself gets round to it: not ready from the moment it is asked to stop.
        if self.shutdown.is_requested() { State::Draining } else { *self.vitals.state().borrow() }
    }
}

impl Health for WorkerHealth {
    fn ready(&self) -> (bool, String) {
        let state = self.state();
        (state == State::Ready, state.to_string())
    }

    fn status(&self) -> Value {
        let mut status = self.about.clone();
        status["state"] = json!(self.state());
        status["workflow_tasks_in_hand"] = json!(self.vitals.workflow_tasks_in_hand());
        status["activities_in_hand"] = json!(self.vitals.activities_in_hand());
        status["uptime_s"] = json!(self.begun.elapsed().as_secs());
        status
    }

    async fn metrics(&self) -> String {
        self.metrics.as_ref().map(Metrics::text).unwrap_or_default()
    }
}

/// The build that histories and `/status` name.
fn build_id(config: &Config) -> String {
    config.deployment.as_ref().map_or_else(own_build_id, |it| it.build_id.clone())
}

/// The last resort: workflow code that never yields keeps a worker's only thread, and with it the
/// drain deadline, from running.
///
/// What comes back is when the stop was asked for, from then on.
fn leave_at_the_latest(shutdown: &Shutdown, after: Duration) -> Arc<OnceLock<Instant>> {
    let stopped = Arc::<OnceLock<Instant>>::default();
    let (shutdown, at) = (shutdown.clone(), stopped.clone());
    // Without the thread the deadline proper still holds.
    let _ = thread::Builder::new().name("last-resort".into()).spawn(move || {
        shutdown.wait();
        at.get_or_init(Instant::now);
        thread::sleep(after);
        // Not eprintln!, which panics where stderr is gone: the process has to leave.
        let line = "error: the worker is stuck past its drain deadline: leaving\n";
        let _ = io::stderr().lock().write_all(line.as_bytes());
        process::exit(exit::DRAIN_DEADLINE.into());
    });
    stopped
}
