//! `fleet up`: a fleet on this machine, as the sample's `worker.py` runs it.

use std::{fmt::Write, time::Duration};

use futures::future::join;
use tokio::time::sleep;

use super::context::{Context, log_options};
use crate::{
    cli::{Counts, UpArgs},
    config::{Config, role::Role},
    error::Error,
    fleet::{Fleet, service},
    health::Listener,
    local::{
        dev_server::{DevServer, Options, Port, USUAL_PORTS},
        supervisor::Supervisor,
        temporal_cli,
    },
    telemetry::Telemetry,
    terminal::{announce::Announce, stdout::Stdout},
};

/// How long the last words may take to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: &UpArgs) -> Result<u8, Error> {
    let mut flags = args.settings.overrides();
    flags.extend(args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())));
    let config = context.config(flags)?;
    Telemetry::default().install(&log_options(&config, "warn"));
    let counts = workers(context, &args.counts)?;
    if args.port.is_some_and(|port| port != 0) && args.port == args.ui_port {
        return Err(Error::Usage("--port and --ui-port are the same".into()));
    }
    if counts.iter().all(|(_, count)| *count == 0) && !args.dev_server {
        return Err(Error::Usage("no worker to run, and no --dev-server either".into()));
    }

    let health = match config.health_addr {
        Some(address) => Some(Listener::bind(address).await?),
        None => None,
    };
    if !args.dev_server {
        return supervise(context, counts, &config, None, health).await;
    }
    let port = Port::from_flag(args.port, USUAL_PORTS.0);
    let ui_port = Port::from_flag(args.ui_port, USUAL_PORTS.1);
    let db_filename = args.db_filename.clone();
    let options = Options { port, ui_port: Some(ui_port), db_filename };
    let Some(server) = dev_server(context, &config, options).await? else {
        return Ok(0);
    };
    Announce::Stderr.say(&format!("Temporal dev server: {}", server.address()));
    if let Some(ui) = server.ui() {
        Announce::Stderr.say(&format!("Temporal UI:         {ui}"));
    }
    Announce::Stderr.say(&format!("\n  export TEMPORAL_ADDRESS={}\n", server.address()));
    let config = config.pointed_at(server.address());
    supervise(context, counts, &config, Some(server), health).await
}

/// A dev server, with a CLI that is fetched if need be. `None`: a stop was requested first.
pub(super) async fn dev_server(
    context: &Context<'_>,
    config: &Config,
    options: Options,
) -> Result<Option<DevServer>, Error> {
    let cli = temporal_cli::obtain(config, |line| Announce::Stderr.say(line));
    match context.unless_stopped(cli).await? {
        Some(cli) => DevServer::start(&cli, options, config, context.shutdown.requested()).await,
        None => Ok(None),
    }
}

/// How many workers of each role, all of which the fleet can serve.
pub(super) fn workers(context: &Context<'_>, counts: &Counts) -> Result<[(Role, usize); 3], Error> {
    let counts = counts_of(counts, context.fleet);
    for (role, _) in counts.into_iter().filter(|(_, count)| *count > 0) {
        context.fleet.registered(role)?;
    }
    Ok(counts)
}

/// How many workers of each role, those of none included.
fn counts_of(counts: &Counts, fleet: &Fleet) -> [(Role, usize); 3] {
    let by_default = |serves: bool, count| if serves { count } else { 0 };
    // Workers that serve both take from the same queue as those of workflows alone.
    let apart = counts.num_workers == 0;
    let workflows = by_default(apart && fleet.default_workflow_type().is_some(), 2);
    let activities = by_default(apart && fleet.has_activities(), 1);
    [
        (Role::WorkflowWorker, counts.num_workflow_workers.unwrap_or(workflows)),
        (Role::ActivityWorker, counts.num_activity_workers.unwrap_or(activities)),
        (Role::Worker, counts.num_workers),
    ]
}

async fn supervise(
    context: &Context<'_>,
    counts: [(Role, usize); 3],
    config: &Config,
    mut server: Option<DevServer>,
    health: Option<Listener>,
) -> Result<u8, Error> {
    let telemetry = Telemetry::default().with_metrics(
        &config.telemetry,
        &service(config, "up"),
        config.health_addr.is_some(),
        None,
    )?;
    Announce::Stdout.say(&what_starts(counts));
    let mut supervisor = Supervisor::start(config, &counts, Announce::Stdout, &context.shutdown);
    let watch = supervisor.watch(telemetry.metrics().cloned());
    let health = health.map(|listener| tokio::spawn(listener.serve(watch)));
    Announce::Stdout.say("waiting for keyboard interrupt or for all workers to exit");

    let failed = tokio::select! {
        error = supervisor.failed() => Some(error),
        error = server_failed(server.as_mut()) => Some(error),
        () = context.shutdown.requested() => None,
    };
    let drained = supervisor.stop().await;
    if let Some(server) = server {
        server.stop().await;
    }
    if let Some(health) = health {
        health.abort();
    }
    tokio::select! {
        _ = join(Stdout::get().flush(), telemetry.flush(FLUSH_TIMEOUT)) => {}
        () = sleep(FLUSH_TIMEOUT) => {}
    }
    match failed {
        Some(error) => Err(error),
        None => drained.map(|()| 0),
    }
}

/// The sample's words; it has no workers that serve both.
fn what_starts([(_, workflow), (_, activity), (_, both)]: [(Role, usize); 3]) -> String {
    let mut text =
        format!("starting {workflow} workflow worker(s) and {activity} activity worker(s)");
    if both > 0 {
        let _ = write!(text, " and {both} worker(s)");
    }
    text
}

async fn server_failed(server: Option<&mut DevServer>) -> Error {
    match server {
        Some(server) => server.failed().await,
        None => std::future::pending().await,
    }
}
