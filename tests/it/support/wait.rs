//! Waiting with a deadline, never for a fixed time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The deadline, long enough for the busiest machine: only a failing test waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "deadline: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
