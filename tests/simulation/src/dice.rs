//! Seeded randomness. Each purpose has dice of its own, so that one more throw for one thing
//! changes nothing for the others. Not here: what is drawn (`plan`).

use std::ops::Range;
use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice for one purpose of a seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(purpose.as_bytes(), seed))
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number of the range, which isn't empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.throw() % (range.end - range.start).max(1)
    }

    /// So many ms, or some of the range.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// True with this probability in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.throw() % 1000 < per_mille
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..of.len() as u64) as usize]
    }
}
