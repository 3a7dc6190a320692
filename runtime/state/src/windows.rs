//! Values per slice of time and key: what window operators aggregate into. A slice is known by
//! its end; all its entries are dropped together when no window needs it any more. Not here:
//! which slices a window consists of, when it fires, and the rows of a snapshot (`snapshot`).

mod snapshot;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use thalweg_core::Record;
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

use self::snapshot::Encoding;
use crate::budget::{MemoryAccount, MemoryBudget};
use crate::encoding::EncodingBudget;
use crate::error::StateError;
use crate::keyed::over_budget;
use crate::restore::{RestoredOperator, StateInRun};
use crate::run::{Row, RunError, RunWriter, StateDeclaration, StateKind};
use crate::table::{Found, Table};
use crate::timers::read_time;
use crate::value_mut::ValueMut;

/// Dropped slices that are remembered for the next delta; with more, it holds everything.
const DROPPED_MAX: usize = 4096;

/// Slice end -> key -> value, in key groups.
pub struct SliceState<K, V> {
    declaration: StateDeclaration,
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    /// Ordered by their ends.
    slices: VecDeque<Slice<K, V>>,
    /// The place of the slice used last: rows come in roughly ascending time.
    last: usize,
    /// None: the next delta holds everything.
    dropped: Option<Dropped>,
    account: MemoryAccount,
    /// The snapshot under way.
    encoding: Option<Box<Encoding>>,
    /// Dropped slices of which it hasn't written everything. Tables that aren't needed are empty.
    kept: Vec<Slice<K, V>>,
}

/// The ends of slices that runs have and that are no more: dropped since the last snapshot, and
/// before it, but after the last published one.
#[derive(Debug, Default)]
struct Dropped {
    ends: BTreeSet<i64>,
    pending: BTreeSet<i64>,
}

struct Slice<K, V> {
    end: i64,
    length: usize,
    /// Made after the last snapshot: no run has it.
    fresh: bool,
    /// One per key group of the range.
    tables: Vec<Table<K, V>>,
}

/// How far a walk over a slice's entries has come. Valid while no key is added to the slice and
/// the slice isn't removed; otherwise entries may be missed or come twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SliceCursor {
    group: usize,
    bucket: usize,
}

impl<K: Key, V: Record> SliceState<K, V> {
    /// The slices called `name` of a subtask that owns `key_groups` of `max_parallelism`, with
    /// those of the snapshot.
    ///
    /// # Errors
    /// The snapshot has another max parallelism, or its slices can't be read as these.
    pub fn new(
        name: &str,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        restored: Option<&Arc<RestoredOperator>>,
    ) -> Result<SliceState<K, V>, StateError> {
        let declaration = StateDeclaration {
            name: name.to_owned(),
            kind: StateKind::Slice,
            key: Some(K::schema()),
            namespace: None,
            map_key: None,
            value: Some(V::schema()),
            time_to_live_ms: None,
        };
        let mut state = SliceState {
            declaration,
            key_groups,
            max_parallelism,
            slices: VecDeque::new(),
            last: 0,
            dropped: None,
            account: MemoryAccount::new(MemoryBudget::unlimited()),
            encoding: None,
            kept: Vec::new(),
        };
        if let Some(restored) = restored {
            restored.check_max_parallelism(max_parallelism)?;
            for claimed in restored.claim(&state.declaration)? {
                claimed.for_each_row(key_groups, |in_run, row| state.restore_row(in_run, row))?;
            }
            if restored.is_continued() {
                state.track();
            }
        }
        Ok(state)
    }

