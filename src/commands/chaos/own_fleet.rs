//! The fleet and the dev server that `fleet chaos` starts for a trial of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    cli::{ChaosArgs, Counts},
    commands::{
        context::Context,
        groups::{Planned, planned, worker_groups},
        reporters,
        up::{answers, dev_server},
    },
    config::{Config, role::Role},
    error::{CommandError, Error},
    health::Listener,
    local::{
        dev_server::{DevServer, DevServerOptions, Port},
        events::Reporter,
        kept_server::keep,
        supervisor::Supervisor,
    },
    terminal::announce::Announce,
};

/// How long the workers may take to become ready. On an idle machine it is a fraction of a second.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// A fleet with a dev server, whose database lies in a temporary folder.
pub(super) struct OwnFleet {
    /// The address of its health listener.
    pub(super) address: SocketAddr,
    /// The settings for its server.
    pub(super) config: Config,
    supervisor: Supervisor,
    server: DevServer,
    reporter: Arc<dyn Reporter>,
    _health: AbortOnDropHandle<std::convert::Infallible>,
    /// It is removed with its content in the end.
    _folder: TempDir,
}

impl OwnFleet {
    /// Starts the server and the fleet, and waits until every worker is ready. `None` if a stop is requested first;
    /// nothing is left then.
    pub(super) async fn start(
        context: &Context<'_>,
        args: &ChaosArgs,
        config: &Config,
    ) -> Result<Option<Self>, CommandError> {
        let default = |count| config.groups.is_empty().then_some(count);
        let counts = Counts {
            num_workflow_workers: args.num_workflow_workers.or(default(3)),
            num_activity_workers: args.num_activity_workers.or(default(2)),
            num_workers: 0,
        };
        let groups = planned(context, config, &counts)?;
        check(&groups)?;
        let folder =
            tempfile::Builder::new().prefix("fleet-chaos-").tempdir().map_err(|source| {
                Error::Os {
                    what: "cannot create a folder for the dev server's database".into(),
                    source,
                }
            })?;
        let options = DevServerOptions {
            port: Port::Any,
            ui_port: None,
            db_filename: Some(folder.path().join("temporal.db")),
        };
        let listener = Listener::bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).await?;
        let Some(server) = dev_server(context, config, options).await? else { return Ok(None) };
        Announce::Stderr.say(&format!("Temporal dev server: {}", server.address()));
        let mut config = config.pointed_at(server.address());
        config.health_addr = Some(listener.address);

        let reporter = reporters::for_chaos();
        let groups = worker_groups(&config, &groups);
        let supervisor = Supervisor::start(groups, &reporter, &context.shutdown);
        let health =
            supervisor.health(config.version.clone(), None).with_dev_server(Some(server.record()));
        let address = listener.address;
        let health: JoinHandle<_> = tokio::spawn(listener.serve(health));
        let health = AbortOnDropHandle::new(health);
        let mut own = Self {
            address,
            config,
            supervisor,
            server,
            reporter,
            _health: health,
            _folder: folder,
        };
        let ready = own.supervisor.ready(READY_TIMEOUT);
        let ready = tokio::select! {
            ready = context.unless_stopped(ready) => ready,
            error = own.failed() => Err(error),
        };
        match ready {
            Ok(Some(())) => Ok(Some(own)),
            Ok(None) => own.stop().await.map(|()| None),
            Err(error) => {
                let _ = own.stop().await;
                Err(error)
            }
        }
    }

    /// Completes with an error when a worker or the server cannot be kept running.
    pub(super) async fn failed(&mut self) -> CommandError {
        tokio::select! {
            error = self.supervisor.failed() => error,
            error = keep(&mut self.server, answers(&self.config), self.reporter.as_ref()) => error,
        }
    }

    /// Drains the workers and then stops the server.
    pub(super) async fn stop(self) -> Result<(), CommandError> {
        let drained = self.supervisor.stop().await;
        self.server.stop().await;
        drained
    }
}

/// Refuses a fleet that cannot complete a workflow.
fn check(groups: &[Planned]) -> Result<(), CommandError> {
    let runs =
        |serves: fn(Role) -> bool| groups.iter().any(|group| serves(group.role) && group.count > 0);
    if runs(Role::runs_workflows) && runs(Role::runs_activities) {
        return Ok(());
    }
    Err(CommandError::Usage(
        "the load needs workers of both kinds: give -w and -a 1 or more".into(),
    ))
}
