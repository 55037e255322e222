//! `fleet chaos`: attacks a fleet under load, and shows what the server says became of the workflows.

mod own_fleet;
mod workload;

use std::{net::SocketAddr, time::Duration};

use temporalio_client::Client;
use tokio::time::timeout;

use self::own_fleet::OwnFleet;
use super::{
    context::{Context, log_options},
    description::read_inputs,
};
use crate::{
    batch::{Batch, BatchRun},
    chaos::{AttackPlan, AttackedFleet, Bounds, Trial, TrialReport, json, text},
    cli::ChaosArgs,
    config::Config,
    error::{CommandError, Error, Exit, chain},
    local::LONGEST_PAUSE,
    telemetry::{FLUSH_TIMEOUT, Telemetry},
    temporal::{
        connection,
        rate_limits::RateLimits,
        retry::RetryingClient,
        target::Target,
        task_queue::{TaskKind, pollers},
    },
    terminal::{announce::Announce, output::Output, progress::Progress, stdout::Stdout},
};

/// The SDK logs each call that it retries. While the server is away, hundreds fail at the same time; the log has
/// one line about that.
const LOG_FILTER: &str = "warn,temporalio_client::retry=off";
/// How long Temporal waits for a workflow task from the worker that has the workflow in its cache: the SDK's default,
/// which the fleet does not change.
const STICKY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the account of an interrupted trial may take.
const ACCOUNT_TIMEOUT_INTERRUPTED: Duration = Duration::from_secs(15);
/// How long a slow reader of standard output may take for the account of an interrupted trial.
const STDOUT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: ChaosArgs) -> Result<Exit, CommandError> {
    let flags =
        args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())).collect();
    let config = context.config(flags)?;
    let Some(inputs) = read_inputs(context, args.input.clone(), None).await? else {
        return Ok(context.stopped());
    };
    let batch = workload::batch(context.fleet, &args, &config, inputs.all)?;
    let plan = AttackPlan {
        seed: args.seed.unwrap_or_else(workload::random_seed),
        duration: args.duration,
        kill: args.kill,
        stop: args.stop,
        freeze: args.freeze,
        server_restart: args.server_restart,
    };
    let telemetry = context.fleet.telemetry(&config, "chaos")?;
    telemetry.install(&log_options(&config, LOG_FILTER));
    let chaos = Chaos { context, args: &args, config, plan, telemetry: &telemetry };
    let ended = Box::pin(chaos.run(batch)).await;
    telemetry.flush(FLUSH_TIMEOUT).await;
    ended
}

/// A trial as the flags and settings describe it.
struct Chaos<'a> {
    context: &'a Context<'a>,
    args: &'a ChaosArgs,
    config: Config,
    plan: AttackPlan,
    telemetry: &'a Telemetry,
}

