//! `fleet starter`: starts workflows and prints their results, as the sample's `starter.py`.

use super::{
    context::{Context, connect_overrides, log_options},
    description::{Requested, batch, say_input_problem},
    groups::queue_for_starts,
    run_batch::{WaitOptions, run_batch},
    start_options,
};
use crate::{
    batch::BatchName,
    cli::StarterArgs,
    config::Config,
    error::{CommandError, Exit},
    telemetry::{FLUSH_TIMEOUT, Telemetry},
    temporal::{connection, history::Definition, rate_limits::RateLimits},
    terminal::announce::Announce,
    text::{one_line, shell_word},
};

pub(super) async fn run(context: &Context<'_>, args: StarterArgs) -> Result<Exit, CommandError> {
    let config = context.config(connect_overrides(args.connect_timeout))?;
    let telemetry = context.fleet.telemetry(&config, "starter")?;
    telemetry.install(&log_options(&config, "warn"));
    let ended = start(context, args, &config, &telemetry).await;
    telemetry.flush(FLUSH_TIMEOUT).await;
    ended
}

async fn start(
    context: &Context<'_>,
    args: StarterArgs,
    config: &Config,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let queue = queue_for_starts(config, args.task_queue.as_ref())?;
    let named = args.batch.is_some();
    let requested = Requested {
        options: start_options::options(args.start, &args.id_policies)?,
        workload: args.workload,
        count: args.num_workflows,
        lines: args.inputs,
        task_queue: queue,
    };
    let Some(mut batch) = batch(context, requested).await? else { return Ok(context.stopped()) };
    if let Some(name) = args.batch {
        batch.name = BatchName::Given(name);
    }

    let settings = config.connect_settings();
    let limits = RateLimits::default();
    let connect = connection::connect(&settings, "starter", telemetry.traces());
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.stopped());
    };
    let Definition { workflow_type, task_queue, .. } = &batch.definition;
    let name = batch.name.as_str().to_owned();
    let line = format!("batch {name}: {} {workflow_type} on {task_queue}", batch.count);
    Announce::Stderr.say(&one_line(&line));
    let input_problem = say_input_problem(context.fleet, &batch);
    let options = WaitOptions {
        output: args.output,
        timeout: args.timeout,
        attach: Some(command_line(if named { None } else { Some(&name) })),
        input_problem,
    };
    run_batch(context, batch, (client, limits), config, options, telemetry).await
}

/// The command line that continues the batch: that of this process, with `batch` as the name if it had
/// none.
fn command_line(batch: Option<&str>) -> String {
    let mut words: Vec<_> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(batch) = batch {
        words.extend(["--batch".to_owned(), batch.to_owned()]);
    }
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}
