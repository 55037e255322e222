//! The server's clock. What waits, and for how long, is counted by it, because this machine's clock may
//! differ.
//!
//! No call of the server's API returns its time. But the server notes when it received a poll, and returns
//! this to whoever describes the queue. So a poll of a queue that has no tasks, and never will, asks for
//! the time. The queue is a sticky one: such a queue belongs to a normal one, and the server forgets it.

use std::{
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use temporalio_client::{Client, NamespacedClient, grpc::WorkflowService, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    enums::v1::{TaskQueueKind, TaskQueueType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{DescribeTaskQueueRequest, PollWorkflowTaskQueueRequest},
};
use tokio::time::{sleep, timeout};

use crate::terminal::duration::short;

/// The queue that is polled to learn the time.
const QUEUE: &str = "temporal-fleet-clock";
/// How long to try.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause before the server is asked again whether it has received the poll.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a reading is used. Clocks drift, and a computer that sleeps loses time.
const FRESH: Duration = Duration::from_mins(1);
/// A smaller difference is not worth a word.
const TOLERATED: Duration = Duration::from_secs(1);
/// How long the server remembers a poller, with some time for answers that it has in a cache.
const POLLER_KEPT: Duration = Duration::from_secs(330);

/// How far this machine's clock differs from the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skew {
    pub(crate) by: Duration,
    /// Whether this machine's clock is ahead of the server's.
    pub(crate) is_ahead: bool,
    /// Whether the difference may be larger.
    pub(crate) is_least: bool,
}

impl Skew {
    fn between(own: SystemTime, server: SystemTime) -> Self {
        let (by, is_ahead) = match own.duration_since(server) {
            Ok(ahead) => (ahead, true),
            Err(behind) => (behind.duration(), false),
        };
        Self { by, is_ahead, is_least: false }
    }

    /// A line for people. `None` if the difference is too small to matter.
    pub(crate) fn line(self) -> Option<String> {
        let side = if self.is_ahead { "ahead of" } else { "behind" };
        let least = if self.is_least { "at least " } else { "" };
        (self.by > TOLERATED).then(|| {
            let by = short(rounded(self.by));
            format!(
                "this machine's clock is {least}{by} {side} the server's; times are the server's"
            )
        })
    }

    /// The difference in milliseconds, negative if this machine's clock is behind.
    pub(crate) fn millis(self) -> f64 {
        let millis = crate::terminal::duration::millis(self.by);
        if self.is_ahead { millis } else { -millis }
    }
}

/// In whole seconds, if it is long. A reading is exact to some milliseconds only.
fn rounded(time: Duration) -> Duration {
    match time {
        long if long > Duration::from_secs(10) => {
            Duration::from_secs((long + Duration::from_millis(500)).as_secs())
        }
        short => short,
    }
}

/// The server's time at some moment, and so at any later one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    server: SystemTime,
    at: Instant,
    /// `None` if the server's time is not known. Then this machine's is taken for it.
    skew: Option<Skew>,
}

impl ServerClock {
    /// This machine's clock, in place of the server's.
    fn unmeasured() -> Self {
        Self { server: SystemTime::now(), at: Instant::now(), skew: None }
    }

    /// A reading: `server` is the server's time now, and `own` this machine's.
    fn measured(own: SystemTime, server: SystemTime) -> Self {
        Self { server, at: Instant::now(), skew: Some(Skew::between(own, server)) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.server + self.at.elapsed()
    }

    pub(crate) fn skew(&self) -> Option<Skew> {
        self.skew
    }

    /// The clock, corrected by what the server has returned, if its time could not be measured. `newest` is
    /// the latest time that the server has returned. A poller that it lists has polled in the last minutes:
    /// `newest_poll` is the latest poll of any.
    pub(crate) fn bounded(
        self,
        newest: Option<SystemTime>,
        newest_poll: Option<SystemTime>,
    ) -> Self {
        if self.skew.is_some() {
            return self;
        }
        let own = self.now();
        let newest = newest.max(newest_poll);
        let is_behind = newest.is_some_and(|newest| own < newest);
        let is_ahead = newest_poll.is_some_and(|poll| poll + POLLER_KEPT < own);
        match newest.filter(|_| is_behind || is_ahead) {
            Some(server) => {
                let by_now = if is_behind { server } else { server + POLLER_KEPT };
                let skew = Skew { is_least: true, ..Skew::between(own, by_now) };
                Self { server, at: Instant::now(), skew: Some(skew) }
            }
            None => self,
        }
    }
}

/// Reads the server's clock, and again when the last reading is old.
#[derive(Default)]
pub(crate) struct ClockReader {
    last: Mutex<Option<ServerClock>>,
}

impl ClockReader {
    /// The server's clock. `queue` is a task queue of the namespace, whichever.
    pub(crate) async fn read(&self, client: &Client, queue: &str) -> ServerClock {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clock) = last.filter(|clock| clock.at.elapsed() < FRESH) {
            // A time that could not be measured is not a reading to go by.
            return if clock.skew.is_some() { clock } else { ServerClock::unmeasured() };
        }
        let clock = measure(client, queue).await.unwrap_or_else(ServerClock::unmeasured);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
        clock
    }
}

