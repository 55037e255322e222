//! Output that is printed repeatedly, for `status --watch` and `trace --follow`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::Context;
use crate::{
    error::{CommandError, Error, Exit},
    terminal::{
        screen::{self, Screen},
        stderr,
        stdout::Stdout,
    },
    text::one_line,
};

/// The output at one moment.
pub(super) struct Snapshot {
    pub(super) text: String,
    /// Whether it differs from the previous one in more than the time.
    pub(super) has_changed: bool,
    /// Whether nothing follows.
    pub(super) is_last: bool,
}

/// Calls `read` and prints the result, and again after each `interval`, until a snapshot is the last
/// one, a stop is requested, or nobody reads the output any more. Returns the exit code.
///
/// With `in_place`, a terminal shows one snapshot in the place of the other. Otherwise snapshots that
/// have changed are printed below each other. If the server does not answer, that is reported once,
/// and `read` is called again.
///
/// # Errors
/// Those of `read`, other than that the server does not answer; [`Error::Os`] if standard output
/// cannot be written.
pub(super) async fn repeat(
    context: &Context<'_>,
    interval: Duration,
    in_place: bool,
    mut read: impl AsyncFnMut() -> Result<Snapshot, CommandError>,
) -> Result<Exit, CommandError> {
    let mut output = LiveOutput::new(in_place);
    loop {
        let result = tokio::select! {
            result = read() => result,
            () = context.shutdown.requested() => return Ok(context.stopped()),
            () = Stdout::get().broke() => break,
        };
        let is_last = result.as_ref().is_ok_and(|snapshot| snapshot.is_last);
        match result {
            Ok(snapshot) => output.show(snapshot),
            Err(CommandError::Fleet(
                Error::Rpc { cause, .. } | Error::Unreachable { cause, .. },
            )) => {
                output.show_outage(&cause);
            }
            Err(error) => return Err(error),
        }
        // A reader that is slower than the interval must not make the queue of lines grow.
        tokio::select! {
            () = Stdout::get().flush() => {}
            () = context.shutdown.requested() => return Ok(context.stopped()),
        }
        if is_last {
            break;
        }
        tokio::select! {
            () = sleep(interval) => {}
            () = context.shutdown.requested() => return Ok(context.stopped()),
            () = Stdout::get().broke() => break,
        }
    }
    Stdout::get().result()?;
    Ok(Exit::Success)
}

/// Prints snapshots, in place or below each other.
struct LiveOutput {
    in_place: bool,
    screen: Screen,
    /// The last snapshot that was drawn in place.
    drawn: String,
    /// Since when the server has not answered.
    outage: Option<Instant>,
}

impl LiveOutput {
    fn new(in_place: bool) -> Self {
        Self { in_place, screen: Screen::default(), drawn: String::new(), outage: None }
    }

    /// The height of the terminal, if snapshots are drawn in place.
    fn rows(&self) -> Option<usize> {
        screen::size().filter(|_| self.in_place).map(|(_, rows)| rows)
    }

    fn show(&mut self, snapshot: Snapshot) {
        let outage = self.outage.take();
        if let Some(rows) = self.rows() {
            self.drawn = snapshot.text;
            let frame = if snapshot.is_last {
                self.screen.last(&self.drawn, rows)
            } else {
                self.screen.frame(&self.drawn, rows)
            };
            Stdout::get().line(frame);
            return;
        }
        if outage.is_some() {
            stderr::say("Temporal answers again\n");
        }
        if snapshot.has_changed || snapshot.is_last {
            Stdout::get().line(snapshot.text);
        }
    }

    fn show_outage(&mut self, cause: &str) {
        let is_new = self.outage.is_none();
        let begin = *self.outage.get_or_insert_with(Instant::now);
        let line = format!("Temporal does not answer: {}", one_line(cause));
        if let Some(rows) = self.rows() {
            let seconds = begin.elapsed().as_secs();
            let text = format!("{}\n\n{line} (for {seconds} s; trying again)", self.drawn);
            Stdout::get().line(self.screen.frame(text.trim_start(), rows));
        } else if is_new {
            stderr::say(&format!("{line}; trying again\n"));
        }
    }
}
