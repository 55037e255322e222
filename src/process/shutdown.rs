//! The stop request of a process: SIGINT, SIGTERM, SIGHUP, or the end of its supervisor.
//!
//! A process of the fleet installs this before anything else. Until then, process 1 of a container
//! ignores both signals, because the kernel gives it no default action. Everything that can take
//! long (connecting, retrying, downloading) has to notice a stop request within a second. While settings are
//! read from files, which may never end, it ends the process.
//!
//! Signals are read on a thread of their own and not by tokio. A worker's runtime may have a single
//! thread, which workflow code can keep busy, and a second signal must end even such a process.
//!
//! A terminal that closes sends SIGHUP, often twice, and so do some service managers. Where it is ignored, as
//! under `nohup`, it stays so. SIGUSR1 and SIGUSR2 would end a process by default. They have no meaning here,
//! so they are received and have no effect.

use std::{
    fmt, fs,
    future::Future,
    io::{self, Read},
    process,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::file;

/// For how long after a SIGHUP another one counts as the same.
const HANG_UP_TIME: Duration = Duration::from_secs(1);

/// What to do on a second signal, before the process exits.
type ExitHook = Box<dyn FnOnce() + Send>;

/// The stop request of this process. A first signal asks for a drain; a second one ends the process
/// at once.
#[derive(Clone)]
pub struct Shutdown {
    requested: CancellationToken,
    signal: Arc<OnceLock<(i32, Instant)>>,
    exit_hook: Arc<Mutex<Option<ExitHook>>>,
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("requested", &self.is_requested()).finish_non_exhaustive()
    }
}

impl Shutdown {
    /// Installs the handlers for SIGINT, SIGTERM and SIGHUP, and those for SIGUSR1 and SIGUSR2, which do
    /// nothing. A SIGHUP that is ignored on Linux, as under `nohup`, stays ignored.
    ///
    /// # Errors
    /// When the operating system refuses the handlers or the thread.
    pub fn install() -> io::Result<Self> {
        let shutdown = Self {
            requested: CancellationToken::new(),
            signal: Arc::default(),
            exit_hook: Arc::default(),
        };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let handler = shutdown.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                handler.on_signal(signal);
            }
        })?;
        Ok(shutdown)
    }

    fn on_signal(&self, signal: i32) {
        if signal == SIGUSR1 || signal == SIGUSR2 {
            let signal = if signal == SIGUSR1 { "SIGUSR1" } else { "SIGUSR2" };
            info!(signal, "received a signal that has no effect");
            return;
        }
        // The end of the supervisor does not count as a signal. So a worker still drains if both
        // come, as under systemd, which signals every process of a service.
        if self.signal.set((signal, Instant::now())).is_ok() {
            file::on_stop(128 + signal);
            self.requested.cancel();
            return;
        }
        if let Some((first, at)) = self.signal.get()
            && is_same_hang_up(*first, signal, at.elapsed())
        {
            return;
        }
        let exit_hook = self.exit_hook.lock().ok().and_then(|mut hook| hook.take());
        if let Some(exit_hook) = exit_hook {
            exit_hook();
        }
        process::exit(128 + signal);
    }

    /// Also requests a stop when the process at the other end of standard input is gone.
    ///
    /// A supervisor gives each child a pipe as standard input and writes nothing to it. When the
    /// supervisor ends, even by `kill -9`, the pipe closes. This works on every Unix, unlike
    /// Linux's `PR_SET_PDEATHSIG`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn stop_with_parent(&self) -> io::Result<()> {
        let requested = self.requested.clone();
        thread::Builder::new().name("parent".into()).spawn(move || {
            let mut ignored = [0_u8; 64];
            let mut pipe = io::stdin().lock();
            loop {
                match pipe.read(&mut ignored) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                    _ => {}
                }
            }
            file::on_stop(0);
            requested.cancel();
        })?;
        Ok(())
    }

    /// Sets what to do on a second signal, just before the process exits. The hook must not block.
    pub(crate) fn on_second_signal(&self, hook: impl FnOnce() + Send + 'static) {
        if let Ok(mut exit_hook) = self.exit_hook.lock() {
            *exit_hook = Some(Box::new(hook));
        }
    }

    /// Completes when a stop is requested. The future borrows nothing, so it can be moved into a
    /// task.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.requested.clone().cancelled_owned()
    }

    /// Blocks this thread until a stop is requested.
    pub(crate) fn wait(&self) {
        futures::executor::block_on(self.requested());
    }

    /// Whether a stop has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.is_cancelled()
    }

    /// The exit code of a command that a signal interrupted: 130 for SIGINT, 143 for SIGTERM, 129 for
    /// SIGHUP.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.get().map_or(SIGTERM, |(signal, _)| *signal);
        u8::try_from(128 + signal).unwrap_or(u8::MAX)
    }
}

/// Whether a second signal, `after` the first one, is only another sign of the same event: a terminal that closes
/// sends SIGHUP, and so does its shell when it ends because of that.
fn is_same_hang_up(first: i32, second: i32, after: Duration) -> bool {
    first == SIGHUP && second == SIGHUP && after < HANG_UP_TIME
}

/// Whether this process was started with a signal ignored. Only on Linux can this be known without unsafe code.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_closes_may_send_its_signal_twice_within_a_second() {
        let soon = HANG_UP_TIME / 2;
        assert!(is_same_hang_up(SIGHUP, SIGHUP, soon));
        assert!(!is_same_hang_up(SIGHUP, SIGHUP, HANG_UP_TIME));
        assert!(!is_same_hang_up(SIGHUP, SIGTERM, soon));
        assert!(!is_same_hang_up(SIGTERM, SIGHUP, soon));
        assert!(!is_same_hang_up(SIGINT, SIGINT, soon));
    }
}
