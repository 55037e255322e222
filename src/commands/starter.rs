//! `fleet starter`: starts workflows and prints their results, as the sample's `starter.py`.

use std::{
    io,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use futures::StreamExt;
use temporalio_client::Client;
use tokio::time::{Instant, sleep};

use super::Context;
use crate::{
    batch::Batch,
    cli::{StarterArgs, Workload},
    client,
    config::show,
    error::Error,
    pollers::{self, TaskKind},
    report::Report,
    settings::Overrides,
    stdout::Stdout,
    supervisor::Announce,
    telemetry,
};

/// After so long without a result it is time to say why.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(context: &Context<'_>, args: StarterArgs) -> Result<u8, Error> {
    let flags: Overrides =
        args.connect_timeout.map(|time| ("connect_timeout", show(time))).into_iter().collect();
    let config = context.config(flags)?;
    telemetry::install(&config, "warn", None);
    let queue = args.task_queue.clone().unwrap_or_else(|| config.workflow_task_queue.clone());
    let batch = batch(context, args.workload, args.num_workflows, queue)?;

    let connect = client::connect(&config, "starter");
    let Some(client) = context.unless_stopped(connect).await? else {
        return Ok(context.shutdown.exit_code());
    };
    let (report, ended) = print_results(context, batch, client).await?;
    Announce::Stderr.say(&report.summary());
    Ok(match ended {
        Ended::Complete => report.exit_code(),
        Ended::Interrupted => context.shutdown.exit_code(),
    })
}

/// The batch that the arguments describe.
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
        workflow_type,
        task_queue,
        input: workload.input,
        id_prefix: workload
            .workflow_id_prefix
            .unwrap_or_else(|| context.fleet.default_workflow_id_prefix().to_owned()),
        count,
        concurrency: workload.concurrency,
    })
}

/// Whether a batch came to its end.
#[derive(PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    Interrupted,
}

/// Runs the batch and prints each outcome as it comes, until all are there or a stop is requested.
/// Where nothing comes for a while, says what may be the reason.
pub(super) async fn print_results(
    context: &Context<'_>,
    batch: Batch,
    client: Client,
) -> Result<(Report, Ended), Error> {
    let started = Arc::new(AtomicUsize::new(0));
    let mut report = Report::begin(started.clone());
    let queue = batch.task_queue.clone();
    let mut outcomes = pin!(batch.run(client.clone(), started));
    let mut silence = pin!(sleep(SILENCE));
    let mut told = false;
    loop {
        let next = tokio::select! {
            next = outcomes.next() => next,
            () = context.shutdown.requested() => return Ok((report, Ended::Interrupted)),
            () = &mut silence, if !told => {
                told = true;
                Announce::Stderr.say(&why_nothing_comes(context, &client, &queue, &report).await);
                continue;
            }
        };
        let Some(outcome) = next else {
            break;
        };
        report.add(&outcome);
        silence.as_mut().reset(Instant::now() + SILENCE);
        if Stdout::get().broken().is_some() {
            break;
        }
    }
    tokio::select! {
        () = Stdout::get().flush() => {}
        () = context.shutdown.requested() => return Ok((report, Ended::Interrupted)),
    }
    match Stdout::get().broken() {
        // `| head` has seen enough.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok((report, Ended::Complete)),
        Some(error) => Err(Error::Os {
            what: "cannot write results".into(),
            source: io::Error::new(error.kind(), error),
        }),
        None => Ok((report, Ended::Complete)),
    }
}

async fn why_nothing_comes(
    context: &Context<'_>,
    client: &Client,
    queue: &str,
    report: &Report,
) -> String {
    match pollers::of_queue(client, queue, TaskKind::Workflow).await {
        Ok(pollers) if pollers.is_empty() => {
            format!("no worker polls '{queue}': start one with {} up", context.bin)
        }
        _ => format!(
            "{} ended, none in the last {}: a workflow's history, in the Temporal UI, tells what it \
             waits for; or its workers' log",
            report.ended(),
            show(SILENCE)
        ),
    }
}
