//! `fleet worker`: one worker in this process.

use std::{process, thread, time::Duration};

use super::{Context, block_on, runtime_for, settle};
use crate::{
    cli::WorkerArgs,
    config::Config,
    error::{Error, exit},
    role::Role,
    shutdown::Shutdown,
    telemetry,
    worker::FleetWorker,
};

/// What the worker says of itself. The SDK's own warnings are few and worth reading.
const LOG_FILTER: &str = "warn,temporal_fleet=info";
/// Under a supervisor, on a terminal with other workers, only what is not as it should be.
const SUPERVISED_LOG_FILTER: &str = "warn";

/// How far past the drain deadline the last resort waits.
const LAST_RESORT_MARGIN: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context<'_>, args: &WorkerArgs) -> Result<u8, Error> {
    let name = args.supervised.as_deref();
    let filter = if name.is_some() { SUPERVISED_LOG_FILTER } else { LOG_FILTER };
    if name.is_some() {
        context
            .shutdown
            .follow_parent()
            .map_err(|source| Error::Os { what: "cannot watch the supervisor".into(), source })?;
    }

    let mut flags = args.settings.overrides();
    flags.extend(args.role.map(|role| ("role", role.to_string())));
    let config = context.config(flags)?;
    telemetry::install(&config, filter, name);
    let role = config.role.ok_or(Error::RoleMissing)?;
    settle(&config);
    leave_at_the_latest(&context.shutdown, config.drain_timeout + LAST_RESORT_MARGIN);
    block_on(runtime_for(role)?, work(context, &config, role))
}

async fn work(context: &Context<'_>, config: &Config, role: Role) -> Result<u8, Error> {
    let build = FleetWorker::build(context.fleet, config, role);
    if let Some(worker) = context.unless_stopped(build).await? {
        worker.run(context.shutdown.requested()).await?;
    }
    Ok(0)
}

/// The last resort: workflow code that never yields keeps a worker's only thread, and with it the
/// drain deadline, from running.
fn leave_at_the_latest(shutdown: &Shutdown, after: Duration) {
    let shutdown = shutdown.clone();
    // Without the thread the deadline proper still holds.
    let _ = thread::Builder::new().name("last-resort".into()).spawn(move || {
        shutdown.wait();
        thread::sleep(after);
        eprintln!("error: the worker is stuck: leaving");
        process::exit(exit::DRAIN_DEADLINE.into());
    });
}
