//! Fetches the state of the rows that come next while the current ones are worked on: waiting for
//! memory is most of what a keyed operator does once its state is larger than the caches.

use thalweg_core::batch::{RowTypeMismatch, Rows};
use thalweg_core::{Batch, Key, Record};
use thalweg_state::KeyedState;

use super::KeySelector;

/// Rows that are fetched at a time. The processor can't wait for many more lines at once.
const ROWS: usize = 32;

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
