//! Standard output, written by a thread of its own.
//!
//! Whoever reads it may stop reading (`| less`), and a write then blocks. A fleet must go on
//! supervising then, and a starter must still hear Ctrl-C.

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock, mpsc},
    thread,
};

use tokio::sync::{oneshot, watch};

use super::progress;
use crate::error::Error;

enum Message {
    Line(String),
    Flush(oneshot::Sender<()>),
}

fn write(line: &str) -> io::Result<()> {
    let write = || writeln!(io::stdout().lock(), "{line}");
    // Elsewhere than on a terminal a progress bar cannot be in the way.
    if io::stdout().is_terminal() { progress::aside(write) } else { write() }
}

/// The writer of this process's standard output.
pub(crate) struct Stdout {
    messages: mpsc::Sender<Message>,
    broken: watch::Receiver<Option<Arc<io::Error>>>,
}

impl Stdout {
    /// The writer. Its thread starts with the first call.
    pub(crate) fn get() -> &'static Self {
        static STDOUT: OnceLock<Stdout> = OnceLock::new();
        STDOUT.get_or_init(|| {
            let (messages, received) = mpsc::channel();
            let (break_it, broken) = watch::channel(None);
            // Without the thread the channel is closed, and nothing is printed: the machine has no
            // resources left, and other parts say so.
            let _ = thread::Builder::new().name("stdout".into()).spawn(move || {
                for message in received {
                    match message {
                        Message::Line(line) => {
                            if let Err(error) = write(&line) {
                                break_it.send_replace(Some(Arc::new(error)));
                            }
                        }
                        Message::Flush(done) => drop(done.send(())),
                    }
                }
            });
            Self { messages, broken }
        })
    }

    /// Writes a line, some time.
    pub(crate) fn line(&self, line: impl Into<String>) {
        // An error: the thread could not be started, see above.
        let _ = self.messages.send(Message::Line(line.into()));
    }

    /// Whether all that was written so far was, or was to a reader who has seen enough, as `head`.
    ///
    /// # Errors
    /// [`Error::Os`], for any other reason.
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
            pending::<()>().await; // without the thread nothing is written, and nothing fails
        }
    }

    /// Completes when all lines so far are written, or could not be.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let _ = self.messages.send(Message::Flush(done));
        let _ = flushed.await;
    }
}
