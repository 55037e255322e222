//! `fleet starter`: starts workflows and prints their results, as the sample's `starter.py`.

use std::{io, pin::pin};

use futures::{Stream, StreamExt};

use super::Context;
use crate::{
    batch::{Batch, Outcome},
    cli::{StarterArgs, Workload},
    client,
    config::show,
    error::Error,
    report::Report,
    settings::Overrides,
    supervisor::Announce,
    telemetry,
};

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
    let mut report = Report::begin();
    let ended = print_results(context, batch.run(client), &mut report).await?;
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

/// Prints each outcome as it comes, until all are there or a stop is requested.
pub(super) async fn print_results(
    context: &Context<'_>,
    outcomes: impl Stream<Item = Outcome>,
    report: &mut Report,
) -> Result<Ended, Error> {
    let mut outcomes = pin!(outcomes);
    loop {
        let next = tokio::select! {
            next = outcomes.next() => next,
            () = context.shutdown.requested() => return Ok(Ended::Interrupted),
        };
        let Some(outcome) = next else {
            return Ok(Ended::Complete);
        };
        match report.add(&outcome) {
            Ok(()) => {}
            // `| head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ended::Complete),
            Err(source) => {
                return Err(Error::Os { what: "cannot write results".into(), source });
            }
        }
    }
}
