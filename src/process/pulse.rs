//! Signs of life of a worker's executor.
//!
//! A worker that waits for work and one whose executor is blocked look the same from outside: both are
//! silent. Therefore a thread beside the worker asks the executor for a sign of life each second. Each poll of the
//! future in which the worker runs is one, too. Where the runtime has threads of its own, a task on them has to
//! answer as well, because activities can block all of them. Timers of the executor would wake it twice for each
//! second, and do not run while all of its threads are busy.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};
use tokio_util::task::AbortOnDropHandle;

use super::state::Vitals;

/// How often an executor is asked for a sign of life.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// The signs of life of a worker's executor. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    vitals: Vitals,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    /// How many futures are watched. Without any, a process starts or ends, and has no executor to watch.
    watched: AtomicUsize,
    /// How many of these are watched on the runtime's own threads, too.
    watched_threads: AtomicUsize,
    /// The signs of life of the runtime's own threads.
    threads: AtomicU64,
    executor_asked: Notify,
    threads_asked: Notify,
}

/// How far an executor had come at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    executor: u64,
    threads: u64,
}

impl Pulse {
    pub(crate) fn new(vitals: Vitals) -> Self {
        Self { vitals, counters: Arc::default() }
    }

    /// Asks for a sign of life.
    pub(super) fn ask(&self) {
        self.counters.executor_asked.notify_one();
        self.counters.threads_asked.notify_one();
    }

    /// Awaits `work`, and counts its polls as signs of life. So are the answers to [`ask`](Self::ask).
    pub(crate) async fn of<T>(self, work: impl Future<Output = T>) -> T {
        let _watched = Count::one(&self, |counters| &counters.watched);
        let pulse = self.clone();
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            // A task of the runtime shares the thread with `work`, and does not have to poll all of it.
            let _answers = AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    pulse.counters.executor_asked.notified().await;
                    pulse.vitals.code().advance();
                }
            }));
            return self.counted(work).await;
        }
        let _watched_threads = Count::one(&self, |counters| &counters.watched_threads);
        let _answers = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                pulse.counters.threads_asked.notified().await;
                pulse.counters.threads.fetch_add(1, Ordering::Relaxed);
            }
        }));
        // The runtime's tasks run on other threads than `work`.
        let answers = async {
            loop {
                self.counters.executor_asked.notified().await;
            }
        };
        tokio::select! {
            done = self.counted(work) => done,
            () = answers => unreachable!("it has no end"),
        }
    }

    /// Counts each poll of `work`.
    async fn counted<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.vitals.code().advance();
            work.as_mut().poll(context)
        })
        .await
    }

    /// How far the executor has come; `None` while there is none to watch.
    pub(super) fn progress(&self) -> Option<Progress> {
        let counters = &self.counters;
        (counters.watched.load(Ordering::Relaxed) > 0).then(|| Progress {
            executor: self.vitals.code().progress(),
            threads: counters.threads.load(Ordering::Relaxed),
        })
    }

    /// Whether the executor, and each thread that is watched, has come on since `earlier`.
    pub(super) fn has_come_on(&self, earlier: Progress, now: Progress) -> bool {
        let threads = self.counters.watched_threads.load(Ordering::Relaxed) > 0;
        now.executor != earlier.executor && (now.threads != earlier.threads || !threads)
    }
}

/// Adds one to a counter until it is dropped.
struct Count<'a> {
    counters: &'a Counters,
    counter: fn(&Counters) -> &AtomicUsize,
}

impl<'a> Count<'a> {
    fn one(pulse: &'a Pulse, counter: fn(&Counters) -> &AtomicUsize) -> Self {
        counter(&pulse.counters).fetch_add(1, Ordering::Relaxed);
        Self { counters: &pulse.counters, counter }
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        (self.counter)(self.counters).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::{
        sync::oneshot,
        task::yield_now,
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn an_executor_without_work_gives_signs_of_life() {
        let pulse = Pulse::new(Vitals::default());
        assert_eq!(pulse.progress(), None, "there is nothing to watch yet");
        let (end, ended) = oneshot::channel::<()>();
        let work = tokio::spawn(pulse.clone().of(ended));
        while pulse.progress().is_none() {
            yield_now().await;
        }
        let before = pulse.progress().unwrap();
        let comes_on = async {
            while !pulse.has_come_on(before, pulse.progress().unwrap()) {
                pulse.ask();
                sleep(PERIOD / 100).await;
            }
        };
        timeout(30 * PERIOD, comes_on).await.unwrap();
        end.send(()).unwrap();
        work.await.unwrap().unwrap();
        assert_eq!(pulse.progress(), None);
    }

    #[test]
    fn activities_that_block_every_thread_of_the_runtime_leave_no_sign_of_life() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let pulse = Pulse::new(Vitals::default());
        let watched = pulse.clone();
        let (block, blocked) = std::sync::mpsc::channel::<()>();
        let main = thread::spawn(move || {
            runtime.block_on(watched.of(async move {
                // It ends when `block` is dropped.
                tokio::spawn(async move { blocked.recv() }).await.unwrap().unwrap_err();
            }));
        });
        while pulse.progress().is_none() {
            thread::yield_now();
        }
        // What was polled before the thread was blocked may still count.
        let is_silent = || {
            let before = pulse.progress().unwrap();
            pulse.ask();
            thread::sleep(PERIOD / 2);
            !pulse.has_come_on(before, pulse.progress().unwrap())
        };
        assert!(is_silent() || is_silent());
        drop(block);
        main.join().unwrap();
    }
}
