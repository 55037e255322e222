//! `fleet demo`: a dev server, a fleet and a batch with one command, for someone who has just
//! cloned the repository.

use std::time::Duration;

use super::{
    context::{Context, log_options},
    description::{Requested, batch, say_input_problem},
    groups::{Planned, planned, queue_for_starts, worker_groups},
    reporters,
    run_batch::{WaitOptions, run_batch},
    up::dev_server,
};
use crate::{
    batch::{Batch, StartOptions},
    cli::DemoArgs,
    config::Config,
    error::{CommandError, Exit},
    local::{
        dev_server::{DevServer, DevServerOptions, Port},
        supervisor::Supervisor,
    },
    telemetry::{FLUSH_TIMEOUT, Telemetry},
    temporal::{connection, rate_limits::RateLimits},
    terminal::{announce::Announce, output::Output},
};

/// How long the workers may take to become ready. On an idle machine it is a fraction of a second.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn run(context: &Context<'_>, args: DemoArgs) -> Result<Exit, CommandError> {
    let flags =
        args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())).collect();
    let config = context.config(flags)?;
    let telemetry = context.fleet.telemetry(&config, "starter")?;
    telemetry.install(&log_options(&config, "warn"));
    let ended = Box::pin(run_demo(context, args, config, &telemetry)).await;
    telemetry.flush(FLUSH_TIMEOUT).await;
    ended
}

async fn run_demo(
    context: &Context<'_>,
    args: DemoArgs,
    config: Config,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let requested = Requested {
        workload: args.workload,
        options: StartOptions::default(),
        count: Some(args.num_workflows),
        lines: None,
        task_queue: queue_for_starts(&config, None)?,
    };
    let Some(batch) = batch(context, requested).await? else { return Ok(context.stopped()) };
    let groups = planned(context, &config, &args.counts)?;
    if !groups.iter().any(|group| group.role.runs_workflows() && group.count > 0) {
        return Err(CommandError::Usage(
            "no worker would run the workflows: start one with -w or --num-workers".into(),
        ));
    }

    let ui_port = args.keep.then_some(Port::Any);
    let options = DevServerOptions { port: Port::Any, ui_port, db_filename: None };
    let Some(server) = dev_server(context, &config, options).await? else {
        return Ok(context.stopped());
    };
    say(&format!("Temporal dev server: {}", server.address()));
    let mut config = config.pointed_at(server.address());
    config.health_addr = None; // nobody probes a demo
    let suggestions = args.keep.then(|| suggestions(&context.bin, &server));
    let demo = Demo { context, config, batch, suggestions, telemetry };
    Box::pin(demo.run(&groups, server)).await
}

/// A demo whose dev server runs.
struct Demo<'a> {
    context: &'a Context<'a>,
    /// The settings for the dev server.
    config: Config,
    batch: Batch,
    /// Commands that the user can try after the batch, while everything still runs.
    suggestions: Option<String>,
    telemetry: &'a Telemetry,
}

impl Demo<'_> {
    /// Runs a fleet and the batch, and then stops the fleet and the server.
    async fn run(self, groups: &[Planned], mut server: DevServer) -> Result<Exit, CommandError> {
        let groups = worker_groups(&self.config, groups);
        let reporter = reporters::for_demo();
        let mut supervisor = Supervisor::start(groups, &reporter, &self.context.shutdown);
        let ready = supervisor.ready(READY_TIMEOUT);
        let ended = tokio::select! {
            ended = self.run_when_ready(ready) => ended,
            error = supervisor.failed() => Err(error),
            error = server.failed() => Err(error),
        };
        let drained = supervisor.stop().await;
        server.stop().await;
        let code = ended?;
        drained?;
        Ok(code)
    }

    /// Runs the batch when every worker is ready. If there are suggestions, shows them and waits for
    /// Ctrl-C.
    async fn run_when_ready(
        self,
        workers_ready: impl Future<Output = Result<(), CommandError>>,
    ) -> Result<Exit, CommandError> {
        let Self { context, config, batch, suggestions, telemetry } = self;
        let limits = RateLimits::default();
        let ready = async {
            let settings = config.connect_settings();
            let client = connection::connect(&settings, "starter", telemetry.traces()).await?;
            workers_ready.await?;
            Ok::<_, CommandError>(client)
        };
        let Some(client) = context.unless_stopped(ready).await? else {
            return Ok(context.stopped());
        };
        say(&format!("every worker polls: running {} workflow(s)\n", batch.count));

        // The server ends with this command, so the batch cannot be continued later.
        let input_problem = say_input_problem(context.fleet, &batch);
        let options =
            WaitOptions { output: Output::Text, timeout: None, attach: None, input_problem };
        let code = run_batch(context, batch, (client, limits), &config, options, telemetry).await?;
        if let Some(suggestions) = suggestions.filter(|_| !context.shutdown.is_requested()) {
            say(&suggestions);
            context.shutdown.requested().await;
        }
        Ok(code)
    }
}

/// Returns the commands that a user can try while the fleet and the server stay up.
fn suggestions(bin: &str, server: &DevServer) -> String {
    format!(
        "
The fleet and the server stay up until Ctrl-C.
  Temporal UI   {}

Try, in another terminal:
  export TEMPORAL_ADDRESS={}
  {bin} starter -n 100                  run more workflows
  {bin} worker --role workflow-worker   add a worker
  kill -9 PID (one from the results)      it is replaced, and no workflow is lost",
        server.ui().unwrap_or_default(),
        server.address(),
    )
}

fn say(line: &str) {
    Announce::Stderr.say(line);
}
