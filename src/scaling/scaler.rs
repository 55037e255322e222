//! The rule: up fast, down slowly, and nothing in between.

use std::time::Duration;

use super::{
    decision::{Decision, Limit, Reason},
    recent::{LONGEST_QUIET, Past, QUIET, Streak, Trend},
    signals::{Bounds, FULL, LOW_USE, Load, Signals, TARGET_USE, real, whole},
};

/// By how much a group grows at most at once, in relation to the workers that are ready. A slope that was measured
/// over two seconds is wrong by some tenths, and what it is wrong by grows with what it asks for.
const LARGEST_GROWTH: f64 = 3.0;

/// How long a backlog may take to be caught up with. One that is older than a quarter of this asks for more workers
/// than the load itself.
const CATCH_UP: Duration = Duration::from_secs(30);

/// How long workers have to be full before the group grows although no task waits.
const FULL_FOR: Duration = Duration::from_secs(3);

/// How long the server's figures are behind, and with them all that new workers change.
const SERVER_LAG: Duration = Duration::from_secs(5);

/// How long tasks have to wait beside workers with room before a worker is added. Longer than [`SERVER_LAG`] and the
/// start of a worker together: a backlog that is gone is still reported for as long.
const WAITING_FOR: Duration = Duration::from_secs(10);

/// The time between two steps down: a worker may take so long to drain, and the others to feel that it is gone.
const COOLDOWN: Duration = Duration::from_secs(20);

/// A group that grows so soon after it shrank should not have shrunk: the quiet time was a pause of the load.
const REGRET: Duration = Duration::from_mins(5);

/// Decides how many workers a group is to have.
#[derive(Debug)]
pub(crate) struct Scaler {
    bounds: Bounds,
    target: usize,
    pinned: Option<usize>,
    /// The workers that were ready at the last sample.
    ready: usize,
    latency: Trend,
    backlog: Trend,
    /// How long the workers have been full.
    full: Streak,
    /// How long tasks have waited although workers have room.
    beside_room: Streak,
    past: Past,
    /// How long the load has to be low before the group shrinks, unless it has halved.
    quiet: Duration,
    /// When the group shrank last.
    shrank: Option<Duration>,
    /// When it shrank last because of memory.
    memory_was_short: Option<Duration>,
}

impl Scaler {
    /// A scaler for a group that is to have `target` workers now.
    pub(crate) fn new(bounds: Bounds, target: usize) -> Self {
        Self {
            bounds,
            target: bounds.clamp(target),
            pinned: None,
            ready: 0,
            latency: Trend::default(),
            backlog: Trend::default(),
            full: Streak::default(),
            beside_room: Streak::default(),
            past: Past::default(),
            quiet: QUIET,
            shrank: None,
            memory_was_short: None,
        }
    }

    /// Fixes the number of workers, within the bounds; `None` lets go of it.
    pub(crate) fn pin(&mut self, workers: Option<usize>) {
        self.pinned = workers.map(|workers| self.bounds.clamp(workers));
        self.past.restart();
    }

    /// Decides from a sample that was taken at `now`, a time since any moment that stays the same.
    pub(crate) fn decide(&mut self, now: Duration, signals: &Signals) -> Decision {
        self.observe(now, signals);
        let from = self.target;
        let (target, reason) = match self.pinned {
            Some(pinned) => (pinned, Reason::Pinned),
            None => self
                .shrink_for_memory(now, signals)
                .or_else(|| self.grow(now, signals))
                .or_else(|| self.shrink(now))
                .unwrap_or_else(|| (from, rest(signals))),
        };
        self.set(now, self.bounds.clamp(target));
        Decision { from, target: self.target, reason }
    }

    fn set(&mut self, now: Duration, target: usize) {
        if target > self.target {
            self.past.restart();
            self.beside_room.restart();
            if self.shrank.is_some_and(|at| now.saturating_sub(at) < REGRET.max(self.quiet)) {
                self.quiet = (self.quiet * 2).min(LONGEST_QUIET);
            }
        } else if target < self.target {
            self.shrank = Some(now);
        }
        self.target = target;
    }

    fn observe(&mut self, now: Duration, signals: &Signals) {
        if signals.ready != self.ready {
            self.ready = signals.ready;
            self.latency.restart(now);
            self.backlog.restart(now + SERVER_LAG);
            self.full.restart();
        }
        self.latency.add(now, signals.latency);
        self.backlog.add(now, signals.backlog);
        let is_waiting = signals.is_waiting();
        self.full.note(now, !is_waiting && signals.usage().is_some_and(|usage| usage >= FULL));
        self.beside_room.note(now, is_waiting && !is_full(signals));
        self.past.add(now, enough(signals));
    }

