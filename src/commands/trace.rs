//! `fleet trace`: one workflow as a timeline, from the server's own history.

use std::time::Duration;

use temporalio_client::NamespacedClient;

use super::{
    context::{Context, log_options},
    live::{self, Now},
};
use crate::{
    cli::TraceArgs,
    config::{layers::Overrides, show},
    error::Error,
    telemetry::Telemetry,
    temporal::{connection, target::Target},
    terminal::{output::Output, screen, stdout::Stdout},
    timeline::{Reader, Style, Timeline, json, text},
};

/// Where nobody says how wide lines may be.
const WIDTH: usize = 100;
/// Narrower than this there is no room for bars.
const LEAST_WIDTH: usize = 60;
/// More rows than these nobody reads.
const MOST_ROWS: usize = 200;
/// How often a run that is followed is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: TraceArgs) -> Result<u8, Error> {
    let flags: Overrides =
        args.connect_timeout.map(|time| ("connect_timeout", show(time))).into_iter().collect();
    let config = context.config(flags)?;
    let filter = if args.follow { "error" } else { "warn" };
    Telemetry::default().install(&log_options(&config, filter));
    let target = Target::of(&config.connect_settings())?;
    let address = target.address.clone();
    let Some(client) = context
        .unless_stopped(connection::connect(&config.connect_settings(), "trace", None))
        .await?
    else {
        return Ok(context.shutdown.exit_code());
    };
    let namespace = client.namespace();
    let colour = screen::has_colour(&config.environment);
    let run_id = args.run_id.as_deref().unwrap_or_default();
    let mut reader = Reader::new(client, target, &args.workflow_id, run_id);

    let print = |timeline: &Timeline, most_rows| match args.output {
        Output::Json => json(timeline, &address, &namespace),
        Output::Text => {
            let terminal = screen::size().map(|(columns, _)| columns.max(LEAST_WIDTH));
            let width = args.width.or(terminal).unwrap_or(WIDTH);
            text(timeline, &address, &namespace, Style { width, colour, most_rows })
        }
    };
    let most_rows = if args.all { usize::MAX } else { MOST_ROWS };
    if args.follow {
        let in_place = args.output == Output::Text;
        let mut before = None;
        return live::repeat(context, INTERVAL, in_place, async || {
            let timeline = reader.read().await?;
            // What comes after the rows wants some room on a terminal too.
            let room = screen::size().map_or(MOST_ROWS, |(_, rows)| (rows / 2).max(8));
            let is_last = timeline.run.closed.is_some();
            let room = if is_last { MOST_ROWS } else { room };
            let mut block = print(&timeline, most_rows.min(room));
            if in_place && screen::size().is_none() {
                block.push('\n');
            }
            let news = Some(timeline.news());
            let is_news = before != news;
            before = news;
            Ok(Now { block, is_news, is_last })
        })
        .await;
    }

    let Some(timeline) = context.unless_stopped(reader.read()).await? else {
        return Ok(context.shutdown.exit_code());
    };
    Stdout::get().line(print(&timeline, most_rows));
    tokio::select! {
        () = Stdout::get().flush() => Stdout::get().result()?,
        () = context.shutdown.requested() => return Ok(context.shutdown.exit_code()),
    }
    Ok(0)
}
