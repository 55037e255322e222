//! Standard output, written by a thread of its own.
//!
//! A write blocks while the reader does not read (`| less`). A supervisor must continue to watch its
//! workers then, and a starter must still react to Ctrl-C.

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{progress, stderr};
use crate::error::Error;

/// How long a line waits for those that were written to standard error before it, on a terminal.
const SAME_TERMINAL: Duration = Duration::from_millis(100);

enum Message {
    Line(String),
    Flush(oneshot::Sender<()>),
}

fn write(line: &str) -> io::Result<()> {
    let write = || writeln!(io::stdout().lock(), "{line}");
    // Only a terminal can have a progress bar on it.
    if io::stdout().is_terminal() {
        if io::stderr().is_terminal() {
            // Both are most likely the same one, on which lines stay in their order.
            stderr::flush(SAME_TERMINAL);
        }
        progress::aside(write)
    } else {
        write()
    }
}

/// The writer of this process's standard output.
pub(crate) struct Stdout {
    messages: mpsc::Sender<Message>,
    /// The last error of a write.
    broken: watch::Receiver<Option<Arc<io::Error>>>,
}

impl Stdout {
    /// The writer. Its thread starts with the first call.
    pub(crate) fn get() -> &'static Self {
        static STDOUT: OnceLock<Stdout> = OnceLock::new();
        STDOUT.get_or_init(|| {
            let (messages, received) = mpsc::channel();
            let (report, broken) = watch::channel(None);
            // If the thread cannot be started, the channel is closed and nothing is printed. The
            // machine has no resources left then, which other parts of the process report.
            let _ = thread::Builder::new().name("stdout".into()).spawn(move || {
                for message in received {
                    match message {
                        Message::Line(line) => {
                            if let Err(error) = write(&line) {
                                report.send_replace(Some(Arc::new(error)));
                            }
                        }
                        Message::Flush(done) => drop(done.send(())),
                    }
                }
            });
            Self { messages, broken }
        })
    }

    /// Queues a line to be written.
    pub(crate) fn line(&self, line: impl Into<String>) {
        // This fails if the thread could not be started; see `get`.
        let _ = self.messages.send(Message::Line(line.into()));
    }

    /// The result of the writes so far. A reader that closed its end, as `head` does, is no error.
    ///
    /// # Errors
    /// [`Error::Os`] if a write failed for another reason.
    pub(crate) fn result(&self) -> Result<(), Error> {
        match self.broken.borrow().as_deref() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Os {
                what: "cannot write to standard output".into(),
                source: io::Error::new(error.kind(), error.to_string()),
            }),
            _ => Ok(()),
        }
    }

    /// Completes when a write has failed.
    pub(crate) async fn broke(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(Option::is_some).await.is_err() {
            pending::<()>().await; // Without the thread nothing is written, and no write fails.
        }
    }

    /// Completes when all lines so far are written, or could not be written.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let _ = self.messages.send(Message::Flush(done));
        let _ = flushed.await;
    }
}
