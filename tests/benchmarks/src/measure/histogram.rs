//! Durations counted by size: 64 sizes an octave, so a quantile is exact to 1.6 %.

use thalweg::prelude::Duration;

/// Sizes in an octave.
const STEPS: u64 = 64;

/// How often durations of each size were seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts a duration in ns.
    pub(crate) fn add(&mut self, nanos: u64) {
        let index = index(nanos);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds what another one has counted.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// Durations counted.
    pub(crate) fn len(&self) -> u64 {
        self.total
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// What this share of the durations doesn't exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_bound(index).min(self.max));
            }
        }
        self.max()
    }
}

/// Below 64 ns every value has its own place; above, the six bits behind the highest one count.
fn index(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let octave = u64::from(nanos.ilog2()) - 6;
    (STEPS * (octave + 1) + ((nanos >> octave) - STEPS)) as usize
}

/// The largest value at this place.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let (octave, step) = (index / STEPS - 1, index % STEPS);
    ((STEPS + step + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_place_whose_bound_is_close_above_it() {
        for nanos in (0..100_000).chain([1 << 40, (1 << 41) - 1, u64::MAX >> 8]) {
            let bound = upper_bound(index(nanos));
            assert!(nanos <= bound && bound - nanos <= nanos / 64, "{nanos} {bound}");
        }
    }

    #[test]
    fn quantiles_are_those_of_all_parts() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        for nanos in 1..=9_900 {
            low.add(nanos);
        }
        for nanos in 9_901..=10_000 {
            high.add(nanos * 100);
        }
        low.merge(&high);
        assert_eq!(low.len(), 10_000);
        assert_eq!(low.max(), Duration::from_nanos(1_000_000));
        for (share, expected) in [(0.5, 5_000.0), (0.99, 9_900.0), (0.995, 995_000.0)] {
            let found = low.quantile(share).as_nanos() as f64;
            assert!((found / expected - 1.0).abs() < 0.02, "{share}: {found}");
        }
    }
}
