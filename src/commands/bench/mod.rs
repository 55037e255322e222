//! `fleet bench`: puts a load on a fleet and measures latency and throughput.

mod report_file;
mod workload;

use std::{pin::pin, time::Duration};

use futures::{FutureExt, future::select};
use temporalio_client::Client;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::report_file::ReportFile;
use super::{
    context::{Context, connect_overrides, log_options},
    description::{read_inputs, say_input_problem},
    run_batch::{SILENCE, silent},
    silence::{LimitNotice, SilenceHint},
};
use crate::{
    batch::{Batch, BatchRun},
    bench::{
        BenchEnd, BenchRun, BenchSummary, Length, Pace, Plan, Results, goals, json, picture,
        stages, text,
    },
    cli::BenchArgs,
    config::Config,
    error::{CommandError, Error, Exit},
    telemetry::{FLUSH_TIMEOUT, Telemetry},
    temporal::{connection, history::Definition, rate_limits::RateLimits, target::Target},
    terminal::{announce::Announce, output::Output, progress::Progress, stdout::Stdout},
};

/// The number of workflows in flight without `--rate` and `--concurrency`.
const CONCURRENCY: usize = 10;
/// The length of a run without `--duration` and `--count`.
const DURATION: Duration = Duration::from_secs(30);
/// The SDK logs each call that it retries. If the server is unreachable, hundreds fail at the same time;
/// the batch reports that once.
const LOG_FILTER: &str = "warn,temporalio_client::retry=off";
/// How long histories are read after a complete run.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long histories are read after an interrupted run.
const READ_TIMEOUT_INTERRUPTED: Duration = Duration::from_secs(2);
/// How long an interrupted run waits for a slow reader of its standard output.
const STDOUT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: BenchArgs) -> Result<Exit, CommandError> {
    let config = context.config(connect_overrides(args.connect_timeout))?;
    let Some(inputs) = read_inputs(context, args.input.clone(), None).await? else {
        return Ok(context.stopped());
    };
    let batch = workload::batch(context.fleet, &args, &config, inputs.all)?;
    let mut report = args.report.as_deref().map(ReportFile::open).transpose()?;

    let telemetry = context.fleet.telemetry(&config, "bench")?;
    telemetry.install(&log_options(&config, LOG_FILTER));
    let bench = Bench { context, args: &args, config: &config, plan: plan(&args) };
    let end = Box::pin(bench.run(batch, &telemetry, report.as_mut())).await;
    telemetry.flush(FLUSH_TIMEOUT).await;
    end
}

fn plan(args: &BenchArgs) -> Plan {
    let pace = match args.rate {
        Some(rate) => Pace::Open { rate, max_in_flight: args.max_under_way },
        None => Pace::Closed { concurrency: args.concurrency.unwrap_or(CONCURRENCY) },
    };
    let length = match args.count {
        Some(count) => Length::Count(count),
        None => Length::Duration(args.duration.unwrap_or(DURATION)),
    };
    Plan { pace, length, warmup: args.warmup, timeout: args.timeout, sample: args.sample }
}

/// A bench as the flags and settings describe it.
struct Bench<'a> {
    context: &'a Context<'a>,
    args: &'a BenchArgs,
    config: &'a Config,
    plan: Plan,
}

