//! The work itself: a computation of so many iterations, and text of so many bytes.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// One that takes longer is measured: clocks and interrupts do not matter then.
const LONG_ENOUGH: Duration = Duration::from_millis(10);
/// The quickest of so many is taken: others were disturbed.
const MEASUREMENTS: u32 = 5;

/// One step of a pseudo-random sequence (Marsaglia's xorshift, 64 bits).
fn next(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// Computes. Each iteration needs the one before, so that neither compiler nor processor can leave
/// one out; the result is always the same.
pub(super) fn compute(iterations: u64) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..iterations {
        state = black_box(next(state));
    }
    state
}

/// How many iterations this machine does in so much CPU time, in this build. It computes for some
/// tens of milliseconds to find out: call it once, and not from a workflow.
#[must_use]
pub fn iterations_in(time: Duration) -> u64 {
    if time.is_zero() {
        return 0;
    }
    let took = |iterations| {
        let begun = Instant::now();
        black_box(compute(iterations));
        begun.elapsed()
    };
    let mut iterations = 1 << 10;
    let mut best = took(iterations);
    while best < LONG_ENOUGH {
        iterations *= 2;
        best = took(iterations);
    }
    for _ in 1..MEASUREMENTS {
        best = best.min(took(iterations));
    }
    let wanted = u128::from(iterations) * time.as_nanos() / best.as_nanos().max(1);
    u64::try_from(wanted).unwrap_or(u64::MAX).max(1)
}

/// Text of so many bytes that compresses badly, always the same.
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
    fn the_computation_and_the_text_are_the_same_each_time() {
        // Recorded: a workflow that an older version began computes the same in a newer one.
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
        // About a hundred times as many, on a machine that is busy with other tests.
        assert!(few > 1000 && many > few * 20 && many < few * 500, "{few} {many}");
    }
}
