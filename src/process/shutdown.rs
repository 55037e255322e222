//! SIGINT and SIGTERM, and the end of a supervisor, as one stop request.
//!
//! A process of the fleet installs this before anything else. Until then a container's pid 1
//! ignores both signals (the kernel gives pid 1 no default action), and everything that can take
//! long (connecting, retrying, downloading) has to notice a stop within a second.
//!
//! Signals are read on a thread of their own and not by tokio: a worker's runtime may have a single
//! thread, which workflow code can keep busy, and a second signal must end even that process.

use std::{
    fmt,
    future::Future,
    io::{self, Read},
    process,
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tokio_util::sync::CancellationToken;

type Farewell = Box<dyn FnOnce() + Send>;

/// The stop request of this process: a first signal asks for a drain, a second leaves at once.
#[derive(Clone)]
pub struct Shutdown {
    requested: CancellationToken,
    signal: Arc<OnceLock<i32>>,
    farewell: Arc<Mutex<Option<Farewell>>>,
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("requested", &self.is_requested()).finish_non_exhaustive()
    }
}

impl Shutdown {
    /// Installs the handlers for SIGINT and SIGTERM.
    ///
    /// # Errors
    /// When the operating system refuses the handlers or the thread.
    pub fn install() -> io::Result<Self> {
        let shutdown = Self {
            requested: CancellationToken::new(),
            signal: Arc::default(),
            farewell: Arc::default(),
        };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let handler = shutdown.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                handler.on_signal(signal);
            }
        })?;
        Ok(shutdown)
    }

    fn on_signal(&self, signal: i32) {
        // The end of the supervisor is no signal: after it, and before it, there is a first one. Where
        // both come (systemd signals every process of a service) the worker still drains.
        if self.signal.set(signal).is_ok() {
            self.requested.cancel();
            return;
        }
        let farewell = self.farewell.lock().ok().and_then(|mut slot| slot.take());
        if let Some(farewell) = farewell {
            farewell();
        }
        process::exit(128 + signal);
    }

    /// Also stops when the process that holds the other end of standard input is gone.
    ///
    /// A supervisor gives each child a pipe as standard input and writes nothing to it. Whatever
    /// way the supervisor goes, `kill -9` included, the pipe then ends: on every Unix, without
    /// Linux's `PR_SET_PDEATHSIG`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn follow_parent(&self) -> io::Result<()> {
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
            requested.cancel();
        })?;
        Ok(())
    }

    /// What to do on a second signal, just before the process leaves: it must not block.
    pub(crate) fn before_leaving_at_once(&self, farewell: impl FnOnce() + Send + 'static) {
        if let Ok(mut slot) = self.farewell.lock() {
            *slot = Some(Box::new(farewell));
        }
    }

    /// Completes when a stop is requested. It borrows nothing: it can be handed to a task.
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

    /// The exit code of a command that a signal cut short: 130 for SIGINT, 143 for SIGTERM.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.get().copied().unwrap_or(SIGTERM);
        u8::try_from(128 + signal).unwrap_or(u8::MAX)
    }
}
