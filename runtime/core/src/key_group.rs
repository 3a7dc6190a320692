//! Key groups: the fixed number of parts that a keyed stream and its state are divided into, and
//! which subtask owns which. Not here: a key's hash, which is [`Key::key_hash`]'s.
//!
//! [`Key::key_hash`]: crate::record::Key::key_hash

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The number of key groups unless the application sets another; never derived from the
/// parallelism, for it can't change while state exists.
pub const DEFAULT_MAX_PARALLELISM: u32 = 128;

/// The largest number of key groups.
pub const MAX_MAX_PARALLELISM: u32 = 32768;

/// The key group of a key's hash, below `max_parallelism` (1 to [`MAX_MAX_PARALLELISM`]).
///
/// Taken from bits 40 to 55, so that the low and the high bits still vary within a group, for
/// hash tables.
#[inline]
pub fn key_group(hash: u64, max_parallelism: u32) -> u32 {
    ((((hash >> 40) & 0xffff) * u64::from(max_parallelism)) >> 16) as u32
}

/// Consecutive key groups, `start` included and `end` not. Empty where a stream has more subtasks
/// than key groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// The first key group.
    pub start: u32,
    /// The key group after the last.
    pub end: u32,
}

impl KeyGroupRange {
    /// All key groups.
    pub fn all(max_parallelism: u32) -> KeyGroupRange {
        KeyGroupRange { start: 0, end: max_parallelism }
    }

    /// Whether the key group is one of these.
    #[inline]
    pub fn contains(self, key_group: u32) -> bool {
        self.start <= key_group && key_group < self.end
    }

    /// How many there are.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Those that are in both.
    pub fn intersection(self, other: KeyGroupRange) -> KeyGroupRange {
        let start = self.start.max(other.start);
        KeyGroupRange { start, end: self.end.min(other.end).max(start) }
    }

    /// One by one, in ascending order.
    pub fn iter(self) -> Range<u32> {
        self.start..self.end
    }
}

impl IntoIterator for KeyGroupRange {
    type Item = u32;
    type IntoIter = Range<u32>;

    fn into_iter(self) -> Range<u32> {
        self.iter()
    }
}

/// The key groups that a subtask owns, as Flink assigns them: as evenly as possible, in order.
/// `parallelism` is at least 1 and `subtask` below it.
pub fn key_group_range(max_parallelism: u32, parallelism: u32, subtask: u32) -> KeyGroupRange {
    let parallelism = u64::from(parallelism.max(1));
    let first = |subtask: u64| (subtask * u64::from(max_parallelism)).div_ceil(parallelism) as u32;
    KeyGroupRange { start: first(u64::from(subtask)), end: first(u64::from(subtask) + 1) }
}

/// The subtask that owns a key group; agrees with [`key_group_range`]. Both maximum and
/// parallelism are at least 1.
#[inline]
pub fn subtask_of(key_group: u32, max_parallelism: u32, parallelism: u32) -> u32 {
    (u64::from(key_group) * u64::from(parallelism) / u64::from(max_parallelism.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_group_is_owned_by_exactly_the_subtask_that_subtask_of_names(
            max_parallelism in 1..=MAX_MAX_PARALLELISM,
            share in 0.0..1.0f64,
        ) {
            let parallelism = 1 + (f64::from(max_parallelism.min(2000) - 1) * share) as u32;
            let mut next = 0;
            for subtask in 0..parallelism {
                let range = key_group_range(max_parallelism, parallelism, subtask);
                prop_assert_eq!(range.start, next);
                prop_assert!(range.len() >= max_parallelism / parallelism);
                prop_assert!(range.len() <= max_parallelism.div_ceil(parallelism));
                for group in range {
                    prop_assert_eq!(subtask_of(group, max_parallelism, parallelism), subtask);
                }
                next = range.end;
            }
            prop_assert_eq!(next, max_parallelism);
        }

        #[test]
        fn a_key_group_is_below_the_maximum(hash: u64, max_parallelism in 1..=MAX_MAX_PARALLELISM) {
            prop_assert!(key_group(hash, max_parallelism) < max_parallelism);
        }
    }

    #[test]
    fn ranges_are_flinks() {
        // Flink: start = (i * max + p - 1) / p, last = ((i + 1) * max - 1) / p.
        let ranges: Vec<_> = (0..3).map(|subtask| key_group_range(128, 3, subtask)).collect();
        assert_eq!(
            ranges,
            [(0, 43), (43, 86), (86, 128)].map(|(start, end)| KeyGroupRange { start, end })
        );
        assert_eq!(key_group_range(2, 3, 1), KeyGroupRange { start: 1, end: 2 });
        assert!(key_group_range(2, 3, 2).is_empty());
    }

    #[test]
    fn only_bits_40_to_55_choose_the_group() {
        assert_eq!(key_group(0x00ff_ff00_0000_0000, 128), 127);
        assert_eq!(key_group(0xff00_00ff_ffff_ffff, 128), 0);
        assert_eq!(key_group(0x0080_0000_0000_0000, 32768), 16384);
        assert_eq!(key_group(0x0000_8000_0000_0000, 512), 1 << 8 >> 1 >> 7);
    }

    #[test]
    fn ranges_intersect() {
        let range = |start, end| KeyGroupRange { start, end };
        assert_eq!(range(0, 10).intersection(range(5, 20)), range(5, 10));
        assert!(range(0, 5).intersection(range(7, 9)).is_empty());
        assert!(KeyGroupRange::all(4).iter().eq(0..4));
    }
}
