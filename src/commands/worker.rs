//! `fleet worker` runs one worker in this process.

use std::{
    process,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    context::{Context, log_options, settle},
    runtime::{as_task, block_on, runtime_for},
};
use crate::{
    cli::WorkerArgs,
    config::{Config, role::Role},
    error::{CommandError, Error, Exit},
    fleet::{build_id, service},
    health::{Health, Listener},
    process::{
        identity::identity,
        shutdown::Shutdown,
        state::{State, Vitals},
        worker_message::{SupervisorLink, WorkerMessage},
    },
    telemetry::{FLUSH_TIMEOUT, LogOptions, Telemetry, metrics::Metrics},
    terminal::stderr,
    worker::{FleetWorker, options::task_queue},
};

/// The default log level: the worker's own messages, and the SDK's warnings, which are few.
const LOG_FILTER: &str = "warn,temporal_fleet=info";
/// The default under a supervisor, where several workers share a terminal: warnings only.
const SUPERVISED_LOG_FILTER: &str = "warn";

/// How long after the drain deadline a process that is stuck is ended.
const LAST_RESORT_MARGIN: Duration = Duration::from_secs(1);
/// The least time for the collector to receive the last telemetry, even if the drain has left none.
const LEAST_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) fn run(context: &Context<'_>, args: &WorkerArgs) -> Result<Exit, CommandError> {
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
    let role = config.role.ok_or(CommandError::RoleMissing)?;
    let telemetry = context.fleet.telemetry(&config, role.as_str())?.with_metrics(
        &config.telemetry,
        &service(&config, role.as_str()),
        config.health_addr.is_some(),
        name,
    )?;
    telemetry.install(&LogOptions { worker: name, ..log_options(&config, filter) });
    settle(&config);
    let stopped = exit_at_the_latest(&context.shutdown, config.drain_timeout + LAST_RESORT_MARGIN);
    let work = work(context, &config, role, name.is_some(), &telemetry);
    let ended = block_on(runtime_for(role, &config)?, work);
    // The flush gets the rest of the drain's time. The process is forcibly ended only after a longer time
    // than the least time for the flush.
    let left = stopped.get().map_or(FLUSH_TIMEOUT, |stopped: &Instant| {
        config.drain_timeout.saturating_sub(stopped.elapsed())
    });
    telemetry.blocking_flush(left.clamp(LEAST_FLUSH_TIMEOUT, FLUSH_TIMEOUT));
    ended
}

async fn work(
    context: &Context<'_>,
    config: &Config,
    role: Role,
    supervised: bool,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let vitals = Vitals::default();
    let mut parent = if supervised { SupervisorLink::on_stdin().ok() } else { None };
    if let Some(metrics) = telemetry.metrics() {
        metrics.observe_worker(&vitals, role, &config.version, &build_id(config));
    }
    if let Some(address) = config.health_addr {
        let listener = Listener::bind(address).await?;
        if let Some(parent) = &mut parent {
            parent.send(WorkerMessage::HealthAddr(listener.address));
        }
        let metrics = telemetry.metrics().cloned();
        let health =
            WorkerHealth::new(vitals.clone(), config, role, context.shutdown.clone(), metrics);
        tokio::spawn(listener.serve(health));
    }
    if let Some(parent) = parent {
        tokio::spawn(report_states(vitals.state(), parent));
    }
    let build = FleetWorker::build_with(context.fleet, config, role, vitals, telemetry.clone());
    if let Some(worker) = context.unless_stopped(build).await? {
        as_task(Box::pin(worker.run(context.shutdown.requested()))).await?;
    }
    Ok(Exit::Success)
}

async fn report_states(mut state: watch::Receiver<State>, mut parent: SupervisorLink) {
    while state.changed().await.is_ok() {
        let now = *state.borrow_and_update();
        parent.send(WorkerMessage::State(now));
    }
}

/// Answers the health listener's questions about this process's worker.
struct WorkerHealth {
    vitals: Vitals,
    shutdown: Shutdown,
    metrics: Option<Metrics>,
    start: Instant,
    /// The fields of `/status` that do not change.
    fixed_status: Value,
}

impl WorkerHealth {
    fn new(
        vitals: Vitals,
        config: &Config,
        role: Role,
        shutdown: Shutdown,
        metrics: Option<Metrics>,
    ) -> Self {
        let fixed_status = json!({
            "role": role.as_str(),
            "fleet": config.fleet,
            "task_queue": task_queue(config, role),
            "identity": identity(role.as_str(), process::id()),
            "pid": process::id(),
            "version": config.version,
            "deployment": config.deployment.as_ref().map(|deployment| &deployment.name),
            "build_id": build_id(config),
        });
        Self { vitals, shutdown, metrics, start: Instant::now(), fixed_status }
    }

    fn state(&self) -> State {
        // The worker notices a shutdown a little later. From the moment of the signal it is not ready.
        if self.shutdown.is_requested() { State::Draining } else { *self.vitals.state().borrow() }
    }
}

impl Health for WorkerHealth {
    fn ready(&self) -> (bool, String) {
        let state = self.state();
        (state == State::Ready, state.to_string())
    }

    fn status(&self) -> Value {
        let mut status = self.fixed_status.clone();
        status["state"] = json!(self.state());
        status["workflow_tasks_in_hand"] = json!(self.vitals.workflow_tasks_in_flight());
        status["activities_in_hand"] = json!(self.vitals.activities_in_flight());
        status["uptime_s"] = json!(self.start.elapsed().as_secs());
        status
    }

    async fn metrics(&self) -> String {
        self.metrics.as_ref().map(Metrics::text).unwrap_or_default()
    }
}

/// Ends this process if it still runs `after` the shutdown was requested. Workflow code that never
/// yields blocks the worker's only thread, and so the drain deadline cannot be noticed there.
///
/// Returns the time at which the shutdown was requested; it is empty before.
fn exit_at_the_latest(shutdown: &Shutdown, after: Duration) -> Arc<OnceLock<Instant>> {
    let stopped = Arc::<OnceLock<Instant>>::default();
    let (shutdown, at) = (shutdown.clone(), stopped.clone());
    // If the thread cannot be started, the worker's own deadline still applies.
    let _ = thread::Builder::new().name("last-resort".into()).spawn(move || {
        shutdown.wait();
        at.get_or_init(Instant::now);
        thread::sleep(after);
        stderr::say("error: the worker is stuck after its drain deadline; exiting\n");
        stderr::flush(stderr::PATIENCE);
        process::exit(Exit::DrainDeadline.code().into());
    });
    stopped
}
