//! `fleet trace`: one run of a workflow as a timeline, read from the server's history.

use std::time::Duration;

use temporalio_client::NamespacedClient;

use super::{
    context::{Context, connect_overrides, log_options},
    live::{self, Snapshot},
};
use crate::{
    cli::TraceArgs,
    error::{CommandError, Exit},
    telemetry::Telemetry,
    temporal::{connection, target::Target},
    terminal::{output::Output, screen, stdout::Stdout, style::Colour},
    timeline::{Layout, Timeline, TimelineReader, json, text},
};

/// The width of lines if standard output is no terminal and `--width` is not given.
const WIDTH: usize = 100;
/// The least width on a terminal: in a narrower one there is no room for bars.
const LEAST_WIDTH: usize = 60;
/// How many rows are printed without `--all`.
const MOST_ROWS: usize = 200;
/// How often a run is read with `--follow`.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context<'_>, args: TraceArgs) -> Result<Exit, CommandError> {
    let config = context.config(connect_overrides(args.connect_timeout))?;
    let filter = if args.follow { "error" } else { "warn" };
    Telemetry::default().install(&log_options(&config, filter));
    let target = Target::of(&config.connect_settings())?;
    let address = target.address.clone();
    let Some(client) = context
        .unless_stopped(connection::connect_to_read(&config.connect_settings(), "trace"))
        .await?
    else {
        return Ok(context.stopped());
    };
    let printer = Printer {
        namespace: client.namespace(),
        address,
        colour: Colour::of_stdout(&config.environment),
        args: &args,
    };
    let run_id = args.run_id.as_deref().unwrap_or_default();
    let mut reader = TimelineReader::new(client, target, &args.workflow_id, run_id);
    if args.follow {
        return follow(context, &mut reader, &printer).await;
    }
    let Some(timeline) = context.unless_stopped(reader.read()).await? else {
        return Ok(context.stopped());
    };
    let most_rows = if args.all { usize::MAX } else { MOST_ROWS };
    Stdout::get().line(printer.rendered(&timeline, most_rows));
    tokio::select! {
        () = Stdout::get().flush() => Stdout::get().result()?,
        () = context.shutdown.requested() => return Ok(context.stopped()),
    }
    Ok(Exit::Success)
}

/// Prints the run again until it is closed.
async fn follow(
    context: &Context<'_>,
    reader: &mut TimelineReader,
    printer: &Printer<'_>,
) -> Result<Exit, CommandError> {
    let in_place = printer.args.output == Output::Text;
    let mut previous = None;
    live::repeat(context, INTERVAL, in_place, async || {
        let timeline = reader.read().await?;
        let is_last = timeline.run.closed.is_some();
        // On a terminal, half of the height is left for the rest of the text.
        let most_rows = match screen::size() {
            Some((_, height)) if !is_last => (height / 2).clamp(8, MOST_ROWS),
            _ => MOST_ROWS,
        };
        let mut text = printer.rendered(&timeline, most_rows);
        if in_place && screen::size().is_none() {
            text.push('\n');
        }
        let fingerprint = Some(timeline.fingerprint());
        let has_changed = previous != fingerprint;
        previous = fingerprint;
        Ok(Snapshot { text, has_changed, is_last })
    })
    .await
}

/// Renders a timeline in the form that the flags ask for.
struct Printer<'a> {
    namespace: String,
    address: String,
    colour: Colour,
    args: &'a TraceArgs,
}

impl Printer<'_> {
    /// The timeline as text with at most `most_rows` rows, or as JSON.
    fn rendered(&self, timeline: &Timeline, most_rows: usize) -> String {
        if self.args.output == Output::Json {
            return json(timeline, &self.address, &self.namespace);
        }
        let terminal = screen::size().map(|(columns, _)| columns.max(LEAST_WIDTH));
        let layout = Layout {
            width: self.args.width.or(terminal).unwrap_or(WIDTH),
            colour: self.colour,
            most_rows,
            whole: self.args.all,
        };
        text(timeline, &self.address, &self.namespace, layout)
    }
}
