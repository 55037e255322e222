//! `fleet up`: a fleet on this machine, as the sample's `worker.py` runs it.

use std::fmt::Write;

use super::Context;
use crate::{
    cli::{Counts, UpArgs},
    config::Config,
    dev_server::{DevServer, Port, USUAL_PORTS},
    error::Error,
    supervisor::{Announce, Supervisor},
    telemetry, temporal_cli,
};

pub(super) async fn run(context: &Context<'_>, args: &UpArgs) -> Result<u8, Error> {
    telemetry::install(&context.environment, "warn", None);
    let mut flags = args.settings.overrides();
    flags.extend(args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())));
    let config = context.fleet.config_with(context.environment.clone(), &flags)?;
    for (role, _) in args.counts.by_role() {
        context.fleet.registered(role)?;
    }

    if !args.dev_server {
        return supervise(context, args, &config, None).await;
    }
    let server = async {
        let cli = temporal_cli::obtain(&config, |line| Announce::Stderr.say(line)).await?;
        let port = Port::from_flag(args.port, USUAL_PORTS.0);
        let ui_port = Port::from_flag(args.ui_port, USUAL_PORTS.1);
        DevServer::start(&cli, port, Some(ui_port), &config).await
    };
    let Some(server) = context.unless_stopped(server).await? else {
        return Ok(0);
    };
    Announce::Stderr.say(&format!("Temporal dev server: {}", server.address()));
    if let Some(ui) = server.ui() {
        Announce::Stderr.say(&format!("Temporal UI:         {ui}"));
    }
    Announce::Stderr.say(&format!("\n  export TEMPORAL_ADDRESS={}\n", server.address()));
    supervise(context, args, &config.pointed_at(server.address()), Some(server)).await
}

async fn supervise(
    context: &Context<'_>,
    args: &UpArgs,
    config: &Config,
    mut server: Option<DevServer>,
) -> Result<u8, Error> {
    Announce::Stdout.say(&what_starts(&args.counts));
    let mut supervisor =
        Supervisor::start(config, &args.counts.by_role(), Announce::Stdout, &context.shutdown);
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
    match failed {
        Some(error) => Err(error),
        None => drained.map(|()| 0),
    }
}

/// The sample's words; it has no workers that serve both.
fn what_starts(counts: &Counts) -> String {
    let mut text = format!(
        "starting {} workflow worker(s) and {} activity worker(s)",
        counts.num_workflow_workers, counts.num_activity_workers
    );
    if counts.num_workers > 0 {
        let _ = write!(text, " and {} worker(s)", counts.num_workers);
    }
    text
}

async fn server_failed(server: Option<&mut DevServer>) -> Error {
    match server {
        Some(server) => server.failed().await,
        None => std::future::pending().await,
    }
}
