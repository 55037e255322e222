//! Where a worker is in its life, and what it has in hand.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tokio::sync::watch;
use tracing::warn;

use crate::{config::show, drain::DrainSource};

/// Where a worker is in its life. It only ever goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It connects, or polls but the server has not confirmed that yet.
    #[default]
    Starting,
    /// The server itself lists it among the pollers of its queue.
    Ready,
    /// It was asked to stop, polls no more and finishes what it has in hand.
    Draining,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        })
    }
}

/// A worker's state and what it has in hand, for those who watch it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vitals {
    state: watch::Sender<State>,
    activities: Arc<AtomicUsize>,
    drain: Arc<DrainSource>,
}

impl Vitals {
    /// The state, now and as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Goes on to `state`; never back.
    pub(crate) fn advance(&self, state: State) {
        self.state.send_if_modified(|current| {
            let forward = state > *current;
            *current = state.max(*current);
            forward
        });
        if state == State::Draining {
            self.drain.begin();
        }
    }

    /// How many activities run.
    pub(crate) fn activities_in_hand(&self) -> usize {
        self.activities.load(Ordering::Relaxed)
    }

    /// The interceptor that counts activities, leads them to their worker's drain signal, and warns
    /// once for each type that may run for longer than `grace`.
    pub(crate) fn interceptor(&self, grace: Duration) -> impl ActivityInboundInterceptor + use<> {
        Watching {
            activities: self.activities.clone(),
            drain: self.drain.clone(),
            grace,
            warned: Mutex::default(),
        }
    }
}

struct Watching {
    activities: Arc<AtomicUsize>,
    drain: Arc<DrainSource>,
    grace: Duration,
    warned: Mutex<HashSet<String>>,
}

impl ActivityInboundInterceptor for Watching {
    fn execute_activity<'a>(
        &'a self,
        mut input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        // The task tells how long it may run; that is the first that a worker hears of it.
        let allowed = info.deadline.and_then(|end| end.duration_since(SystemTime::now()).ok());
        if let Some(allowed) = allowed {
            self.warn_if_longer(&info.activity_type, allowed);
        }
        input.headers_mut().extend([self.drain.header()]);
        Box::pin(async move {
            let _in_hand = InHand::begin(&self.activities);
            next.run(input).await
        })
    }
}

impl Watching {
    fn warn_if_longer(&self, activity_type: &str, allowed: Duration) {
        // A second's tolerance: a timeout equal to the grace has lost some of itself on its way.
        if allowed <= self.grace + Duration::from_secs(1) {
            return;
        }
        let first = self.warned.lock().is_ok_and(|mut it| it.insert(activity_type.to_owned()));
        if first {
            warn!(
                "activity {activity_type} may run for {}, but a worker that is stopped cancels it \
                 after {}: see FLEET_ACTIVITY_GRACE and FLEET_DRAIN_TIMEOUT",
                show(Duration::from_secs(allowed.as_secs() + 1)),
                show(self.grace)
            );
        }
    }
}

/// An activity that runs; dropped when it ends, in whatever way.
struct InHand<'a>(&'a AtomicUsize);

impl<'a> InHand<'a> {
    fn begin(activities: &'a AtomicUsize) -> Self {
        activities.fetch_add(1, Ordering::Relaxed);
        Self(activities)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_never_goes_back() {
        let vitals = Vitals::default();
        let state = vitals.state();
        assert_eq!(*state.borrow(), State::Starting);
        vitals.advance(State::Draining);
        vitals.advance(State::Ready);
        assert_eq!(*state.borrow(), State::Draining);
    }
}