impl Bench<'_> {
    /// Connects, runs, reads histories, and prints the summary. Returns the exit code.
    async fn run(
        &self,
        batch: Batch,
        telemetry: &Telemetry,
        report: Option<&mut ReportFile>,
    ) -> Result<Exit, CommandError> {
        let settings = self.config.connect_settings();
        let limits = RateLimits::default();
        let connect = connection::connect(&settings, "bench", telemetry.traces());
        let Some(client) = self.context.unless_stopped(connect).await? else {
            return Ok(self.context.stopped());
        };
        self.announce(&batch);

        let target = Target::of(&settings)?;
        let traces = telemetry.traces().cloned();
        let queue = &batch.definition.task_queue;
        let hint =
            SilenceHint::new(&self.context.bin, &client, &target, &limits, queue, self.config)
                .with_problem(say_input_problem(self.context.fleet, &batch));
        let batch = BatchRun::new(batch, client.clone(), target.clone(), limits.clone(), traces);
        let mut run = BenchRun::new(self.plan, &batch);
        let end = self.drive(&mut run, hint, LimitNotice::new(&limits)).await;
        let unended = batch.unended();
        let mut results = run.results;
        results.not_started += unended.refused as u64;
        self.read_histories(&end, &mut results, batch.batch(), &client, &target).await;

        let is_complete =
            matches!(end, Ok(BenchEnd::Complete)) && !self.context.shutdown.is_requested();
        let summary = BenchSummary {
            plan: &self.plan,
            batch: batch.batch(),
            results: &results,
            goals: &self.args.slo,
            budget: self.args.max_errors,
            end: if is_complete { BenchEnd::Complete } else { BenchEnd::Interrupted },
            in_flight: unended.running.len() + unended.may_run.len(),
            rate_limited: limits.refused(),
            limited: limits.sentence(),
        };
        let drawn = self.print(&summary, report).await;
        end?;
        drawn?;
        self.exit_code(&results)
    }

    fn announce(&self, batch: &Batch) {
        let Definition { workflow_type, task_queue, .. } = &batch.definition;
        let (name, Plan { pace, length, .. }) = (batch.name.as_str(), self.plan);
        Announce::Stderr
            .say(&format!("batch {name}: {workflow_type} on {task_queue}, {pace}, {length}"));
    }

    /// Runs to the end, or until a stop is requested, and shows the progress. If there is no result
    /// for a while, prints what may be the reason.
    async fn drive(
        &self,
        run: &mut BenchRun<'_>,
        hint: SilenceHint,
        mut notice: LimitNotice,
    ) -> Result<BenchEnd, CommandError> {
        let context = self.context;
        let progress = Progress::without_end();
        let say_why =
            |run: &BenchRun<'_>| hint.clone().print(run.one_to_look_at(), silent(run.ended()));
        let mut hint_task = None;
        let end = run
            .run(context.shutdown.requested(), |run| {
                progress.say(&run.progress());
                notice.say_once();
                if hint_task.is_none() && run.silent_for() >= SILENCE {
                    // In a task of its own, because the server may answer late or not at all.
                    let task = tokio::spawn(say_why(run));
                    hint_task = Some(AbortOnDropHandle::new(task));
                }
            })
            .await;
        drop(progress);
        // A run that is shorter than the time of silence gets its hint at the end.
        let is_complete = matches!(end, Ok(BenchEnd::Complete));
        if is_complete && hint_task.is_none() && run.ended() == 0 && run.in_flight() > 0 {
            context.unless_stopped(say_why(run).map(Ok::<_, Error>)).await?;
        }
        end
    }

    /// Adds the times of the stages to `results`, unless the server is unreachable. After a complete run a
    /// stop request ends the reading; what was read until then counts.
    async fn read_histories(
        &self,
        end: &Result<BenchEnd, CommandError>,
        results: &mut Results,
        batch: &Batch,
        client: &Client,
        target: &Target,
    ) {
        match end {
            Err(CommandError::Fleet(Error::Unreachable { .. })) => {}
            Ok(BenchEnd::Complete) => {
                let read = stages::read(results, batch, client, target, READ_TIMEOUT);
                select(pin!(read), pin!(self.context.shutdown.requested())).await;
            }
            _ => stages::read(results, batch, client, target, READ_TIMEOUT_INTERRUPTED).await,
        }
    }

    /// Prints the summary, and then draws the picture.
    ///
    /// # Errors
    /// [`Error::Os`] if the picture cannot be written.
    async fn print(
        &self,
        summary: &BenchSummary<'_>,
        report: Option<&mut ReportFile>,
    ) -> Result<(), CommandError> {
        let details = text(summary);
        Stdout::get().line(match self.args.output {
            Output::Text => details.clone(),
            Output::Json => json(summary),
        });
        let drawn = report.map_or(Ok(()), |file| {
            file.write(&picture(file.format, &summary.heading(), &details, summary.results))
        });
        match summary.end {
            BenchEnd::Complete => tokio::select! {
                () = Stdout::get().flush() => {}
                () = self.context.shutdown.requested() => {}
            },
            BenchEnd::Interrupted => {
                let _ = timeout(STDOUT_TIMEOUT, Stdout::get().flush()).await;
            }
        }
        drawn
    }

    /// # Errors
    /// [`CommandError::GoalMissed`], and [`Error::Os`] if standard output could not be written.
    fn exit_code(&self, results: &Results) -> Result<Exit, CommandError> {
        if self.context.shutdown.is_requested() {
            return Ok(self.context.stopped());
        }
        Stdout::get().result()?;
        let misses = goals::misses(results, &self.args.slo, self.args.max_errors);
        if misses.is_empty() {
            Ok(Exit::Success)
        } else {
            Err(CommandError::GoalMissed(misses.join("\n")))
        }
    }
}
