//! Standard output, written by a thread of its own.
//!
//! A write blocks while the reader does not read (`| less`). A supervisor must continue to watch its
//! workers then, and a starter must still react to Ctrl-C.

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::sync::{oneshot, watch};

use super::{progress, stderr};
use crate::error::Error;

/// How many bytes may wait to be written before lines are left out that may be.
const LARGEST_QUEUE: usize = 1024 * 1024;
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
    /// How many bytes wait to be written.
    unwritten: Arc<AtomicUsize>,
    /// How many lines were left out since the last one that was not.
    left_out: AtomicUsize,
    /// The last error of a write.
    broken: watch::Receiver<Option<Arc<io::Error>>>,
}

impl Stdout {
    /// The writer. Its thread starts with the first call.
    pub(crate) fn get() -> &'static Self {
        static STDOUT: OnceLock<Stdout> = OnceLock::new();
        STDOUT.get_or_init(|| Self::start(write))
    }

    /// Starts the thread, which calls `write` for each line.
    fn start(mut write: impl FnMut(&str) -> io::Result<()> + Send + 'static) -> Self {
        let (messages, received) = mpsc::channel();
        let (report, broken) = watch::channel(None);
        let unwritten = Arc::<AtomicUsize>::default();
        let still_unwritten = unwritten.clone();
        // If the thread cannot be started, the channel is closed and nothing is printed. The machine
        // has no resources left then, which other parts of the process report.
        let _ = thread::Builder::new().name("stdout".into()).spawn(move || {
            for message in received {
                match message {
                    Message::Line(line) => {
                        if let Err(error) = write(&line) {
                            report.send_replace(Some(Arc::new(error)));
                        }
                        still_unwritten.fetch_sub(line.len(), Ordering::Relaxed);
                    }
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        });
        Self { messages, unwritten, left_out: AtomicUsize::new(0), broken }
    }

    /// Queues a line to be written.
    pub(crate) fn line(&self, line: impl Into<String>) {
        let line = line.into();
        self.unwritten.fetch_add(line.len(), Ordering::Relaxed);
        // This fails if the thread could not be started; see `get`.
        let _ = self.messages.send(Message::Line(line));
    }

    /// Queues a line of a process that runs for years, perhaps without a reader. The line is left out if more
    /// than 1 MiB waits to be written. `gap` makes the line that stands for those that were left out.
    pub(crate) fn offer(&self, line: impl Into<String>, gap: impl FnOnce(usize) -> String) {
        if self.unwritten() > LARGEST_QUEUE {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match self.left_out.swap(0, Ordering::Relaxed) {
            0 => {}
            count => self.line(gap(count)),
        }
        self.line(line);
    }

    /// How many bytes wait to be written.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_that_nobody_reads_are_counted_and_left_out_where_they_may_be() {
        let (read, reader) = mpsc::channel();
        let (writer, written) = mpsc::channel();
        let stdout = Stdout::start(move |line| {
            reader.recv().map_err(io::Error::other)?;
            writer.send(line.len()).map_err(io::Error::other)
        });
        let gap = |count: usize| "-".repeat(count);
        let half = "x".repeat(LARGEST_QUEUE / 2 + 1);
        stdout.line(&*half);
        stdout.offer(&*half, gap);
        assert_eq!(stdout.unwritten(), LARGEST_QUEUE + 2);
        for _ in 0..3 {
            stdout.offer(&*half, gap);
        }
        assert_eq!(stdout.unwritten(), LARGEST_QUEUE + 2, "three more are left out");
        for _ in 0..4 {
            read.send(()).unwrap();
        }
        stdout.flush().await;
        assert_eq!(stdout.unwritten(), 0);
        stdout.offer("last", gap);
        stdout.flush().await;
        let lengths: Vec<_> = written.try_iter().collect();
        assert_eq!(lengths, [half.len(), half.len(), 3, 4]);
    }
}
