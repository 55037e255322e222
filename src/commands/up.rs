//! `fleet up`: a fleet on this machine, as the sample's `worker.py` runs it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    context::{Context, log_options},
    groups::{Planned, planned, worker_groups},
    reporters,
};
use crate::{
    cli::UpArgs,
    config::Config,
    error::{CommandError, Exit, chain},
    fleet::service,
    health::Listener,
    local::{
        dev_server::{DEFAULT_PORTS, DevServer, DevServerOptions, Port},
        events::{FleetEvent, Reporter},
        kept_server::keep,
        supervisor::Supervisor,
        temporal_cli,
    },
    telemetry::Telemetry,
    temporal::connection,
    terminal::{announce::Announce, stdout::Stdout},
};

/// How long the reader of stdout may take for the last lines, and the collector for the last
/// metrics.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: &UpArgs) -> Result<Exit, CommandError> {
    let mut flags = args.settings.overrides();
    flags.extend(args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())));
    let config = context.config(flags)?;
    Telemetry::default().install(&log_options(&config, "warn"));
    let groups = planned(context, &config, &args.counts)?;
    check(args, &groups)?;
    let health = match config.health_addr {
        Some(address) => Some(Listener::bind(address).await?),
        None => None,
    };

    let reporter = reporters::for_up(args.output);
    let ended = Box::pin(run_fleet(context, args, config, &groups, health, &reporter)).await;
    let (exit_code, error) = match &ended {
        Ok(exit) => (exit.code(), None),
        Err(error) => (error.exit().code(), Some(chain(error))),
    };
    reporter.report(&FleetEvent::FleetStopped { exit_code, error });
    let _ = timeout(LAST_OUTPUT_TIMEOUT, Stdout::get().flush()).await;
    ended
}

/// Refuses flags that do not fit together.
fn check(args: &UpArgs, groups: &[Planned]) -> Result<(), CommandError> {
    if args.port.is_some_and(|port| port != 0) && args.port == args.ui_port {
        return Err(CommandError::Usage(
            "--port and --ui-port are the same: choose two ports".into(),
        ));
    }
    if groups.iter().all(|group| group.count == 0) && !args.dev_server {
        return Err(CommandError::Usage(
            "no worker to run: start at least one, or use --dev-server".into(),
        ));
    }
    Ok(())
}

/// Runs the fleet, with a dev server if one was asked for, until it stops.
async fn run_fleet(
    context: &Context<'_>,
    args: &UpArgs,
    config: Config,
    groups: &[Planned],
    health: Option<Listener>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Exit, CommandError> {
    if !args.dev_server {
        return supervise(context, groups, &config, None, health, reporter).await;
    }
    let options = DevServerOptions {
        port: Port::from_flag(args.port, DEFAULT_PORTS.0),
        ui_port: Some(Port::from_flag(args.ui_port, DEFAULT_PORTS.1)),
        db_filename: args.db_filename.clone(),
    };
    let Some(server) = dev_server(context, &config, options).await? else {
        return Ok(Exit::Success);
    };
    let address = server.address().to_owned();
    let config = config.pointed_at(&address);
    let ui = server.ui().map(ToOwned::to_owned);
    reporter.report(&FleetEvent::DevServerReady { address, ui });
    supervise(context, groups, &config, Some(server), health, reporter).await
}

/// Starts a dev server, with a CLI that is fetched if necessary. Returns `None` if a stop was
/// requested first.
pub(super) async fn dev_server(
    context: &Context<'_>,
    config: &Config,
    options: DevServerOptions,
) -> Result<Option<DevServer>, CommandError> {
    let named = config.temporal_cli.as_deref();
    let cli = temporal_cli::obtain(named, &config.environment, |line| Announce::Stderr.say(line));
    let Some(cli) = context.unless_stopped(cli).await? else {
        return Ok(None);
    };
    let stop = context.shutdown.requested();
    DevServer::start(&cli, options, &config.environment, answers(config), stop).await
}

/// Asks whether the dev server at an address answers.
pub(super) fn answers(config: &Config) -> impl AsyncFn(&str) -> bool {
    async |address: &str| connection::probe(&config.pointed_at(address).connect_settings()).await
}

/// Runs the workers until a stop is requested, or until a worker or the dev server has failed; then
/// stops everything.
async fn supervise(
    context: &Context<'_>,
    groups: &[Planned],
    config: &Config,
    mut server: Option<DevServer>,
    health: Option<Listener>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Exit, CommandError> {
    let telemetry = Telemetry::default().with_metrics(
        &config.telemetry,
        &service(config, "up"),
        config.health_addr.is_some(),
        None,
    )?;
    let groups = worker_groups(config, groups);
    let mut supervisor = Supervisor::start(groups, reporter, &context.shutdown);
    let fleet_health = supervisor
        .health(config.version.clone(), telemetry.metrics().cloned())
        .with_dev_server(server.as_ref().map(DevServer::record));
    let health = health.map(|listener| tokio::spawn(listener.serve(fleet_health)));

    let failed = tokio::select! {
        error = supervisor.failed() => Some(error),
        error = server_failed(server.as_mut(), config, reporter) => Some(error),
        () = context.shutdown.requested() => None,
    };
    let error = failed.as_ref().map(|error| chain(error));
    reporter.report(&FleetEvent::FleetShuttingDown { error });
    let drained = supervisor.stop().await;
    if let Some(server) = server {
        server.stop().await;
    }
    if let Some(health) = health {
        health.abort();
    }
    let _ = timeout(LAST_OUTPUT_TIMEOUT, telemetry.flush(LAST_OUTPUT_TIMEOUT)).await;
    match failed {
        Some(error) => Err(error),
        None => drained.map(|()| Exit::Success),
    }
}

/// Completes with an error when the dev server, if there is one, has ended and is not started again.
async fn server_failed(
    server: Option<&mut DevServer>,
    config: &Config,
    reporter: &Arc<dyn Reporter>,
) -> CommandError {
    match server {
        Some(server) => keep(server, answers(config), reporter.as_ref()).await,
        None => std::future::pending().await,
    }
}
