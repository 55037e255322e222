//! `fleet bench`: puts a load on a fleet and says what it takes, honestly.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::FutureExt;
use temporalio_client::Client;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{
    context::{Context, log_options},
    run_batch::tell_why_nothing_comes,
};
use crate::{
    batch::{Batch, BatchName, BatchRun},
    bench::{
        Account, Ended, Form, Length, Measure, Pace, Plan, Quantile, Run, goals, json, picture,
        stages, text,
    },
    cli::{BenchArgs, LoadArgs},
    config::{Config, layers::Overrides, show},
    error::{Error, chain},
    telemetry::{self, Telemetry},
    temporal::{connection, history::Definition, target::Target},
    terminal::{announce::Announce, output::Output, progress::Progress, stdout::Stdout},
    workloads::load::{Load, iterations_in},
};

/// The workload that is started when none is named.
const LOAD: &str = "LoadWorkflow";
/// How many are under way in a closed loop when nobody says it.
const CONCURRENCY: usize = 10;
/// How long it takes when nobody says it.
const DURATION: Duration = Duration::from_secs(30);
/// The SDK tells of each call that it tries again, and here hundreds fail at a time where the server
/// is away. That is said once, by the batch.
const LOG_FILTER: &str = "warn,temporalio_client::retry=off";
/// After so long without any result it is time to say why.
const SILENCE: Duration = Duration::from_secs(5);
/// How long results may take to be read where somebody wants to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long histories are read, afterwards.
const READING: Duration = Duration::from_secs(30);
/// How long where somebody wants to leave.
const READING_IN_A_HURRY: Duration = Duration::from_secs(2);

pub(super) async fn run(context: &Context<'_>, args: BenchArgs) -> Result<u8, Error> {
    let flags: Overrides =
        args.connect_timeout.map(|time| ("connect_timeout", show(time))).into_iter().collect();
    let config = context.config(flags)?;
    let batch = batch(context, &args, &config)?;
    let plan = plan(&args);
    let mut report = args.report.as_deref().map(ReportFile::open).transpose()?;

    let telemetry = context.fleet.telemetry(&config, "bench")?;
    telemetry.install(&log_options(&config, LOG_FILTER));
    let ended =
        Box::pin(bench(context, &args, &config, plan, batch, &telemetry, report.as_mut())).await;
    telemetry.flush(telemetry::FLUSH_TIMEOUT).await;
    ended
}

fn plan(args: &BenchArgs) -> Plan {
    let pace = match args.rate {
        Some(rate) => Pace::Open { rate, most_under_way: args.max_under_way },
        None => Pace::Closed { concurrency: args.concurrency.unwrap_or(CONCURRENCY) },
    };
    let length = match args.count {
        Some(count) => Length::Count(count),
        None => Length::Duration(args.duration.unwrap_or(DURATION)),
    };
    Plan { pace, length, warmup: args.warmup, timeout: args.timeout, sample: args.sample }
}

/// What is to be started. By default that is nothing of the fleet's own, which may do harm in numbers.
fn batch(context: &Context<'_>, args: &BenchArgs, config: &Config) -> Result<Batch, Error> {
    let (workflow_type, input) = match &args.workflow_type {
        Some(workflow_type) => (workflow_type.clone(), args.input.clone()),
        None if !context.fleet.has_workflow(LOAD) => return Err(Error::NothingToBench),
        None => {
            let load = args.load.load()?;
            let load = serde_json::to_string(&load).expect("plain data");
            (LOAD.to_owned(), Some(args.input.clone().unwrap_or(load)))
        }
    };
    let task_queue = args.task_queue.clone().unwrap_or_else(|| config.workflow_task_queue.clone());
    Ok(Batch {
        name: BatchName::random(),
        definition: Definition { workflow_type, task_queue, input },
        id_prefix: args.workflow_id_prefix.clone(),
        count: usize::MAX,
        concurrency: usize::MAX,
    })
}

/// What a history holds, by the server's default (`limit.historyCount.error`), leaves room for this.
const MOST_ACTIVITIES: u64 = 8_000;
/// A message to the server may have 4 MB, and carries what a step's activities get.
const MOST_BYTES_IN_A_STEP: u64 = 3_000_000;
/// A history may have 50 MB (`limit.historySize.error`), and a payload is in it twice.
const MOST_BYTES: u64 = 20_000_000;

impl LoadArgs {
    /// # Errors
    /// [`Error::Usage`] for more than a workflow can have.
    fn load(&self) -> Result<Load, Error> {
        let mut load = Load::default();
        load.activities = self.activities.unwrap_or(load.activities);
        load.parallel = self.parallel.unwrap_or(load.parallel);
        load.payload_bytes = self.payload_bytes.unwrap_or(load.payload_bytes);
        let (parallel, bytes) = (u64::from(load.parallel), u64::from(load.payload_bytes));
        let activities = u64::from(load.activities) * parallel;
        let over = |what: String, most| Err(Error::Usage(format!("{what}: at most {most}")));
        if activities > MOST_ACTIVITIES {
            let what = format!("--activities times --parallel is {activities} activities");
            return over(what, MOST_ACTIVITIES);
        }
        if parallel * bytes > MOST_BYTES_IN_A_STEP {
            let what = format!("--parallel times --payload-bytes is {} bytes", parallel * bytes);
            return over(what, MOST_BYTES_IN_A_STEP);
        }
        if activities * bytes > MOST_BYTES {
            let what =
                format!("--payload-bytes of all activities are {} bytes", activities * bytes);
            return over(what, MOST_BYTES);
        }
        load.workflow_iterations = iterations_in(self.workflow_cpu.unwrap_or_default());
        load.activity_iterations = iterations_in(self.activity_cpu.unwrap_or_default());
        let timer = self.timer.unwrap_or_default();
        load.timer_ms = u64::try_from(timer.as_millis()).unwrap_or(u64::MAX);
        Ok(load)
    }
}

