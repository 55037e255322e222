//! The progress of long work, on the last line of a terminal; nothing where there is none.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar on the screen, for others who write there.
static ON_SCREEN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How far a batch is. Dropped, it leaves the screen.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn begin(total: usize) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos}/{human_len} workflows{msg}, {per_sec:.1}, {eta} left",
        )
        .expect("a valid template");
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_style(style);
        // Also while nothing comes: somebody looks at the time.
        bar.enable_steady_tick(Duration::from_millis(500));
        *on_screen() = Some(bar.clone());
        Self(Some(bar))
    }

    /// For work of which nobody knows how much there is.
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

    /// How far it is, in words.
    pub(crate) fn say(&self, words: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(words.to_owned());
            bar.tick();
        }
    }

    /// One more has ended; so many failed so far.
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

/// Writes to standard output or standard error while no bar is in the way.
pub(crate) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = on_screen().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes to standard error, past the bar. A reader that went away must not end anything.
pub(crate) fn to_stderr(text: &str) {
    aside(|| {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    });
}
