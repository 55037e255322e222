//! The work that the load does: a computation of given length, and text of given length.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// A computation that takes at least this long is measured. The clock's resolution and interrupts
/// hardly matter then.
const MIN_DURATION: Duration = Duration::from_millis(10);
/// Number of measurements, of which the shortest counts, because other programs disturb the rest.
const MEASUREMENTS: u32 = 5;

/// The next number of a pseudo-random sequence (Marsaglia's xorshift, 64 bits).
fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// Computes for a number of iterations. Each of them needs the result of the one before, so that
/// neither the compiler nor the processor can skip one. The result depends on the number only.
pub(super) fn compute(iterations: u64) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..iterations {
        state = black_box(next(state));
    }
    state
}

/// Measures how many iterations this build does on this machine in `time` of CPU time. At least 1, but
/// 0 for a `time` of 0. The measurement computes for some tens of milliseconds: call it once, and not
/// from a workflow.
#[must_use]
pub fn iterations_in(time: Duration) -> u64 {
    if time.is_zero() {
        return 0;
    }
    let took = |iterations| {
        let start = Instant::now();
        black_box(compute(iterations));
        start.elapsed()
    };
    let mut iterations = 1 << 10;
    let mut best = took(iterations);
    while best < MIN_DURATION {
        iterations *= 2;
        best = took(iterations);
    }
    for _ in 1..MEASUREMENTS {
        best = best.min(took(iterations));
    }
    let wanted = u128::from(iterations) * time.as_nanos() / best.as_nanos().max(1);
    u64::try_from(wanted).unwrap_or(u64::MAX).max(1)
}

/// Text of this length in ASCII, which compresses badly. It is the same at each call.
pub(super) fn text(bytes: u32) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let letter = |_| {
        state = next(state);
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..bytes).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_computation_and_the_text_are_always_the_same() {
        // A recorded value: a workflow that an older version started computes the same in a newer one.
        assert_eq!(compute(0), 0x9E37_79B9_7F4A_7C15);
        assert_eq!(compute(1000), compute(1000));
        assert_ne!(compute(1000), compute(999));
        assert_eq!(text(40), text(40));
        assert_eq!(text(1000).len(), 1000);
        let letters: std::collections::BTreeSet<_> = text(1000).chars().collect();
        assert!(letters.len() > 60, "{letters:?}");
    }

    #[test]
    fn more_time_is_more_iterations() {
        assert_eq!(iterations_in(Duration::ZERO), 0);
        let few = iterations_in(Duration::from_millis(1));
        let many = iterations_in(Duration::from_millis(100));
        // It should be a hundred times as many, but the machine is busy with other tests.
        assert!(few > 1000 && many > few * 20 && many < few * 500, "{few} {many}");
    }
}
