//! What is printed again and again, as `status --watch` and `trace --follow` do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::Context;
use crate::{
    error::Error,
    terminal::{
        progress,
        screen::{self, Screen},
        stdout::Stdout,
    },
};

/// What there is to print now.
pub(super) struct Now {
    pub(super) block: String,
    /// Whether it differs from what was printed before, in more than the time.
    pub(super) is_news: bool,
    /// Whether it is the last.
    pub(super) is_last: bool,
}

/// Asks and prints, and again after each interval, until it is told that it was the last, or to stop.
/// On a terminal the block is drawn in place where `in_place` says so, else what is news is printed
/// below. A server that goes away for a while is told of once, and when it is back.
///
/// # Errors
/// Those of `ask` that no waiting helps with; [`Error::Os`] of standard output.
pub(super) async fn repeat(
    context: &Context<'_>,
    interval: Duration,
    in_place: bool,
    mut ask: impl AsyncFnMut() -> Result<Now, Error>,
) -> Result<u8, Error> {
    let mut screen = Screen::default();
    let mut shown = String::new();
    let mut silent: Option<Instant> = None;
    loop {
        let asked = tokio::select! {
            asked = ask() => asked,
            () = context.shutdown.requested() => return Ok(context.shutdown.exit_code()),
            () = Stdout::get().broke() => break,
        };
        let size = screen::size().filter(|_| in_place);
        let mut is_last = false;
        match (asked, size) {
            (Ok(now), Some((_, rows))) => {
                silent = None;
                shown = now.block;
                is_last = now.is_last;
                let frame =
                    if is_last { screen.last(&shown, rows) } else { screen.frame(&shown, rows) };
                Stdout::get().line(frame);
            }
            (Ok(now), None) => {
                if silent.take().is_some() {
                    progress::to_stderr("Temporal answers again\n");
                }
                is_last = now.is_last;
                if now.is_news || is_last {
                    Stdout::get().line(now.block);
                }
            }
            (Err(Error::Rpc { cause, .. } | Error::Unreachable { cause, .. }), size) => {
                let line = format!("Temporal does not answer: {cause}");
                let is_new = silent.is_none();
                let since = *silent.get_or_insert_with(Instant::now);
                if let Some((_, rows)) = size {
                    let ago = since.elapsed().as_secs();
                    let block = format!("{shown}\n\n{line} (for {ago} s; trying again)");
                    Stdout::get().line(screen.frame(block.trim_start(), rows));
                } else if is_new {
                    progress::to_stderr(&format!("{line}; trying again\n"));
                }
            }
            (Err(error), _) => return Err(error),
        }
        // What is not read is not added to.
        tokio::select! {
            () = Stdout::get().flush() => {}
            () = context.shutdown.requested() => return Ok(context.shutdown.exit_code()),
        }
        if is_last {
            break;
        }
        tokio::select! {
            () = sleep(interval) => {}
            () = context.shutdown.requested() => return Ok(context.shutdown.exit_code()),
            () = Stdout::get().broke() => break,
        }
    }
    Stdout::get().result()?;
    Ok(0)
}