/// Measures the server's clock. `None` if the server does not let this client poll, or does not return it.
pub(crate) async fn measure(client: &Client, normal_queue: &str) -> Option<ServerClock> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // An identity that no earlier poll had.
    let identity = format!("fleet-clock@{}-{count}", process::id());
    let queue = TaskQueue {
        name: QUEUE.to_owned(),
        kind: TaskQueueKind::Sticky.into(),
        normal_name: normal_queue.to_owned(),
    };
    let poll = PollWorkflowTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(queue.clone()),
        identity: identity.clone(),
        ..Default::default()
    };
    let describe = DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(queue),
        task_queue_type: TaskQueueType::Workflow.into(),
        ..Default::default()
    };
    let date = Mutex::new(None);
    let pollers = || async {
        let mut client = client.clone();
        let response = client.describe_task_queue(describe.clone().into_request()).await.ok()?;
        let header = response.metadata().get("date").and_then(|date| date.to_str().ok());
        *date.lock().unwrap_or_else(PoisonError::into_inner) = header.and_then(http_date);
        Some(response.into_inner().pollers)
    };
    let mut polled_after = Instant::now();
    let polled = async {
        loop {
            let asked = Instant::now();
            let own = pollers().await?.into_iter().find(|poller| poller.identity == identity);
            if let Some(poller) = own {
                let at: SystemTime = poller.last_access_time?.try_into().ok()?;
                return Some(at + polled_after.elapsed());
            }
            polled_after = asked;
            sleep(PAUSE).await;
        }
    };
    let mut poller = client.clone();
    let measured = async {
        tokio::select! {
            now = polled => now,
            // The poll waits for a task, of which there are none. So this is a refusal.
            _ = poller.poll_workflow_task_queue(poll.into_request()) => {
                pollers().await?;
                None
            }
        }
    };
    let now = timeout(PATIENCE, measured).await.ok().flatten();
    let now = now.or_else(|| *date.lock().unwrap_or_else(PoisonError::into_inner))?;
    Some(ServerClock::measured(SystemTime::now(), now))
}

/// The middle of the second that a header `date` names. Temporal itself sends none, but a proxy in
/// front of it may.
fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<_> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let second = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    Some(second + Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    #[test]
    fn a_measured_clock_shows_the_servers_time_and_how_far_this_machines_is_off() {
        for (own, line) in [
            (
                3720,
                Some(
                    "this machine's clock is 1h 02m ahead of the server's; times are the server's",
                ),
            ),
            (0, None),
            (1, None),
        ] {
            let clock = ServerClock::measured(at(own), at(0));
            let late = clock.now().duration_since(at(0)).unwrap();
            assert!(late < Duration::from_mins(1), "{late:?}");
            assert_eq!(clock.skew().unwrap().line().as_deref(), line);
        }
        let behind = ServerClock::measured(at(0), at(120));
        let line = "this machine's clock is 2m 00s behind the server's; times are the server's";
        assert_eq!(behind.skew().unwrap().line().as_deref(), Some(line));
        assert!((behind.skew().unwrap().millis() + 120_000.0).abs() < 0.001);
    }

    #[test]
    fn the_date_of_a_proxy_is_read() {
        let date = http_date("Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(date, Some(at(0) + Duration::from_millis(500)));
        assert_eq!(http_date("2023-11-14"), None);
        assert_eq!(http_date("Tue, 14 Foo 2023 22:13:20 GMT"), None);
    }

    #[test]
    fn a_clock_that_was_not_measured_is_kept_within_what_the_server_has_sent() {
        let own = |seconds| ServerClock { server: at(seconds), at: Instant::now(), skew: None };
        let skew = |clock: ServerClock| clock.skew().and_then(Skew::line);
        // A poll a minute ago says nothing against this machine's clock.
        let clock = own(100).bounded(Some(at(40)), Some(at(40)));
        assert!(clock.now() >= at(100));
        assert_eq!(skew(clock), None);
        // The server would have forgotten a poller after an hour.
        let clock = own(3700).bounded(Some(at(50)), Some(at(100)));
        assert!(clock.now() < at(160), "{clock:?}");
        let line = "this machine's clock is at least 54m 30s ahead of the server's; times are the \
                    server's";
        assert_eq!(skew(clock).as_deref(), Some(line));
        // Something has happened that is yet to come.
        let clock = own(0).bounded(Some(at(60)), None);
        assert!(clock.now() >= at(60));
        let line = "this machine's clock is at least 1m 00s behind the server's; times are the \
                    server's";
        assert_eq!(skew(clock).as_deref(), Some(line));
    }
}
