//! What a scaler decides, and why.

use std::{fmt, time::Duration};

/// How many workers a group is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    /// The number of the decision before.
    pub(crate) from: usize,
    pub(crate) target: usize,
    pub(crate) reason: Reason,
}

impl Decision {
    /// Whether the group is to have another number of workers than before. Only such a decision is logged.
    pub(crate) fn is_change(&self) -> bool {
        self.from != self.target
    }
}

/// Why a group has its number of workers, or gets another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reason {
    /// Tasks wait, and no worker runs.
    Woken { wait: Duration },
    /// Tasks wait, and the workers do not keep up.
    Waiting { wait: Duration },
    /// Tasks wait although workers have room for them: they may not be polled for quickly enough.
    WaitingBesideRoom { wait: Duration },
    /// Nothing waits yet, but the workers have no room.
    Full { usage: f64 },
    /// More workers would help, but may not be started.
    Limited { by: Limit },
    /// Tasks wait, and the workers, or those that start, are enough to catch up.
    CatchingUp { wait: Duration },
    /// Tasks wait, and what the newest workers change is not known yet.
    Settling { wait: Duration },
    /// Fewer workers have been enough for the whole quiet time.
    Quiet { enough: usize },
    /// The machine's memory is short.
    MemoryShort,
    /// Somebody has fixed the number.
    Pinned,
    /// Neither the server nor the workers say anything.
    Unknown,
    /// The load fits.
    Steady,
}

/// What forbids more workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Max,
    Cores,
    Memory,
}

impl Reason {
    /// The reason in one word, as the label of a metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Woken { .. } => "woken",
            Self::Waiting { .. } => "waiting",
            Self::WaitingBesideRoom { .. } => "waiting_beside_room",
            Self::Full { .. } => "full",
            Self::Limited { by: Limit::Max } => "limited_by_max",
            Self::Limited { by: Limit::Cores } => "limited_by_cores",
            Self::Limited { by: Limit::Memory } => "limited_by_memory",
            Self::CatchingUp { .. } => "catching_up",
            Self::Settling { .. } => "settling",
            Self::Quiet { .. } => "quiet",
            Self::MemoryShort => "memory_short",
            Self::Pinned => "pinned",
            Self::Unknown => "unknown",
            Self::Steady => "steady",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, target, reason } = self;
        write!(f, "{reason}: ")?;
        if self.is_change() {
            write!(f, "{from} → ")?;
        }
        write!(f, "{target}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Woken { wait } => {
                write!(f, "backlog waits {} and no worker runs", seconds(*wait))
            }
            Self::Waiting { wait } => write!(f, "backlog waits {}", seconds(*wait)),
            Self::WaitingBesideRoom { wait } => {
                write!(f, "backlog waits {} although workers have room", seconds(*wait))
            }
            Self::Full { usage } => write!(f, "workers are {:.0} % busy", usage * 100.0),
            Self::Limited { by } => write!(f, "more workers would help, but {by}"),
            Self::CatchingUp { wait } => {
                write!(f, "backlog waits {} and will be caught up with", seconds(*wait))
            }
            Self::Settling { wait } => {
                write!(f, "backlog waits {}, newest workers are being measured", seconds(*wait))
            }
            Self::Quiet { enough } => write!(f, "{enough} would have been enough for a while"),
            Self::MemoryShort => f.write_str("memory is short"),
            Self::Pinned => f.write_str("pinned"),
            Self::Unknown => f.write_str("nothing is known of the load"),
            Self::Steady => f.write_str("load fits"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max is reached",
            Self::Cores => "all cores are busy",
            Self::Memory => "memory does not allow them",
        })
    }
}

fn seconds(wait: Duration) -> String {
    format!("{:.1} s", wait.as_secs_f64())
}
