//! A random sample of values whose number is not known in advance. Each value has the same
//! probability to be in it.

use uuid::Uuid;

/// A reservoir of at most `most` values (Vitter's algorithm R).
#[derive(Debug)]
pub(super) struct Reservoir<T> {
    kept: Vec<T>,
    most: usize,
    seen: u64,
    /// The state of the random number generator; never 0.
    seed: u64,
}

impl<T> Reservoir<T> {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { kept: Vec::new(), most, seen: 0, seed: Uuid::new_v4().as_u64_pair().0 | 1 }
    }

    pub(super) fn add(&mut self, value: T) {
        self.seen += 1;
        if self.kept.len() < self.most {
            self.kept.push(value);
            return;
        }
        let place = usize::try_from(self.random() % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = value;
        }
    }

    /// Marsaglia's xorshift: not for secrets, but good enough to choose a place.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// Returns the sample, and leaves an empty one.
    pub(super) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_has_its_size_and_comes_from_all_parts() {
        let mut reservoir = Reservoir::of_at_most(300);
        (0..30_000).for_each(|value| reservoir.add(value));
        let kept = reservoir.take();
        assert_eq!(kept.len(), 300);
        for third in 0..3 {
            let count = kept.iter().filter(|value| *value / 10_000 == third).count();
            // The expected count is 100, with a standard deviation of 8.
            assert!((40..160).contains(&count), "{count} of third {third}");
        }
        let mut few = Reservoir::of_at_most(3);
        few.add("a");
        assert_eq!(few.take(), ["a"]);
    }
}
