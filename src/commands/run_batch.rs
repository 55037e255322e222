//! Runs a batch for a command: prints each outcome as it comes, and then the summary.

use std::{future::pending, pin::pin, time::Duration};

use futures::StreamExt;
use temporalio_client::Client;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use crate::{
    batch::{Batch, BatchName, BatchRun, Remainder, report::Report},
    cli::Workload,
    config::{Config, show},
    error::{CommandError, Error, Exit},
    telemetry::Telemetry,
    temporal::{
        history::Definition,
        target::Target,
        task_queue::{self, Poller, TaskKind},
    },
    terminal::{announce::Announce, output::Output, progress::Progress, stdout::Stdout},
};

/// How long there may be no result before a hint is printed.
const SILENCE: Duration = Duration::from_secs(5);
/// After this many results, wait until they are read: unread results take memory.
const UNREAD: usize = 1000;
/// How long a slow reader of standard output may take for the last results of a batch that is not complete.
const STDOUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The batch that the arguments describe, with a new random name.
pub(super) fn batch(
    context: &Context<'_>,
    workload: Workload,
    count: usize,
    task_queue: String,
) -> Result<Batch, CommandError> {
    let workflow_type = workload
        .workflow_type
        .or_else(|| context.fleet.default_workflow_type().map(str::to_owned))
        .ok_or(CommandError::NothingToStart)?;
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

/// How to wait for a batch, and how to print its results.
pub(super) struct WaitOptions {
    pub(super) output: Output,
    /// How long to wait; `None` until all workflows have ended.
    pub(super) timeout: Option<Duration>,
    /// The command line that continues the batch, if it can be continued.
    pub(super) attach: Option<String>,
}

/// How the wait for a batch ended.
enum Ended {
    Complete,
    Interrupted,
}

/// Runs the batch and prints each outcome as it comes, until all workflows have ended, a stop is
/// requested or the time is over; then prints the summary.
pub(super) async fn run_batch(
    context: &Context<'_>,
    batch: Batch,
    client: Client,
    config: &Config,
    options: WaitOptions,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let run = BatchRun::new(
        batch,
        client.clone(),
        Target::of(&config.connect_settings())?,
        telemetry.traces().cloned(),
    );
    let mut report = Report::begin(options.output);
    let time_over = options.timeout.map(|time| (time, Instant::now() + time));
    let ended = print_outcomes(context, &run, &client, time_over, &mut report).await;
    // The results are printed before the summary, on a terminal too.
    let ended = until_read(context, time_over, ended).await;

    if !matches!(ended, Err(CommandError::BatchMismatch { .. })) {
        let running = run.running_ids();
        let not_reached = run.batch().count - report.ended() - running.len();
        let can_continue = matches!(
            ended,
            Ok(_)
                | Err(CommandError::NotDone { .. } | CommandError::Fleet(Error::Unreachable { .. }))
        ) && not_reached + running.len() > 0;
        let attach = options.attach.filter(|_| can_continue);
        report.print_summary(run.batch(), &Remainder { running, not_reached, attach });
    }
    match until_read(context, time_over, ended).await? {
        Ended::Interrupted => Ok(context.stopped()),
        Ended::Complete => {
            Stdout::get().result()?;
            Ok(report.exit())
        }
    }
}

/// Waits until what was printed is read: within the time limit if the batch is complete, else only for
/// a moment.
async fn until_read(
    context: &Context<'_>,
    time: Option<(Duration, Instant)>,
    ended: Result<Ended, CommandError>,
) -> Result<Ended, CommandError> {
    let (after, at) = time.unzip();
    if let Ok(Ended::Complete) = ended {
        return tokio::select! {
            () = Stdout::get().flush() => ended,
            () = context.shutdown.requested() => Ok(Ended::Interrupted),
            () = until(at) => Err(CommandError::NotDone { after: after.unwrap_or_default() }),
        };
    }
    let _ = timeout(STDOUT_TIMEOUT, Stdout::get().flush()).await;
    ended
}

/// Prints outcomes until all workflows have ended. If none ends for a while, prints what may be the reason.
async fn print_outcomes(
    context: &Context<'_>,
    run: &BatchRun,
    client: &Client,
    time: Option<(Duration, Instant)>,
    report: &mut Report,
) -> Result<Ended, CommandError> {
    let progress = Progress::begin(run.batch().count);
    let mut outcomes = pin!(run.outcomes());
    let mut silence = pin!(sleep(SILENCE));
    let (after, at) = time.unzip();
    let not_done = || CommandError::NotDone { after: after.unwrap_or_default() };
    let mut hint: Option<AbortOnDropHandle<()>> = None;
    loop {
        let outcome = tokio::select! {
            outcome = outcomes.next() => outcome,
            () = context.shutdown.requested() => return Ok(Ended::Interrupted),
            () = Stdout::get().broke() => return Ok(Ended::Complete),
            () = until(at) => return Err(not_done()),
            () = &mut silence, if hint.is_none() => {
                // In a task of its own, because the server may answer late or not at all.
                let queue = run.batch().definition.task_queue.clone();
                let reason = print_why_nothing_ends(
                    context.bin.clone(), client.clone(), queue, report.ended(),
                );
                hint = Some(AbortOnDropHandle::new(tokio::spawn(reason)));
                continue;
            }
        };
        let Some(outcome) = outcome.transpose()? else {
            return Ok(Ended::Complete);
        };
        report.add(outcome);
        progress.advance(report.failed());
        hint = None;
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

/// Completes at `time`; never if there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Prints what may be the reason that no workflow ends.
pub(super) async fn print_why_nothing_ends(
    bin: String,
    client: Client,
    queue: String,
    ended: usize,
) {
    let reason = match task_queue::pollers(&client, &queue, TaskKind::Workflow).await {
        Ok(pollers) if pollers.iter().all(Poller::is_gone) => {
            format!("no worker polls '{queue}': start one with {bin} up")
        }
        _ => format!(
            "{ended} ended, none in the last {}: see what a workflow waits for with {bin} trace ID, in \
             the Temporal UI, or in the workers' log",
            show(SILENCE)
        ),
    };
    Announce::Stderr.say(&reason);
}
