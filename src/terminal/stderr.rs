//! Standard error, written by a thread of its own.
//!
//! A write blocks while the reader does not read: a pipe to a program that is stopped, a terminal after Ctrl-S. A
//! worker must go on then. So lines wait in a queue that has a bound, and log lines for which there is no room are
//! dropped and counted. The thread starts with the first line, and sleeps while there is none.

use std::{
    borrow::Cow,
    cell::Cell,
    io::{self, Write},
    mem::take,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tracing::warn;

use super::progress;
use crate::text;

/// How many bytes of log lines may wait: some 5,000 lines.
const LOG_LIMIT: usize = 1 << 20;
/// How many bytes may wait before other lines, such as the failures of a batch, are dropped as well.
const LIMIT: usize = 16 << 20;
/// How long a reader at the end of the process may read nothing before the process exits without it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(900);

thread_local! {
    /// Whether this thread is the one that writes. It must not wait for itself.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Queues a line of the log, with its line end. It is dropped if too much waits already.
pub(crate) fn log(line: &[u8]) {
    // The line that counts dropped ones comes from the writer itself.
    queue().add(line, if IS_WRITER.get() { LIMIT } else { LOG_LIMIT });
}

/// Queues lines of a command, each with its line end. What would act on a terminal becomes spaces.
pub(crate) fn say(lines: &str) {
    queue().add(text::lines(lines).as_bytes(), LIMIT);
}

/// Queues text that has styles of its own.
pub(crate) fn say_styled(text: &str) {
    queue().add(text.as_bytes(), LIMIT);
}

/// Waits until everything is written. Gives up when nothing has been read for `patience`.
pub(crate) fn flush(patience: Duration) {
    if let Some(queue) = QUEUE.get().filter(|_| !IS_WRITER.get()) {
        queue.flush(patience);
    }
}

/// Keeps a secret out of everything that is written from now on, also where a server repeats it in an error.
pub(crate) fn conceal(secret: &str) {
    let secret = secret.trim();
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if secret.len() >= SHORTEST_SECRET && !secrets.iter().any(|other| other == secret) {
        secrets.push(secret.to_owned());
    }
}

/// The secrets that no line may have.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());
/// Shorter values are no secrets, and words of other lines may look like them.
const SHORTEST_SECRET: usize = 8;

fn without_secrets<'a>(lines: &'a [u8], secrets: &[String]) -> Cow<'a, [u8]> {
    let mut lines = Cow::Borrowed(lines);
    for secret in secrets {
        if lines.windows(secret.len()).any(|part| part == secret.as_bytes()) {
            lines = String::from_utf8_lossy(&lines).replace(secret, "***").into_bytes().into();
        }
    }
    lines
}

/// How many lines were dropped so far.
pub(crate) fn dropped() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped.load(Relaxed))
}

static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

fn queue() -> &'static Queue {
    QUEUE.get_or_init(|| Queue::start(BesideProgress))
}

/// Standard error, beside the progress of a batch.
struct BesideProgress;

impl Write for BesideProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::aside(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that wait for their writer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Notified when the writer has something to do.
    filled: Condvar,
    /// Notified when some of it is written.
    advanced: Condvar,
    dropped: AtomicU64,
    /// Whether the machine had no thread left. Lines are then written by whoever has them, because one of them may
    /// say just that.
    has_no_thread: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Whether a part of what was queued is being written.
    is_writing: bool,
    /// How often something was written.
    writes: u64,
    /// How many dropped lines no line has counted yet.
    untold: u64,
}

impl Queue {
    /// A queue whose thread writes to `sink`.
    fn start(mut sink: impl Write + Send + 'static) -> Arc<Self> {
        let queue = Arc::new(Self::default());
        let writer = queue.clone();
        let thread = thread::Builder::new().name("stderr".into()).spawn(move || {
            IS_WRITER.set(true);
            loop {
                writer.write_next(&mut sink);
            }
        });
        queue.has_no_thread.store(thread.is_err(), Relaxed);
        queue
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, lines: &[u8], limit: usize) {
        let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
        let lines = &*without_secrets(lines, &secrets);
        if self.has_no_thread.load(Relaxed) {
            self.write(lines, &mut BesideProgress);
            return;
        }
        let mut waiting = self.lock();
        let total = waiting.bytes.len() + lines.len();
        if total > limit && !waiting.bytes.is_empty() {
            self.dropped.fetch_add(1, Relaxed);
            waiting.untold += 1;
            return;
        }
        waiting.bytes.extend_from_slice(lines);
        if !waiting.is_writing {
            self.filled.notify_one();
        }
    }

    /// Waits for lines and writes them.
    fn write_next(&self, sink: &mut impl Write) {
        let mut waiting = self.lock();
        waiting.is_writing = false;
        while waiting.bytes.is_empty() {
            self.advanced.notify_all();
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_writing = true;
        let bytes = take(&mut waiting.bytes);
        drop(waiting);
        self.write(&bytes, sink);
        let untold = take(&mut self.lock().untold);
        if untold > 0 {
            let lines =
                if untold == 1 { "1 log line was" } else { &format!("{untold} log lines were") };
            warn!("{lines} dropped, because stderr was not read");
        }
    }

    fn write(&self, mut bytes: &[u8], sink: &mut impl Write) {
        while !bytes.is_empty() {
            match sink.write(bytes) {
                Ok(count @ 1..) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A reader that closed its end must not stop the process.
                Ok(0) | Err(_) => return,
            }
            self.lock().writes += 1;
            self.advanced.notify_all();
        }
    }

    fn flush(&self, patience: Duration) {
        let mut waiting = self.lock();
        while waiting.is_writing || !waiting.bytes.is_empty() {
            let before = waiting.writes;
            let (now, timeout) = self
                .advanced
                .wait_timeout(waiting, patience)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = now;
            if timeout.timed_out() && waiting.writes == before {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// A reader that reads when it is asked to.
    struct Reader {
        may_read: mpsc::Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.may_read.recv();
            self.read.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        let secrets = ["s3cr3t-key".to_owned()];
        let masked = |line: &str| without_secrets(line.as_bytes(), &secrets).into_owned();
        assert_eq!(masked("refused: key=s3cr3t-key!\n"), b"refused: key=***!\n");
        assert_eq!(masked("refused: key=s3cr3t\n"), b"refused: key=s3cr3t\n");
        assert_eq!(masked(""), b"");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_and_what_it_missed_is_counted() {
        let (allow, may_read) = mpsc::channel();
        let read = Arc::<Mutex<Vec<u8>>>::default();
        let queue = Queue::start(Reader { may_read, read: read.clone() });
        queue.add(b"first\n", 12);
        let begin = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(begin.elapsed() < Duration::from_secs(10));
        assert!(read.lock().unwrap().is_empty());
        // The writer has the first line; these wait.
        for _ in 0..4 {
            queue.add(b"again\n", 12);
        }
        assert_eq!(queue.dropped.load(Relaxed), 2);
        drop(allow);
        queue.flush(Duration::from_mins(1));
        assert_eq!(*read.lock().unwrap(), b"first\nagain\nagain\n");
        assert_eq!(queue.lock().untold, 0);
    }
}
