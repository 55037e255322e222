//! Runs a batch for a command: prints each outcome as it comes, and then the summary.

use std::{
    future::pending,
    pin::{Pin, pin},
    time::Duration,
};

use futures::{Stream, StreamExt};
use temporalio_client::Client;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    context::Context,
    silence::{LimitNotice, SilenceHint},
};
use crate::{
    batch::{Batch, BatchRun, Remainder, outcome::Outcome, report::Report},
    config::{Config, show},
    error::{CommandError, Error, Exit},
    telemetry::Telemetry,
    temporal::{rate_limits::RateLimits, target::Target},
    terminal::{output::Output, progress::Progress, stdout::Stdout},
};

/// How long there may be no result before a hint is printed.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// How often to look whether the server limits the calls.
const LOOK: Duration = Duration::from_secs(1);
/// After this many results, wait until they are read: unread results take memory.
const UNREAD: usize = 1000;
/// Also wait if this many bytes are unread. A result can have megabytes.
const UNREAD_BYTES: usize = 16 * 1024 * 1024;
/// How long a slow reader of standard output may take for the last results of a batch that is not complete.
const STDOUT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to wait for a batch, and how to print its results.
pub(super) struct WaitOptions {
    pub(super) output: Output,
    /// How long to wait; `None` until all workflows have ended.
    pub(super) timeout: Option<Duration>,
    /// The command line that continues the batch, if it can be continued.
    pub(super) attach: Option<String>,
    /// Why this fleet's workers cannot run the workflows.
    pub(super) input_problem: Option<String>,
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
    (client, limits): (Client, RateLimits),
    config: &Config,
    options: WaitOptions,
    telemetry: &Telemetry,
) -> Result<Exit, CommandError> {
    let target = Target::of(&config.connect_settings())?;
    let queue = &batch.definition.task_queue;
    let hint = SilenceHint::new(&context.bin, &client, &target, &limits, queue, config)
        .with_problem(options.input_problem);
    let run = BatchRun::new(batch, client, target, limits.clone(), telemetry.traces().cloned());
    let mut report = Report::begin(options.output);
    let time_over = options.timeout.map(|time| (time, Instant::now() + time));
    let notice = LimitNotice::new(&limits);
    let ended = print_outcomes(context, &run, hint, notice, time_over, &mut report).await;
    // The results are printed before the summary, on a terminal too.
    let ended = until_read(context, time_over, ended).await;

    if !matches!(ended, Err(CommandError::BatchMismatch { .. })) {
        let unended = run.unended();
        let known = report.ended() + unended.count();
        let not_reached = run.batch().count.saturating_sub(known);
        let can_continue = matches!(
            ended,
            Ok(_)
                | Err(CommandError::NotDone { .. } | CommandError::Fleet(Error::Unreachable { .. }))
        ) && not_reached + unended.count() > 0;
        let attach = options.attach.filter(|_| can_continue);
        let (limited, rate_limited) = (limits.sentence(), limits.refused());
        let remainder = Remainder { unended, not_reached, limited, rate_limited, attach };
        report.print_summary(run.batch(), &remainder);
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
    hint: SilenceHint,
    notice: LimitNotice,
    time: Option<(Duration, Instant)>,
    report: &mut Report,
) -> Result<Ended, CommandError> {
    let mut outcomes = pin!(run.outcomes());
    let ended = print_until_end(context, run, hint, notice, time, report, outcomes.as_mut()).await;
    run.settle(outcomes, |outcome| {
        if let Ok(outcome) = outcome {
            report.add(outcome);
        }
    })
    .await;
    ended
}

async fn print_until_end(
    context: &Context<'_>,
    run: &BatchRun,
    hint: SilenceHint,
    mut notice: LimitNotice,
    time: Option<(Duration, Instant)>,
    report: &mut Report,
    mut outcomes: Pin<&mut impl Stream<Item = Result<Outcome, CommandError>>>,
) -> Result<Ended, CommandError> {
    let progress = Progress::begin(run.batch().count);
    let mut silence = pin!(sleep(SILENCE));
    let mut look = interval(LOOK);
    let (after, at) = time.unzip();
    let not_done = || CommandError::NotDone { after: after.unwrap_or_default() };
    let mut hint_task: Option<AbortOnDropHandle<()>> = None;
    loop {
        let outcome = tokio::select! {
            outcome = outcomes.next() => outcome,
            () = context.shutdown.requested() => return Ok(Ended::Interrupted),
            () = Stdout::get().broke() => return Ok(Ended::Complete),
            () = until(at) => return Err(not_done()),
            _ = look.tick() => {
                notice.say_once();
                continue;
            }
            () = &mut silence, if hint_task.is_none() => {
                // In a task of its own, because the server may answer late or not at all.
                let counts = silent(report.ended());
                let reason = hint.clone().print(run.one_to_look_at(), counts);
                hint_task = Some(AbortOnDropHandle::new(tokio::spawn(reason)));
                continue;
            }
        };
        let Some(outcome) = outcome.transpose()? else {
            return Ok(Ended::Complete);
        };
        report.add(outcome);
        progress.advance(report.failed());
        hint_task = None;
        silence.as_mut().reset(Instant::now() + SILENCE);
        let is_much = Stdout::get().unwritten() > UNREAD_BYTES;
        if is_much || report.ended().is_multiple_of(UNREAD) {
            tokio::select! {
                () = Stdout::get().flush() => {}
                () = context.shutdown.requested() => return Ok(Ended::Interrupted),
                () = until(at) => return Err(not_done()),
            }
        }
    }
}

/// How many workflows have ended, for a hint.
pub(super) fn silent(ended: usize) -> String {
    format!("{ended} ended, none in the last {}", show(SILENCE))
}

/// Completes at `time`; never if there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
