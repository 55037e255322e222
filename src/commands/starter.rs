//! `fleet starter`: starts workflows and prints their results, as the sample's `starter.py`.

use std::{future::pending, pin::pin, time::Duration};

use futures::{StreamExt, future::join};
use temporalio_client::Client;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::Context;
use crate::{
    batch::{Batch, BatchName, BatchRun},
    cli::{Output, StarterArgs, Workload},
    client::{self, Target},
    config::{Config, show},
    error::Error,
    history::Definition,
    progress::Progress,
    report::{Left, Report},
    settings::Overrides,
    stdout::Stdout,
    supervisor::Announce,
    task_queue::{self, Poller, TaskKind},
    telemetry::{self, FLUSH_TIMEOUT as FLUSH_TELEMETRY, Logs, Traces},
};

/// After so long without a result it is time to say why.
const SILENCE: Duration = Duration::from_secs(5);
/// After so many results it is time to see that somebody reads them: they are kept until then.
const UNREAD: usize = 1000;
/// How long results that came may take to be read when the rest is not waited for.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: StarterArgs) -> Result<u8, Error> {
    let flags: Overrides =
        args.connect_timeout.map(|time| ("connect_timeout", show(time))).into_iter().collect();
    let config = context.config(flags)?;
    let traces = context.fleet.traces(&config, "starter")?;
    let logs = Logs::start(&config, "starter")?;
    telemetry::install(&config, "warn", None, traces.as_ref(), logs.as_ref());
    let ended = start(context, args, &config, traces.as_ref()).await;
    flush(traces, logs).await;
    ended
}

/// Sends what is left of the traces and of the log.
pub(super) async fn flush(traces: Option<Traces>, logs: Option<Logs>) {
    // It blocks, at most for its timeout, and may not where others wait; and one not for the other.
    let flush_traces = spawn_blocking(move || traces.inspect(|it| it.flush(FLUSH_TELEMETRY)));
    let flush_logs = spawn_blocking(move || logs.inspect(|it| it.flush(FLUSH_TELEMETRY)));
    let _ = join(flush_traces, flush_logs).await;
}

async fn start(
    context: &Context<'_>,
    args: StarterArgs,
    config: &Config,
    traces: Option<&Traces>,
) -> Result<u8, Error> {
    let queue = args.task_queue.clone().unwrap_or_else(|| config.workflow_task_queue.clone());
    let named = args.batch.is_some();
    let mut batch = batch(context, args.workload, args.num_workflows, queue)?;
    if let Some(name) = args.batch {
        batch.name = BatchName::Given(name);
    }

    let connect = client::connect(config, "starter", traces);
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.shutdown.exit_code());
    };
    let Definition { workflow_type, task_queue, .. } = &batch.definition;
    let name = batch.name.as_str().to_owned();
    Announce::Stderr.say(&format!("batch {name}: {} {workflow_type} on {task_queue}", batch.count));
    let waiting = Waiting {
        output: args.output,
        timeout: args.timeout,
        attach: Some(command_line(if named { None } else { Some(&name) })),
    };
    run_batch(context, batch, client, config, waiting, traces).await
}

/// The batch that the arguments describe, under a name of its own.
pub(super) fn batch(
    context: &Context<'_>,
    workload: Workload,
    count: usize,
    task_queue: String,
) -> Result<Batch, Error> {
    let workflow_type = workload
        .workflow_type
        .or_else(|| context.fleet.default_workflow_type().map(str::to_owned))
        .ok_or(Error::NothingToStart)?;
    Ok(Batch {
        name: BatchName::random(),
        definition: Definition { workflow_type, task_queue, input: workload.input },
        id_prefix: workload
            .workflow_id_prefix
            .unwrap_or_else(|| context.fleet.default_workflow_id_prefix().to_owned()),
        count,
        concurrency: workload.concurrency,
    })
}

