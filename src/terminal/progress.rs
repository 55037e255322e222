//! The progress of long work, on the last line of a terminal. Without a terminal nothing is shown.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::text::one_line;

/// The bar that is shown now. Other output must suspend it.
static ON_SCREEN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows the progress of a batch or a bench until it is dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar for `total` workflows.
    pub(crate) fn begin(total: usize) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos}/{human_len} workflows{msg}, {rate}, {eta} left",
        )
        .expect("a valid template")
        .with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
            let _ = write!(text, "{:.1}/s", state.per_sec());
        });
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_style(style);
        // The remaining time must change even if no workflow ends.
        bar.enable_steady_tick(Duration::from_millis(500));
        *on_screen() = Some(bar.clone());
        Self(Some(bar))
    }

    /// A spinner with a message, for work whose amount is unknown.
    pub(crate) fn without_end() -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a valid template");
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        *on_screen() = Some(bar.clone());
        Self(Some(bar))
    }

    /// Replaces the message.
    pub(crate) fn say(&self, message: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(one_line(message));
            bar.tick();
        }
    }

    /// Counts one more workflow that has ended. `failed` is how many have failed so far.
    pub(crate) fn advance(&self, failed: usize) {
        if let Some(bar) = &self.0 {
            if failed > 0 {
                bar.set_message(format!(", {failed} failed"));
            }
            bar.inc(1);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            *on_screen() = None;
            bar.finish_and_clear();
        }
    }
}

fn on_screen() -> MutexGuard<'static, Option<ProgressBar>> {
    ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `write`, which may write to standard output or standard error, while the bar is hidden.
pub(crate) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = on_screen().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
