//! Fetches the state of the rows that come next while the current ones are worked on: waiting for
//! memory is most of what a keyed operator does once its state is larger than the caches.

use thalweg_core::batch::{RowTypeMismatch, Rows};
use thalweg_core::{Batch, Key, Record};
use thalweg_state::KeyedState;

use super::KeySelector;

/// Rows that are fetched at a time. A lookup among 500,000 keys and an increment took 59 ns
/// without, 20 with 16 rows, 13 with 32, 11 with 64 and with 128, and no less where the next rows
/// are fetched before the current ones are worked on.
const ROWS: usize = 64;

/// Counts rows down to the next ones to be fetched.
#[derive(Debug)]
pub(super) struct LookAhead {
    left: usize,
    worthwhile: bool,
}

impl LookAhead {
    /// For the rows of a batch, which has the hashes of its keys afterwards if that is of use. A
    /// batch of another process comes without them.
    pub(super) fn new<K: Key, T: Record>(
        batch: &mut Batch,
        key: &impl KeySelector<T, K>,
        state: &KeyedState<K>,
    ) -> Result<Self, RowTypeMismatch> {
        let worthwhile = state.exceeds_cache();
        if worthwhile && batch.hashes().is_none() {
            let hashes = batch.values::<T>()?.iter().map(|value| key(value).key_hash()).collect();
            batch.set_hashes(hashes);
        }
        Ok(Self { left: 0, worthwhile })
    }

    /// Before each row.
    #[inline]
    pub(super) fn next<K: Key, T: Record>(&mut self, rows: &Rows<'_, T>, state: &KeyedState<K>) {
        if !self.worthwhile {
            return;
        }
        if self.left == 0 {
            let hashes = rows.hashes().unwrap_or_default();
            state.prefetch(&hashes[..hashes.len().min(ROWS)]);
            self.left = ROWS;
        }
        self.left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use thalweg_core::key_group::KeyGroupRange;
    use thalweg_state::ValueState;

    use super::*;

    fn count(state: &mut KeyedState<u64>, counts: ValueState<u64>, keys: std::ops::Range<u64>) {
        let mut batch = Batch::from_values(keys.collect());
        let mut ahead = LookAhead::new(&mut batch, &|key: &u64| *key, state).unwrap();
        let hashes = batch.hashes().map(<[u64]>::to_vec);
        let mut rows = batch.rows::<u64>().unwrap();
        loop {
            ahead.next(&rows, state);
            let Some(row) = rows.next() else { break };
            let hash = row.value.key_hash();
            assert!(row.hash.is_none_or(|given| given == hash));
            state.set_current_key(row.value, hash);
            *counts.get_or_insert_with(state, || 0).unwrap() += 1;
        }
        assert_eq!(hashes.is_some(), ahead.worthwhile);
    }

    #[test]
    fn state_beyond_the_caches_is_fetched_ahead_and_holds_the_same() {
        let mut state = KeyedState::new(KeyGroupRange::all(128), 128, None).unwrap();
        let counts = state.value_state("counts").unwrap();
        count(&mut state, counts, 0..1000);
        assert!(!state.exceeds_cache());
        count(&mut state, counts, 0..60_000);
        assert!(state.exceeds_cache());
        count(&mut state, counts, 500..60_100);
        for (key, expected) in [(0, 2), (499, 2), (500, 3), (999, 3), (1000, 2), (60_099, 1)] {
            state.set_current_key(key, key.key_hash());
            assert_eq!(counts.get(&mut state).unwrap(), Some(&expected), "{key}");
        }
    }

    #[test]
    fn hashes_of_other_subtasks_are_passed_over() {
        let range = KeyGroupRange { start: 0, end: 1 };
        let mut state = KeyedState::new(range, 128, None).unwrap();
        let counts = state.value_state::<[u64; 16]>("counts").unwrap();
        let own = (0..).filter(|key: &u64| key.key_hash() >> 40 & 0xffff < 512);
        for key in own.take(8000) {
            state.set_current_key(key, key.key_hash());
            counts.set(&mut state, [key; 16]).unwrap();
        }
        assert!(state.exceeds_cache());
        let before = state.bytes();
        state.prefetch(&(0..1000).map(|key: u64| key.key_hash()).collect::<Vec<_>>());
        assert_eq!(state.bytes(), before);
    }
}