    /// A number of workers that is larger than the target, or a reason to keep the target although tasks wait.
    /// `None` as well if it is not known whether tasks wait: workers cannot get tasks from a server that is away.
    fn grow(&self, now: Duration, signals: &Signals) -> Option<(usize, Reason)> {
        let wait = signals.wait()?;
        if signals.ready == 0 {
            let is_asleep = self.target == 0 && !wait.is_zero();
            return is_asleep.then_some((1, Reason::Woken { wait }));
        }
        if !signals.is_waiting() {
            let usage = signals.usage().filter(|_| self.full.has_lasted(now, FULL_FOR))?;
            return self.growth(now, signals, needed(signals, 1.0, FULL), Reason::Full { usage });
        }
        let Some(slope) = self.slope(signals) else {
            return Some((self.target, Reason::Settling { wait }));
        };
        let growth = if is_full(signals) {
            let needed = needed(signals, factor(wait, slope), TARGET_USE);
            self.growth(now, signals, needed, Reason::Waiting { wait })
        } else if self.beside_room.has_lasted(now, WAITING_FOR) && slope >= 0.0 {
            let needed = signals.ready.saturating_add(1);
            self.growth(now, signals, needed, Reason::WaitingBesideRoom { wait })
        } else {
            return Some((self.target, Reason::Settling { wait }));
        };
        growth.or(Some((self.target, Reason::CatchingUp { wait })))
    }

    /// The growth to the workers that are `needed`, as far as it is allowed; `None` if they are no more than the
    /// target.
    fn growth(
        &self,
        now: Duration,
        signals: &Signals,
        needed: usize,
        reason: Reason,
    ) -> Option<(usize, Reason)> {
        let at_once = whole(real(signals.ready) * LARGEST_GROWTH);
        let wanted = Some(needed.min(at_once)).filter(|wanted| *wanted > self.target)?;
        let (allowed, by) = self.allowed(now, signals);
        let target = wanted.min(allowed);
        if target > self.target {
            return Some((target, reason));
        }
        Some((self.target, Reason::Limited { by }))
    }

    /// The most workers that may run now, and what forbids more.
    fn allowed(&self, now: Duration, signals: &Signals) -> (usize, Limit) {
        let is_short = self.memory_was_short.is_some_and(|at| now.saturating_sub(at) < QUIET);
        let memory = if is_short { Some(self.target) } else { signals.allowed_by_memory() };
        let limits = [
            Some((self.bounds.max(), Limit::Max)),
            signals.allowed_by_cores().map(|workers| (workers, Limit::Cores)),
            memory.map(|workers| (workers, Limit::Memory)),
        ];
        let least = limits.into_iter().flatten().min_by_key(|(workers, _)| *workers);
        least.unwrap_or((self.bounds.max(), Limit::Max))
    }

    /// How fast the wait grows, if that is known.
    fn slope(&self, signals: &Signals) -> Option<f64> {
        let latency = signals.latency.and_then(|_| self.latency.slope());
        latency.or_else(|| self.backlog.slope())
    }

    /// Fewer workers, if they have been enough for the whole quiet time: no fewer than half at once.
    fn shrink(&mut self, now: Duration) -> Option<(usize, Reason)> {
        if !self.has_cooled_down(now) {
            return None;
        }
        let half = self.target / 2;
        if self.past.enough(now, QUIET)? < half.max(1) {
            self.quiet = QUIET;
        }
        let enough = self.past.enough(now, self.quiet)?;
        let target = enough.max(half).max(self.bounds.min());
        (target < self.target).then_some((target, Reason::Quiet { enough }))
    }

    /// One worker fewer if the memory is short, but not the last one.
    fn shrink_for_memory(&mut self, now: Duration, signals: &Signals) -> Option<(usize, Reason)> {
        let target = self.target.saturating_sub(1);
        if !signals.is_memory_short() || target < self.bounds.min().max(1) {
            return None;
        }
        if self.has_cooled_down(now) {
            self.memory_was_short = Some(now);
            return Some((target, Reason::MemoryShort));
        }
        None
    }

    fn has_cooled_down(&self, now: Duration) -> bool {
        self.shrank.is_none_or(|at| now.saturating_sub(at) >= COOLDOWN)
    }
}

/// Whether workers have no room. Workers of which nothing is known have none as long as tasks wait.
fn is_full(signals: &Signals) -> bool {
    signals.usage().is_none_or(|usage| usage >= FULL)
}

/// By how much the workers that a load needs exceed those that the tasks in hand need.
///
/// While a queue is served in order, the wait grows by `slope = 1 − served / arriving` seconds a second. So the load
/// is `1 / (1 − slope)` times what is served. A wait is to be gone within [`CATCH_UP`], for which what is served has
/// to be `1 + wait / CATCH_UP` times the load. The room that is left to workers is enough for a short wait.
fn factor(wait: Duration, slope: f64) -> f64 {
    let load = 1.0 / (1.0 - slope).max(1.0 / LARGEST_GROWTH);
    let catch_up = 1.0 + wait.as_secs_f64() / CATCH_UP.as_secs_f64();
    load * (TARGET_USE * catch_up).max(1.0)
}

/// How many workers a load needs that is `factor` times what the workers have in hand.
fn needed(signals: &Signals, factor: f64, usage: f64) -> usize {
    let all = signals.loads().map(|load| load.workers(factor, usage)).max();
    all.unwrap_or_else(|| Load::full(signals.ready).workers(factor, usage))
}

/// How many workers would be enough now, with room; `None` if too little is known to say so.
fn enough(signals: &Signals) -> Option<usize> {
    signals.backlog?;
    if signals.is_waiting() {
        return Some(usize::MAX);
    }
    signals.loads().map(|load| load.workers(1.0, LOW_USE)).max()
}

/// Why nothing changes.
fn rest(signals: &Signals) -> Reason {
    let is_unknown = signals.wait().is_none() && signals.usage().is_none();
    if is_unknown { Reason::Unknown } else { Reason::Steady }
}
