//! What is known of a group of workers at a time, as plain data.

use std::time::Duration;

/// A worker that is busier than this has no room: the next task may have to wait.
pub(super) const FULL: f64 = 0.9;

/// How busy workers are to be. A group grows to as many as are then this busy, so that a fifth is left for
/// arrivals that are not even, and for a worker that is replaced.
pub(super) const TARGET_USE: f64 = 0.8;

/// A group shrinks only to as many workers as would have been less busy than this at the busiest moment of the
/// quiet time. The gap to [`FULL`] is the hysteresis: a load that lets the group shrink would have to rise by
/// more than a third before it grows again.
pub(super) const LOW_USE: f64 = 0.65;

/// How long a task may wait for a worker. A task that waits longer is noticed by people, and is more than the
/// jitter of a busy server.
pub(super) const TARGET_WAIT: Duration = Duration::from_millis(500);

/// New workers leave this part of the machine's memory free, a tenth, for other programs and for the kernel's cache.
const MEMORY_RESERVE: u64 = 10;

/// A group that uses less than half a core is not stopped by busy cores: its tasks wait for something else.
const COMPUTING: f64 = 0.5;

/// What is known of a group; `None` is what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Signals {
    /// Workers that take tasks: those that start or drain do not count.
    pub(crate) ready: usize,
    /// The age of the oldest task in the backlog, as the server knew it up to five seconds ago; zero if no task
    /// waits.
    pub(crate) backlog: Option<Duration>,
    /// How long the tasks waited that were started since the last sample: their schedule-to-start latency, as p95
    /// or mean. `None` if no task was started. It has no lag, because workers measure it.
    pub(crate) latency: Option<Duration>,
    /// Slots of all ready workers.
    pub(crate) slots: Option<Slots>,
    /// The cores that a ready worker uses, as the mean over the workers: 0 to 1 for workflow code.
    pub(crate) cpu: Option<f64>,
    /// The cores that the group can have: those that it uses and those that are idle.
    pub(crate) cores: Option<f64>,
    pub(crate) memory: Option<Memory>,
}

/// Slots of a group's ready workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slots {
    /// Those in which a task runs. A slot that a poll holds is free.
    pub(crate) used: u32,
    pub(crate) total: u32,
}

/// The machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// What programs can still have.
    pub(crate) available: u64,
    /// What a worker of the group uses now.
    pub(crate) per_worker: u64,
}

/// The smallest and the largest number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    min: usize,
    max: usize,
}

impl Bounds {
    /// Returns `None` if no number of workers lies within the bounds, or zero only. A `min` of zero is allowed:
    /// such a group runs no worker until a task waits.
    pub(crate) fn new(min: usize, max: usize) -> Option<Self> {
        (min <= max && max > 0).then_some(Self { min, max })
    }

    pub(super) fn min(self) -> usize {
        self.min
    }

    pub(super) fn max(self) -> usize {
        self.max
    }

    pub(super) fn clamp(self, workers: usize) -> usize {
        workers.clamp(self.min, self.max)
    }
}

/// What a group uses of one kind of capacity: slots, or cores for code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// What all workers use.
    used: f64,
    /// What one worker has.
    of_one: f64,
    /// The share that is in use.
    pub(super) usage: f64,
}

impl Load {
    /// What workers use of which nothing is known, but that tasks wait for them.
    pub(super) fn full(workers: usize) -> Self {
        Self { used: real(workers), of_one: 1.0, usage: 1.0 }
    }

    /// How many workers are as busy as `usage` says, if the load is `factor` times as large.
    pub(super) fn workers(self, factor: f64, usage: f64) -> usize {
        whole(self.used * factor / (self.of_one * usage))
    }
}

impl Signals {
    /// How long a task waits now. What workers measure is newer than what the server says.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.latency.or(self.backlog)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.wait().is_some_and(|wait| wait > TARGET_WAIT)
    }

    /// Slots and CPU, as far as they are known.
    pub(super) fn loads(&self) -> impl Iterator<Item = Load> {
        [self.slot_load(), self.cpu_load()].into_iter().flatten()
    }

    /// The share of slots or of CPU that is in use, whichever is larger; `None` if neither is known.
    pub(super) fn usage(&self) -> Option<f64> {
        self.loads().map(|load| load.usage).reduce(f64::max)
    }

    fn slot_load(&self) -> Option<Load> {
        let slots = self.slots.filter(|slots| slots.total > 0 && self.ready > 0)?;
        let (used, total) = (f64::from(slots.used), f64::from(slots.total));
        Some(Load { used, of_one: total / real(self.ready), usage: used / total })
    }

    fn cpu_load(&self) -> Option<Load> {
        let cpu = self.cpu.filter(|cpu| cpu.is_finite() && self.ready > 0)?.max(0.0);
        Some(Load { used: cpu * real(self.ready), of_one: 1.0, usage: cpu })
    }

    /// How many workers the cores allow. Where code is what is waited for, more workers than cores do not help,
    /// and no more workers at all if the group has all the CPU that it can have.
    pub(super) fn allowed_by_cores(&self) -> Option<usize> {
        let (cpu, cores) = (self.cpu_load()?, self.cores?);
        if cpu.used >= COMPUTING && cpu.used >= FULL * cores {
            return Some(self.ready);
        }
        (cpu.usage >= COMPUTING).then(|| whole(cores - 0.5).max(1))
    }

    /// How many workers the memory allows: those that run, and as many as fit beside the reserve.
    pub(super) fn allowed_by_memory(&self) -> Option<usize> {
        let memory = self.memory.filter(|memory| memory.per_worker > 0)?;
        let free = memory.available.saturating_sub(memory.reserve());
        let more = usize::try_from(free / memory.per_worker).unwrap_or(usize::MAX);
        Some(self.ready.saturating_add(more))
    }

    /// Whether so little memory is left that a worker has to go: half of the reserve. The other half lies between
    /// the memory that stops growth and the memory that ends a worker.
    pub(super) fn is_memory_short(&self) -> bool {
        self.memory.is_some_and(|memory| memory.available < memory.reserve() / 2)
    }
}

impl Memory {
    fn reserve(&self) -> u64 {
        self.total / MEMORY_RESERVE
    }
}

/// A number of workers for calculations.
pub(super) fn real(workers: usize) -> f64 {
    u32::try_from(workers).map_or(f64::INFINITY, f64::from)
}

/// The smallest number of workers that is no less than `workers`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast turns what is negative or too large into the nearest number"
)]
pub(super) fn whole(workers: f64) -> usize {
    // 16 slots that are to be 80 % of 5 workers with 4 slots are not to need 6 because of a rounded product.
    (workers - 1e-9).ceil() as usize
}