    /// The key's value in the slice that ends at `slice`, to be changed in place; made by `make`
    /// if there is none.
    ///
    /// # Errors
    /// The budget is used up, or the key belongs to another subtask.
    #[inline]
    pub fn get_or_insert_with(
        &mut self,
        slice: i64,
        key: &K,
        hash: u64,
        make: impl FnOnce() -> V,
    ) -> Result<ValueMut<'_, V>, StateError> {
        self.check()?;
        let group = self.group(hash);
        if group >= self.key_groups.len() as usize {
            return Err(self.foreign_key(hash));
        }
        let place = self.place(slice);
        if self.encoding.is_some() && self.awaits(place, group) {
            self.before_change(place, group, key, hash);
        }
        let slice = &mut self.slices[place];
        let (value, found) = slice.tables[group].entry::<false>(hash, key, &mut self.account, make);
        let made = found == Found::Made;
        slice.length += usize::from(made);
        Ok(ValueMut::new(value, made, &mut self.account))
    }

    /// The key's value in the slice that ends at `slice`.
    #[inline]
    pub fn get(&self, slice: i64, key: &K, hash: u64) -> Option<&V> {
        let slice = &self.slices[self.find(slice)?];
        slice.tables.get(self.group(hash))?.find(hash, key)
    }

    /// The key's value in the slice that ends at `slice`, to be changed in place, if there is one.
    #[inline]
    pub fn get_mut(&mut self, slice: i64, key: &K, hash: u64) -> Option<ValueMut<'_, V>> {
        let (place, group) = (self.find(slice)?, self.group(hash));
        if self.encoding.is_some() && self.awaits(place, group) {
            self.before_change(place, group, key, hash);
        }
        let (value, _) = self.slices[place].tables.get_mut(group)?.find_mut::<false>(hash, key)?;
        Some(ValueMut::new(value, false, &mut self.account))
    }

    /// Whether an entry of this table may have to be written to a snapshot before it changes.
    #[inline]
    fn awaits(&self, place: usize, group: usize) -> bool {
        let slice = self.slices.get(place);
        slice.and_then(|slice| slice.tables.get(group)).is_some_and(Table::awaits)
    }

    /// Drops the slice and all its entries. Returns how many there were.
    pub fn remove_slice(&mut self, slice: i64) -> usize {
        let Some(slice) = self.find(slice).and_then(|place| self.slices.remove(place)) else {
            return 0;
        };
        self.last = 0;
        if let Some(dropped) = &mut self.dropped
            && !slice.fresh
        {
            dropped.ends.insert(slice.end);
            if dropped.ends.len() > DROPPED_MAX {
                self.dropped = None;
            }
        }
        let length = slice.length;
        self.release(slice);
        length
    }

    /// The next entry of the slice from `cursor` on, which starts as `SliceCursor::default()`; in
    /// no particular order, but in the same for the same history.
    #[inline]
    pub fn next_entry(&self, slice: i64, cursor: &mut SliceCursor) -> Option<(&K, &V)> {
        let slice = &self.slices[self.find(slice)?];
        while let Some(table) = slice.tables.get(cursor.group) {
            while cursor.bucket < table.buckets() {
                cursor.bucket += 1;
                if let Some(entry) = table.bucket(cursor.bucket - 1) {
                    return Some((&entry.key, &entry.value));
                }
            }
            *cursor = SliceCursor { group: cursor.group + 1, bucket: 0 };
        }
        None
    }

    /// The ends of the slices that have entries or had some, ascending.
    pub fn slice_ends(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.slices.iter().map(|slice| slice.end)
    }

    /// The first of [`slice_ends`](Self::slice_ends).
    pub fn first_slice_end(&self) -> Option<i64> {
        self.slices.front().map(|slice| slice.end)
    }

    /// Number of keys in the slice.
    pub fn slice_len(&self, slice: i64) -> usize {
        self.find(slice).map_or(0, |place| self.slices[place].length)
    }

    /// Number of entries in all slices.
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.length).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate bytes that all slices use.
    pub fn bytes(&self) -> usize {
        self.account.used()
    }

    /// Draws on `budget` from now on; unlimited without.
    ///
    /// # Errors
    /// It doesn't hold what is already used.
    pub fn set_budget(&mut self, budget: &MemoryBudget) -> Result<(), StateError> {
        let moved = self.account.move_to(budget.clone());
        moved.map_err(|overdrawn| over_budget(&self.declaration.name, &overdrawn))
    }

    /// Writes all slices, or what the writer's run needs: rows whose key is the slice's end, as a
    /// timer's is its time, and then the key. To a writer that takes them in slices they're only
    /// written by [`encode`](Self::encode), as they are now.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), RunError> {
        self.begin_snapshot(writer);
        if !writer.is_sliced() {
            self.encode(writer, &mut EncodingBudget::unlimited())?;
        }
        Ok(())
    }

    /// All that's there is in published runs.
    fn track(&mut self) {
        self.dropped = Some(Dropped::default());
        let Self { slices, account, .. } = self;
        for slice in slices {
            slice.fresh = false;
            slice.tables.iter_mut().for_each(|table| table.track(account));
        }
    }

    fn restore_row(&mut self, state: &StateInRun<'_>, row: &Row<'_>) -> Result<(), StateError> {
        let (end, key) = if row.key.namespace.is_empty() {
            let Some((end, key)) = row.key.key.split_first_chunk() else {
                return Err(state.bad_row(row, "its key is too short for the end of a slice"));
            };
            (read_time(*end), key)
        } else {
            // As slices were written once.
            (state.key(row, "namespace", row.key.namespace)?, row.key.key)
        };
        let key: K = state.key(row, "key", key)?;
        let hash = key.key_hash();
        state.check_key_group(row, key_group(hash, self.max_parallelism))?;
        let value: V = state.value(row)?;
        let before = self.slice_len(end);
        drop(self.get_or_insert_with(end, &key, hash, || value)?);
        match self.slice_len(end) == before + 1 {
            true => Ok(()),
            false => Err(state.bad_row(row, "a key occurs twice in a slice")),
        }
    }

    #[inline]
    fn check(&mut self) -> Result<(), StateError> {
        self.account.check().map_err(|overdrawn| over_budget(&self.declaration.name, &overdrawn))
    }

    /// The key group's place in the range; beyond its end for another subtask's.
    #[inline]
    fn group(&self, hash: u64) -> usize {
        key_group(hash, self.max_parallelism).wrapping_sub(self.key_groups.start) as usize
    }

    /// Where the slice is.
    #[inline]
    fn find(&self, end: i64) -> Option<usize> {
        match self.slices.get(self.last) {
            Some(slice) if slice.end == end => Some(self.last),
            _ => self.slices.binary_search_by_key(&end, |slice| slice.end).ok(),
        }
    }

    /// Where the slice is, from now on.
    #[inline]
    fn place(&mut self, end: i64) -> usize {
        match self.slices.get(self.last) {
            Some(slice) if slice.end == end => self.last,
            _ => self.switch(end),
        }
    }

    #[cold]
    fn switch(&mut self, end: i64) -> usize {
        let found = self.slices.binary_search_by_key(&end, |slice| slice.end);
        let place = found.unwrap_or_else(|place| {
            let tables = self.key_groups.iter().map(|_| Table::default()).collect();
            self.slices.insert(place, Slice { end, length: 0, fresh: true, tables });
            self.account.change(0, Self::slice_overhead(self.key_groups));
            place
        });
        self.last = place;
        place
    }

    /// Bytes of a slice without entries.
    fn slice_overhead(key_groups: KeyGroupRange) -> usize {
        size_of::<Slice<K, V>>() + key_groups.len() as usize * size_of::<Table<K, V>>()
    }

    #[cold]
    fn foreign_key(&self, hash: u64) -> StateError {
        StateError::ForeignKey {
            state: self.declaration.name.clone(),
            key_group: key_group(hash, self.max_parallelism),
            start: self.key_groups.start,
            end: self.key_groups.end,
        }
    }
}
