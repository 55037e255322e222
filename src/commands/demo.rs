//! `fleet demo`: a dev server, a fleet and a batch with one command, for someone who has just
//! cloned the repository.

use std::time::Duration;

use super::{
    context::{Context, flush},
    reporters,
    run_batch::{Waiting, batch, run_batch},
    up::{dev_server, worker_groups, workers},
};
use crate::{
    batch::Batch,
    cli::DemoArgs,
    config::Config,
    error::Error,
    local::{
        dev_server::{DevServer, DevServerOptions, Port},
        supervisor::Supervisor,
    },
    telemetry::{self, Logs, Traces},
    temporal::connection,
    terminal::{announce::Announce, output::Output},
};

/// How long the workers may take to become ready. On an idle machine it is a fraction of a second.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn run(context: &Context<'_>, args: DemoArgs) -> Result<u8, Error> {
    let flags =
        args.temporal_cli.iter().map(|path| ("temporal_cli", path.display().to_string())).collect();
    let config = context.config(flags)?;
    let traces = context.fleet.traces(&config, "starter")?;
    let logs = Logs::start(&config, "starter")?;
    telemetry::install(&config, "warn", None, traces.as_ref(), logs.as_ref());
    let shown = Box::pin(demo(context, args, config, traces.as_ref())).await;
    flush(traces, logs).await;
    shown
}

async fn demo(
    context: &Context<'_>,
    args: DemoArgs,
    config: Config,
    traces: Option<&Traces>,
) -> Result<u8, Error> {
    let queue = config.workflow_task_queue.clone();
    let batch = batch(context, args.workload, args.num_workflows, queue)?;
    let counts = workers(context, &args.counts)?;
    if !counts.iter().any(|(role, count)| role.runs_workflows() && *count > 0) {
        return Err(Error::Usage(
            "no worker would run the workflows: see -w and --num-workers".into(),
        ));
    }

    let ui_port = args.keep.then_some(Port::Any);
    let options = DevServerOptions { port: Port::Any, ui_port, db_filename: None };
    let Some(mut server) = dev_server(context, &config, options).await? else {
        return Ok(context.shutdown.exit_code());
    };
    say(&format!("Temporal dev server: {}", server.address()));
    let mut config = config.pointed_at(server.address());
    config.health_addr = None; // nobody probes a demo
    let groups = worker_groups(&config, &counts);
    let reporter = reporters::for_demo();
    let mut supervisor =
        Supervisor::start(groups, config.drain_timeout, &reporter, &context.shutdown);

    let workers_ready = supervisor.ready(READY_TIMEOUT);
    let what_to_try = args.keep.then(|| what_to_try(&context.bin, &server));
    let shown = tokio::select! {
        shown = show(context, &config, workers_ready, batch, what_to_try, traces) => shown,
        error = supervisor.failed() => Err(error),
        error = server.failed() => Err(error),
    };
    let drained = supervisor.stop().await;
    server.stop().await;
    let code = shown?;
    drained?;
    Ok(code)
}

/// Runs the batch when every worker is ready. If there is something to try, shows that and waits
/// for Ctrl-C.
async fn show(
    context: &Context<'_>,
    config: &Config,
    workers_ready: impl Future<Output = Result<(), Error>>,
    batch: Batch,
    what_to_try: Option<String>,
    traces: Option<&Traces>,
) -> Result<u8, Error> {
    let ready = async {
        let client = connection::connect(config, "starter", traces).await?;
        workers_ready.await?;
        Ok(client)
    };
    let Some(client) = context.unless_stopped(ready).await? else {
        return Ok(context.shutdown.exit_code());
    };
    say(&format!("every worker polls: running {} workflow(s)\n", batch.count));

    // The server ends with this command, so the batch cannot be continued later.
    let waiting = Waiting { output: Output::Text, timeout: None, attach: None };
    let code = run_batch(context, batch, client, config, waiting, traces).await?;
    if let Some(what_to_try) = what_to_try.filter(|_| !context.shutdown.is_requested()) {
        say(&what_to_try);
        context.shutdown.requested().await;
    }
    Ok(code)
}

fn what_to_try(bin: &str, server: &DevServer) -> String {
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