async fn bench(
    context: &Context<'_>,
    args: &BenchArgs,
    config: &Config,
    plan: Plan,
    batch: Batch,
    telemetry: &Telemetry,
    report: Option<&mut ReportFile>,
) -> Result<u8, Error> {
    let settings = config.connect_settings();
    let connect = connection::connect(&settings, "bench", telemetry.traces());
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.shutdown.exit_code());
    };
    let (name, Definition { workflow_type, task_queue, .. }) =
        (batch.name.as_str(), &batch.definition);
    let (pace, length) = (plan.pace, plan.length);
    Announce::Stderr
        .say(&format!("batch {name}: {workflow_type} on {task_queue}, {pace}, {length}"));

    let target = Target::of(&config.connect_settings())?;
    let started = BatchRun::new(batch, client.clone(), target.clone(), telemetry.traces().cloned());
    let mut run = Run::new(plan, &started);
    let ended = drive(context, &mut run, &client, &started.batch().definition.task_queue).await;
    let under_way = run.under_way();
    let mut results = run.results;

    let over = matches!(ended, Ok(Ended::Complete));
    if !matches!(ended, Err(Error::Unreachable { .. })) {
        let within = if over { READING } else { READING_IN_A_HURRY };
        let read = stages::read(&mut results, started.batch(), &client, &target, within);
        if over {
            // Who wants to leave now may: what is there is told.
            futures::future::select(Box::pin(read), context.shutdown.requested().boxed()).await;
        } else {
            read.await;
        }
    }
    let complete = over && !context.shutdown.is_requested();
    let account = Account {
        plan: &plan,
        batch: started.batch(),
        results: &results,
        goals: &args.slo,
        budget: args.max_errors,
        ended: if complete { Ended::Complete } else { Ended::Interrupted },
        under_way,
    };
    let summary = text(&account);
    match args.output {
        Output::Text => Stdout::get().line(summary.as_str()),
        Output::Json => Stdout::get().line(json(&account)),
    }
    // What was measured is told, whatever becomes of the picture.
    let drawn = report.map_or(Ok(()), |file| {
        let heading = heading(&account, complete);
        file.write(&picture(file.form, &heading, &summary, &results))
    });
    if complete {
        // Who reads it may take their time.
        tokio::select! {
            () = Stdout::get().flush() => {}
            () = context.shutdown.requested() => {}
        }
    } else {
        let _ = timeout(FLUSH_TIMEOUT, Stdout::get().flush()).await;
    }
    ended?;
    drawn?;
    if context.shutdown.is_requested() {
        return Ok(context.shutdown.exit_code());
    }
    Stdout::get().result()?;
    let misses = goals::misses(&results, &args.slo, args.max_errors);
    if misses.is_empty() { Ok(0) } else { Err(Error::GoalMissed(misses.join("\n"))) }
}

/// The picture's: one line.
fn heading(account: &Account<'_>, complete: bool) -> String {
    let results = account.results;
    let p99 = results.quantile(Measure::EndToEnd, Quantile::P99).unwrap_or_default();
    format!(
        "{}, {}: {:.1} workflows/s, p99 {:.0} ms, {} errors{}",
        account.batch.definition.workflow_type,
        account.plan.pace,
        results.throughput(),
        p99.as_secs_f64() * 1000.0,
        results.errors(),
        if complete { "" } else { " (interrupted: partial)" }
    )
}

/// Runs to the end, or until a stop is requested, and shows how far it is. Where nothing comes for a
/// while, says what may be the reason.
async fn drive(
    context: &Context<'_>,
    run: &mut Run<'_>,
    client: &Client,
    queue: &str,
) -> Result<Ended, Error> {
    let progress = Progress::without_end();
    let why = |ended| {
        tell_why_nothing_comes(context.bin.clone(), client.clone(), queue.to_owned(), ended)
    };
    let mut told = false;
    let mut telling = None;
    let ended = run
        .run(context.shutdown.requested(), |run| {
            progress.say(&run.progress());
            if !told && run.silent_for() >= SILENCE {
                told = true;
                // On its own: the server may take long to answer, or not answer.
                let task = tokio::spawn(why(run.ended()));
                telling = Some(AbortOnDropHandle::new(task));
            }
        })
        .await;
    drop(progress);
    // A short run is over before it is time to wonder.
    if matches!(ended, Ok(Ended::Complete)) && !told && run.ended() == 0 && run.under_way() > 0 {
        context.unless_stopped(why(0).map(Ok)).await?;
    }
    drop(telling);
    ended
}

/// The file that the picture goes to: there, and writable, before anything is started.
struct ReportFile {
    file: File,
    path: PathBuf,
    form: Form,
    /// Whether it is there for this only, and empty.
    is_new: bool,
}

impl ReportFile {
    fn open(path: &Path) -> Result<Self, Error> {
        let form = Form::of(path).ok_or_else(|| {
            Error::Usage(format!(
                "--report {}: expected a name that ends in .html or .svg",
                path.display()
            ))
        })?;
        let is_new = !path.exists();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|source| Error::Usage(chain(&Self::error(path, source))))?;
        Ok(Self { file, path: path.to_owned(), form, is_new })
    }

    fn error(path: &Path, source: io::Error) -> Error {
        Error::Os { what: format!("cannot write --report {}", path.display()), source }
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        let written = self.file.rewind().and_then(|()| {
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())
        });
        written.map_err(|source| Self::error(&self.path, source))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if self.is_new {
            // Nothing came of it. An empty file that stays does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