impl Chaos<'_> {
    async fn run(mut self, batch: Batch) -> Result<Exit, CommandError> {
        let Some(address) = &self.args.fleet else {
            let own = Box::pin(OwnFleet::start(self.context, self.args, &self.config)).await?;
            let Some(mut own) = own else { return Ok(self.context.stopped()) };
            self.config = own.config.clone();
            let ended = tokio::select! {
                ended = self.attack(own.address, batch) => ended,
                error = own.failed() => Err(error),
            };
            let stopped = own.stop().await;
            let exit = ended?;
            stopped?;
            return Ok(exit);
        };
        let address = local_address(address).await?;
        Box::pin(self.attack(address, batch)).await
    }

    /// Connects, runs the trial of the fleet at `address`, and prints the account. Returns the exit code.
    async fn attack(&mut self, address: SocketAddr, batch: Batch) -> Result<Exit, CommandError> {
        let named = self.args.fleet.as_deref();
        let fleet =
            AttackedFleet::find(address).await.map_err(|why| no_fleet(named, address, &why))?;
        if let (Some(server), Some(_)) = (&fleet.dev_server, named) {
            self.config = self.config.pointed_at(&server.address);
        }
        self.drop_server_restarts(&fleet);
        let settings = self.config.connect_settings();
        let connect = connection::connect(&settings, "chaos", self.telemetry.traces());
        let Some(client) = self.context.unless_stopped(connect).await? else {
            return Ok(self.context.stopped());
        };
        self.check_queue(&fleet, &client, &batch).await?;

        let mut target = Target::of(&settings)?;
        // The server is away now and then, and the starter has to outlast that.
        target.connect_timeout = target.connect_timeout.max(self.args.patience);
        let limits = RateLimits::default();
        let server = RetryingClient::new(client.clone(), target.clone(), limits.clone());
        let traces = self.telemetry.traces().cloned();
        self.announce(&batch);
        let run = BatchRun::new(batch, client, target, limits, traces);
        let bounds = Bounds {
            restart_pause: LONGEST_PAUSE,
            drain_timeout: self.config.drain_timeout,
            sticky_timeout: STICKY_TIMEOUT,
            activity_timeout: workload::activity_timeout(run.batch()),
        };
        let trial = Trial {
            fleet: &fleet,
            plan: self.plan,
            batch: &run,
            server: &server,
            patience: self.args.patience,
            bounds,
        };
        let report = match self.drive(&trial).await {
            Err(error) if self.context.shutdown.is_requested() => {
                Announce::Stderr.say(&format!("no account: {}", chain(&error)));
                return Ok(self.context.stopped());
            }
            report => report?,
        };
        self.print(&report).await?;
        self.exit_code(&report)
    }

    /// A server without a database takes all workflows along, and a server that is not the fleet's is not attacked.
    fn drop_server_restarts(&mut self, fleet: &AttackedFleet) {
        let why = match &fleet.dev_server {
            Some(server) if server.has_database() => return,
            Some(_) => "its dev server has no database (fleet up --db-filename)",
            None => "it has no dev server of its own",
        };
        if !self.plan.server_restart.is_zero() {
            Announce::Stderr.say(&format!("no server restarts: the fleet is attacked, but {why}"));
        }
        self.plan.server_restart = Duration::ZERO;
    }

    /// Refuses a fleet whose workers do not poll the queue on which the workflows would be started.
    async fn check_queue(
        &self,
        fleet: &AttackedFleet,
        client: &Client,
        batch: &Batch,
    ) -> Result<(), CommandError> {
        let queue = &batch.definition.task_queue;
        let pids = fleet.workflow_workers().await;
        let pids = pids.map_err(|why| no_fleet(self.args.fleet.as_deref(), fleet.address, &why))?;
        let pollers = pollers(client, queue, TaskKind::Workflow).await?;
        let is_of_fleet =
            |identity: &str| pids.iter().any(|pid| identity.ends_with(&format!(":{pid}")));
        if pollers.iter().any(|poller| is_of_fleet(&poller.identity)) {
            return Ok(());
        }
        Err(CommandError::Usage(format!(
            "no worker of the fleet at {} polls task queue {queue:?} of this server: give --task-queue and the \
             settings of the connection (TEMPORAL_*) as for the fleet",
            fleet.address
        )))
    }

    fn announce(&self, batch: &Batch) {
        let AttackPlan { seed, duration, .. } = self.plan;
        let (name, definition) = (batch.name.as_str(), &batch.definition);
        Announce::Stderr.say(&format!(
            "seed {seed}, batch {name}: {} {} on {} in {}",
            batch.count,
            definition.workflow_type,
            definition.task_queue,
            crate::config::show(duration)
        ));
    }

    async fn drive(&self, trial: &Trial<'_>) -> Result<TrialReport, CommandError> {
        let shutdown = &self.context.shutdown;
        let progress = Progress::without_end();
        let run = trial.run(
            || shutdown.requested(),
            || shutdown.is_requested(),
            |line| Announce::Stderr.say(line),
            |line| progress.say(line),
        );
        let limit = async {
            shutdown.requested().await;
            tokio::time::sleep(ACCOUNT_TIMEOUT_INTERRUPTED).await;
        };
        tokio::select! {
            report = run => report,
            () = limit => Err(Error::Unreachable {
                address: Target::of(&self.config.connect_settings())?.address,
                tried: ACCOUNT_TIMEOUT_INTERRUPTED,
                cause: "it did not answer in time for the account".to_owned(),
                hint: "".into(),
            }
            .into()),
        }
    }

    async fn print(&self, report: &TrialReport) -> Result<(), CommandError> {
        Stdout::get().line(match self.args.output {
            Output::Text => text(report),
            Output::Json => json(report),
        });
        if self.context.shutdown.is_requested() {
            let _ = timeout(STDOUT_TIMEOUT, Stdout::get().flush()).await;
            return Ok(());
        }
        tokio::select! {
            () = Stdout::get().flush() => {}
            () = self.context.shutdown.requested() => {}
        }
        Ok(Stdout::get().result()?)
    }

    /// # Errors
    /// [`CommandError::ChaosLoss`] if anything was lost.
    fn exit_code(&self, report: &TrialReport) -> Result<Exit, CommandError> {
        let problems = report.problems();
        if self.context.shutdown.is_requested() {
            for problem in problems {
                Announce::Stderr.say(&format!("error: {problem}"));
            }
            return Ok(self.context.stopped());
        }
        if problems.is_empty() {
            Ok(Exit::Success)
        } else {
            Err(CommandError::ChaosLoss(problems.join("\n")))
        }
    }
}

/// The address that `--fleet` names.
async fn local_address(text: &str) -> Result<SocketAddr, CommandError> {
    let found = tokio::net::lookup_host(text).await;
    let address = found.ok().and_then(|mut addresses| addresses.next());
    let mut address = address.ok_or_else(|| {
        CommandError::Usage(format!(
            "--fleet {text:?}: expected the health address of a `fleet up`, such as 127.0.0.1:8080"
        ))
    })?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

fn no_fleet(named: Option<&str>, address: SocketAddr, why: &str) -> CommandError {
    match named {
        Some(named) => CommandError::Usage(format!(
            "--fleet {named:?}: {why}; expected the health address of a `fleet up` of this machine"
        )),
        None => CommandError::AttackedFleet { address, why: why.to_owned() },
    }
}
