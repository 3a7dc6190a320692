//! A window of slices that fires: its slices are merged and its results emitted, one key group at
//! a time. So what exists twice is one key group's accumulators, however many keys there are, and
//! a stop because the output is full costs nothing. Not here: which window is due.
//!
//! Each firing merges all slices of its window: for 10 s every 1 s, about as much work per row as
//! adding it (`examples/sliding_windows.rs`). Merges kept from window to window would need fewer,
//! and twice the memory, many times as much where all rows are kept.

use std::collections::VecDeque;

use hashbrown::HashTable;
use thalweg_core::Key;
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_state::{SliceCursor, SliceState};

use super::{TimeWindow, WindowFunction};

/// The window that fires, and how far that has come.
pub(super) struct Firing<K, A> {
    window: TimeWindow,
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    /// The place of the next key group to be merged.
    place: usize,
    /// The window's slices that have entries, and how far each was merged.
    slices: Vec<(i64, SliceCursor)>,
    merged: Merged<K, A>,
}

/// One key group's accumulators, in the order in which keys were first met.
pub(super) struct Merged<K, A> {
    entries: VecDeque<(K, u64, A)>,
    index: HashTable<u32>,
}

impl<K, A> Default for Merged<K, A> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), index: HashTable::new() }
    }
}

impl<K: Key, A: thalweg_core::Record> Firing<K, A> {
    /// The firing of `window`, which consists of these slices. `merged` is what the last firing
    /// left, for its memory.
    pub(super) fn new(
        window: TimeWindow,
        slices: impl Iterator<Item = i64>,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        merged: Merged<K, A>,
    ) -> Self {
        let slices = slices.map(|end| (end, SliceCursor::default())).collect();
        Self { window, key_groups, max_parallelism, place: 0, slices, merged }
    }

    /// The window.
    pub(super) fn window(&self) -> TimeWindow {
        self.window
    }

    /// The next key and its accumulator; key groups for which `fires` is false are left out.
    #[inline]
    pub(super) fn next<T, F>(
        &mut self,
        state: &SliceState<K, A>,
        function: &F,
        fires: impl Fn(usize) -> bool,
    ) -> Option<(K, A)>
    where
        F: WindowFunction<K, T, Accumulator = A>,
    {
        loop {
            if let Some((key, _, accumulator)) = self.merged.entries.pop_front() {
                return Some((key, accumulator));
            }
            if self.place >= self.key_groups.len() as usize {
                return None;
            }
            self.merge_group(state, function);
            if !fires(self.place) {
                self.merged.entries.clear();
            }
            self.place += 1;
        }
    }

    fn merge_group<T, F>(&mut self, state: &SliceState<K, A>, function: &F)
    where
        F: WindowFunction<K, T, Accumulator = A>,
    {
        let group = self.key_groups.start + self.place as u32;
        let Self { slices, merged, max_parallelism, .. } = self;
        merged.index.clear();
        let several = slices.len() > 1;
        for (number, (end, cursor)) in slices.iter_mut().enumerate() {
            loop {
                let before = cursor.clone();
                let Some((key, accumulator)) = state.next_entry(*end, cursor) else { break };
                let hash = key.key_hash();
                if key_group(hash, *max_parallelism) != group {
                    // It belongs to a later group, and comes again then.
                    *cursor = before;
                    break;
                }
                if number == 0 {
                    merged.add(key, hash, accumulator, several);
                } else {
                    merged.merge(key, hash, accumulator, function);
                }
            }
        }
    }

    /// What is kept for the next firing.
    pub(super) fn into_merged(self) -> Merged<K, A> {
        self.merged
    }
}

impl<K: Key, A: Clone> Merged<K, A> {
    /// Adds a key that isn't there.
    #[inline]
    fn add(&mut self, key: &K, hash: u64, accumulator: &A, indexed: bool) {
        let Self { entries, index } = self;
        if indexed {
            let at = entries.len() as u32;
            index.insert_unique(hash, at, |at| entries[*at as usize].1);
        }
        entries.push_back((key.clone(), hash, accumulator.clone()));
    }

    #[inline]
    fn merge<T, F>(&mut self, key: &K, hash: u64, accumulator: &A, function: &F)
    where
        F: WindowFunction<K, T, Accumulator = A>,
    {
        let Self { entries, index } = self;
        let same = |at: &u32| {
            let (other, other_hash, _) = &entries[*at as usize];
            *other_hash == hash && other == key
        };
        match index.find(hash, same).copied() {
            Some(at) => function.merge(&mut entries[at as usize].2, accumulator),
            None => self.add(key, hash, accumulator, true),
        }
    }
}
