//! Random numbers that follow from a seed, and are the same in every version and on every machine.

use std::time::Duration;

/// Steele, Lea and Flood's `SplitMix64`. A crate's generator may change with its version; a plan must not.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream with the number `stream` of a seed.
    pub(super) fn new(seed: u32, stream: u64) -> Self {
        let mut random = Self(u64::from(seed));
        Self(random.next().wrapping_add(stream.wrapping_mul(0xD1B5_4A32_D192_ED03)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A time from `least` up to `most`, in whole milliseconds.
    pub(super) fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (least, most) = (millis(least), millis(most));
        let choices = most.saturating_sub(least).saturating_add(1);
        Duration::from_millis(least + self.next() % choices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed() {
        // The reference implementation's numbers for the state 0.
        let mut random = Random(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
        let first = |seed, stream| Random::new(seed, stream).next();
        assert_eq!(first(7, 1), first(7, 1));
        assert_ne!(first(7, 1), first(7, 2));
        assert_ne!(first(7, 1), first(8, 1));
    }
}