/// The command line of this process, with the batch's name where it was not in it: run again, it goes
/// on with the batch.
fn command_line(batch: Option<&str>) -> String {
    let mut words: Vec<_> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(batch) = batch {
        words.extend(["--batch".to_owned(), batch.to_owned()]);
    }
    // The one error is a NUL, which an argument cannot have.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

/// How to wait for a batch.
pub(super) struct Waiting {
    pub(super) output: Output,
    pub(super) timeout: Option<Duration>,
    /// The command that goes on with the batch, where one can.
    pub(super) attach: Option<String>,
}

/// How the wait for a batch ended.
enum Ended {
    Complete,
    Interrupted,
}

/// Runs the batch and prints each outcome as it comes, until all are there, a stop is requested or
/// the time is over; then prints the summary. Returns the exit code.
pub(super) async fn run_batch(
    context: &Context<'_>,
    batch: Batch,
    client: Client,
    config: &Config,
    waiting: Waiting,
    traces: Option<&Traces>,
) -> Result<u8, Error> {
    let run = BatchRun::new(batch, client.clone(), Target::of(config)?, traces.cloned());
    let mut report = Report::begin(waiting.output);
    let time_over = waiting.timeout.map(|time| (time, Instant::now() + time));
    let ended = print_outcomes(context, &run, &client, time_over, &mut report).await;
    // The results come before the summary, on a terminal too.
    let ended = until_read(context, time_over, ended).await;

    if !matches!(ended, Err(Error::BatchMismatch { .. })) {
        let running = run.running_ids();
        let not_reached = run.batch().count - report.ended() - running.len();
        let can_go_on =
            matches!(ended, Ok(_) | Err(Error::NotDone { .. } | Error::Unreachable { .. }))
                && not_reached + running.len() > 0;
        let attach = waiting.attach.filter(|_| can_go_on);
        report.print_summary(run.batch(), &Left { running, not_reached, attach });
    }
    match until_read(context, time_over, ended).await? {
        Ended::Interrupted => Ok(context.shutdown.exit_code()),
        Ended::Complete => {
            Stdout::get().result()?;
            Ok(report.exit_code())
        }
    }
}

/// Waits until what was printed is read. Where the batch is complete, the reader may take their time,
/// within the limit; else what can be read at once has to do.
async fn until_read(
    context: &Context<'_>,
    time: Option<(Duration, Instant)>,
    ended: Result<Ended, Error>,
) -> Result<Ended, Error> {
    let (after, at) = time.unzip();
    if let Ok(Ended::Complete) = ended {
        return tokio::select! {
            () = Stdout::get().flush() => ended,
            () = context.shutdown.requested() => Ok(Ended::Interrupted),
            () = until(at) => Err(Error::NotDone { after: after.unwrap_or_default() }),
        };
    }
    let _ = timeout(FLUSH_TIMEOUT, Stdout::get().flush()).await;
    ended
}

/// Prints outcomes until all are there. Where none comes for a while, says what may be the reason.
async fn print_outcomes(
    context: &Context<'_>,
    run: &BatchRun,
    client: &Client,
    time: Option<(Duration, Instant)>,
    report: &mut Report,
) -> Result<Ended, Error> {
    let progress = Progress::begin(run.batch().count);
    let mut outcomes = pin!(run.outcomes());
    let mut silence = pin!(sleep(SILENCE));
    let (after, at) = time.unzip();
    let not_done = || Error::NotDone { after: after.unwrap_or_default() };
    let mut told: Option<AbortOnDropHandle<()>> = None;
    loop {
        let outcome = tokio::select! {
            outcome = outcomes.next() => outcome,
            () = context.shutdown.requested() => return Ok(Ended::Interrupted),
            () = Stdout::get().broke() => return Ok(Ended::Complete),
            () = until(at) => return Err(not_done()),
            () = &mut silence, if told.is_none() => {
                // On its own: the server may take long to answer, or not answer.
                let queue = run.batch().definition.task_queue.clone();
                let why = tell_why_nothing_comes(
                    context.bin.clone(), client.clone(), queue, report.ended(),
                );
                told = Some(AbortOnDropHandle::new(tokio::spawn(why)));
                continue;
            }
        };
        let Some(outcome) = outcome.transpose()? else {
            return Ok(Ended::Complete);
        };
        report.add(outcome);
        progress.advance(report.failed());
        told = None;
        silence.as_mut().reset(Instant::now() + SILENCE);
        if report.ended().is_multiple_of(UNREAD) {
            tokio::select! {
                () = Stdout::get().flush() => {}
                () = context.shutdown.requested() => return Ok(Ended::Interrupted),
                () = until(at) => return Err(not_done()),
            }
        }
    }
}

/// Completes at that time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Says what may be the reason that no result comes.
pub(super) async fn tell_why_nothing_comes(
    bin: String,
    client: Client,
    queue: String,
    ended: usize,
) {
    let why = match task_queue::pollers(&client, &queue, TaskKind::Workflow).await {
        Ok(pollers) if pollers.iter().all(Poller::is_gone) => {
            format!("no worker polls '{queue}': start one with {bin} up")
        }
        _ => format!(
            "{ended} ended, none in the last {}: a workflow's history, in the Temporal UI, tells what it \
             waits for; or its workers' log",
            show(SILENCE)
        ),
    };
    Announce::Stderr.say(&why);
}
