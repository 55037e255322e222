//! Some of many, each of them with the same probability, without knowing how many there will be.

use uuid::Uuid;

/// A reservoir (Vitter's algorithm R).
#[derive(Debug)]
pub(super) struct Sample<T> {
    kept: Vec<T>,
    most: usize,
    seen: u64,
    state: u64,
}

impl<T> Sample<T> {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self { kept: Vec::new(), most, seen: 0, state: Uuid::new_v4().as_u64_pair().0 | 1 }
    }

    pub(super) fn add(&mut self, it: T) {
        self.seen += 1;
        if self.kept.len() < self.most {
            self.kept.push(it);
            return;
        }
        // Marsaglia's xorshift: good enough for a place.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let place = usize::try_from(self.state % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = it;
        }
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_large_as_asked_for_and_of_all_parts() {
        let mut sample = Sample::of_at_most(300);
        (0..30_000).for_each(|it| sample.add(it));
        let kept = sample.take();
        assert_eq!(kept.len(), 300);
        for third in 0..3 {
            let of_it = kept.iter().filter(|it| *it / 10_000 == third).count();
            // 100 are expected, with a standard deviation of 8.
            assert!((40..160).contains(&of_it), "{of_it} of third {third}");
        }
        let mut few = Sample::of_at_most(3);
        few.add("a");
        assert_eq!(few.take(), ["a"]);
    }
}
