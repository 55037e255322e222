//! `fleet worker` runs one worker in this process.

use std::{
    net::SocketAddr,
    process,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    context::{Context, log_options, settle},
    runtime::{as_task, block_on, one_thread, runtime_for},
};
use crate::{
    cli::WorkerArgs,
    config::{Config, role::Role},
    error::{CommandError, Error, Exit},
    fleet::{build_id, service},
    health::{Health, Listener},
    process::{
        flight_recorder::FlightRecorder,
        identity::identity,
        pulse::Pulse,
        shutdown::Shutdown,
        state::{State, Vitals},
        watchdog::Watchdog,
        worker_message::{SupervisorLink, WorkerMessage},
    },
    telemetry::{FLUSH_TIMEOUT, LogOptions, Telemetry, metrics::Metrics},
    terminal::stderr,
    worker::FleetWorker,
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
    flags.extend(args.group.clone().map(|group| ("group", group)));
    let mut config = context.config(flags)?;
    if let Some((group, _)) = name.and_then(|name| name.rsplit_once(':')) {
        config.group = Some(group.to_owned());
    }
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
    let vitals = Vitals::default();
    // Without it, the supervisor does not learn which workflow ended this process.
    if let Some(recorder) =
        args.flight_recorder.as_deref().and_then(|path| FlightRecorder::open(path).ok())
    {
        vitals.record_to(recorder);
    }
    let supervisor = if name.is_some() { SupervisorLink::on_stdin().ok() } else { None };
    let pulse = watch(&config, &vitals, supervisor.clone())?;
    if let Some(metrics) = telemetry.metrics() {
        metrics.observe_worker(&vitals, role, &config.version, &build_id(&config));
    }
    if let Some(address) = config.health_addr {
        let metrics = telemetry.metrics().cloned();
        let shutdown = context.shutdown.clone();
        let health = WorkerHealth::new(vitals.clone(), &config, role, shutdown, metrics);
        let address = serve_health(address, health)?;
        if let Some(supervisor) = &supervisor {
            supervisor.send(&WorkerMessage::HealthAddr(address));
        }
    }
    let work = work(context, &config, role, Watched { vitals, pulse, supervisor }, &telemetry);
    let ended = block_on(runtime_for(role, &config)?, work);
    // The flush gets the rest of the drain's time. The process is forcibly ended only after a longer time
    // than the least time for the flush.
    let left = stopped.get().map_or(FLUSH_TIMEOUT, |stopped: &Instant| {
        config.drain_timeout.saturating_sub(stopped.elapsed())
    });
    telemetry.blocking_flush(left.clamp(LEAST_FLUSH_TIMEOUT, FLUSH_TIMEOUT));
    ended
}

/// A worker's state and signs of life, and who is interested in them.
struct Watched {
    vitals: Vitals,
    pulse: Pulse,
    supervisor: Option<SupervisorLink>,
}

async fn work(
    context: &Context<'_>,
    config: &Config,
    role: Role,
    watched: Watched,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let Watched { vitals, pulse, supervisor } = watched;
    if let Some(supervisor) = supervisor {
        tokio::spawn(report_states(vitals.state(), supervisor));
    }
    let build =
        Box::pin(FleetWorker::build_with(context.fleet, config, role, vitals, telemetry.clone()));
    if let Some(worker) = context.unless_stopped(pulse.clone().of(build)).await? {
        as_task(Box::pin(pulse.of(worker.run(context.shutdown.requested())))).await?;
    }
    Ok(Exit::Success)
}

async fn report_states(mut state: watch::Receiver<State>, supervisor: SupervisorLink) {
    while state.changed().await.is_ok() {
        let now = *state.borrow_and_update();
        supervisor.send(&WorkerMessage::State(now));
    }
}

/// Starts the thread that watches the worker. The worker has to give the returned pulse.
fn watch(
    config: &Config,
    vitals: &Vitals,
    supervisor: Option<SupervisorLink>,
) -> Result<Pulse, CommandError> {
    let pulse = Pulse::new(vitals.clone());
    let watchdog = Watchdog {
        vitals: vitals.clone(),
        pulse: pulse.clone(),
        supervisor,
        stuck_timeout: config.stuck_timeout,
        exit: config.stuck_exit.then_some(exit_stuck),
    };
    watchdog
        .start()
        .map_err(|source| Error::Os { what: "cannot start a thread".into(), source })?;
    Ok(pulse)
}

/// Ends this process because its worker is stuck, when the log is written.
fn exit_stuck() {
    stderr::flush(stderr::PATIENCE);
    process::exit(Exit::Software.code().into());
}

/// Serves probes on a thread of its own, which answers while the worker's thread is blocked. Returns the
/// listener's address.
fn serve_health(address: SocketAddr, health: WorkerHealth) -> Result<SocketAddr, CommandError> {
    let runtime = one_thread()?;
    let listener = runtime.block_on(Listener::bind(address))?;
    let address = listener.address;
    thread::Builder::new()
        .name("health".into())
        .spawn(move || match runtime.block_on(listener.serve(health)) {})
        .map_err(|source| Error::Os { what: "cannot start a thread".into(), source })?;
    Ok(address)
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
            "group": config.group_or(role),
            "task_queue": config.task_queue(role),
            "identity": identity(config.group_or(role), process::id()),
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
    fn live(&self) -> (bool, String) {
        match *self.vitals.state().borrow() {
            State::Stuck => (false, State::Stuck.to_string()),
            _ => (true, "alive".into()),
        }
    }

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
