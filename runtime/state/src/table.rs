//! The hash table that keyed state and slices are made of: one per key group, probed with the
//! hash that travels with the row. Not here: which group a key belongs to.
//!
//! Every change of a value goes through [`Table::entry`], [`Table::find_mut`] or
//! [`Table::remove`]: there a row's place is marked as changed, once the table is tracked.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use thalweg_core::record::Key;

use crate::budget::MemoryAccount;
use crate::changes::{Bits, Changes};
use crate::encoding::Frozen;
use crate::run::{LastSnapshot, RunError, RunKind};
use crate::sorted::Sorted;

/// Keys and values of one key group, or the map of one key.
pub(crate) struct Table<K, V> {
    entries: HashTable<Entry<K, V>>,
    /// None: untracked.
    changes: Option<Box<Changes>>,
    /// Set while entries still have to be written to a snapshot, as they were at its barrier.
    frozen: Option<Box<Freeze<K, V>>>,
}

/// What a snapshot under way needs of a table.
struct Freeze<K, V> {
    frozen: Frozen,
    /// Entries as they were at the barrier, copied before they changed. They wait here, and no
    /// longer in their places. What they take isn't the table's.
    copied: Vec<Entry<K, V>>,
}

/// Words of places whose entries are copied together: those of about seven pages of a processor's
/// cache for entries of 16 bytes, in less than a microsecond.
const COPIED_WORDS: usize = 8;

/// A key and its value. The hash isn't kept: with it, counting a million keys is no faster, also
/// while the table grows, and takes half as much memory again (`examples/count_per_key.rs`: 26 MB
/// instead of 18 for 500,000 keys; 22.0 and 24.1 M/s growing, 23.6 and 24.5 M/s grown).
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

/// Brings the cache line in which `target` begins closer to the processor, where there is an
/// instruction for it. Counting a million keys (`keyed-count` of tests/benchmarks) took 107 ns of
/// processor time a record without, most of it waiting for this line, and 40 with it.
#[inline]
pub(crate) fn prefetch<T>(target: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees and changes nothing, whatever
        // the address is. Every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(target.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { entries: HashTable::new(), changes: None, frozen: None }
    }
}

impl<K: Key, V> Table<K, V> {
    /// Bytes of the table itself, without what keys and values own.
    pub(crate) fn allocation(&self) -> usize {
        let changes = self.changes.as_ref().map_or(0, |changes| changes.bytes());
        let frozen = self.frozen().map_or(0, Frozen::bytes);
        self.entries.allocation_size() + changes + frozen
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<&V> {
        self.entries.find(hash, |entry| entry.key == *key).map(|entry| &entry.value)
    }

    /// Asks the processor for the entry that this hash probably leads to, without waiting for it.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        // The first entry with the hash's tag: almost always the one, and never a wrong result,
        // for nothing is read from it here.
        self.entries.find(hash, |entry| {
            prefetch(entry);
            true
        });
    }

    /// The key's value, to be changed, and how it was found.
    #[inline]
    pub(crate) fn find_mut<const FIRST: bool>(
        &mut self,
        hash: u64,
        key: &K,
    ) -> Option<(&mut V, Found)> {
        let entry = self.entries.find_entry(hash, |entry| entry.key == *key).ok()?;
        let found = touch::<FIRST>(&mut self.changes, || entry.bucket_index());
        Some((&mut entry.into_mut().value, found))
    }

    /// The key's value, made if there is none, and how it was found. What the table and the key
    /// take is charged to the account; what the value owns isn't.
    #[inline]
    pub(crate) fn entry<const FIRST: bool>(
        &mut self,
        hash: u64,
        key: &K,
        account: &mut MemoryAccount,
        make: impl FnOnce() -> V,
    ) -> (&mut V, Found) {
        // Growth is rare, so it's charged apart from the probe: `entry` would borrow the table.
        if self.entries.len() == self.entries.capacity() {
            self.grow(account);
        }
        match self.entries.entry(hash, |entry| entry.key == *key, |entry| entry.key.key_hash()) {
            Slot::Occupied(entry) => {
                let found = touch::<FIRST>(&mut self.changes, || entry.bucket_index());
                (&mut entry.into_mut().value, found)
            }
            Slot::Vacant(entry) => {
                if K::OWNS_HEAP {
                    account.change(0, key.heap_size());
                }
                let entry = entry.insert(Entry { key: key.clone(), value: make() });
                if let Some(changes) = &mut self.changes {
                    changes.insert(entry.bucket_index());
                }
                if let Some(freeze) = &mut self.frozen {
                    freeze.frozen.leave(entry.bucket_index());
                }
                (&mut entry.into_mut().value, Found::Made)
            }
        }
    }

    /// Makes room for one more.
    #[cold]
    fn grow(&mut self, account: &mut MemoryAccount) {
        let before = self.allocation();
        // As `reserve` would: many removed entries leave room once the table is put in order.
        let (needed, room) = (self.entries.len() + 1, self.entries.num_buckets() / 8 * 7);
        if self.changes.is_none() && self.frozen.is_none() {
            self.entries.reserve(1, |entry| entry.key.key_hash());
        } else {
            self.relocate(if needed <= room / 2 { room } else { needed.max(room + 1) });
        }
        account.change(before, self.allocation());
    }

    /// Moves all entries to a table for so many, and what is known of their places with them.
    fn relocate(&mut self, capacity: usize) {
        let mut entries = HashTable::with_capacity(capacity.max(self.entries.len()));
        let places = entries.num_buckets();
        let mut changes = self.changes.as_mut().map(|changes| changes.resized(places));
        let mut frozen = self.frozen().map(|frozen| frozen.resized(places));
        for place in 0..self.entries.num_buckets() {
            let Ok(entry) = self.entries.get_bucket_entry(place) else { continue };
            let (entry, _) = entry.remove();
            let hash = entry.key.key_hash();
            let to = entries.insert_unique(hash, entry, |entry| entry.key.key_hash());
            let to = to.bucket_index();
            if let (Some(moved), Some(changes)) = (&mut changes, &mut self.changes) {
                moved.put(to, changes.take(place));
            }
            if let (Some(moved), Some(freeze)) = (&mut frozen, &mut self.frozen) {
                moved.arrive(to, freeze.frozen.leave(place));
            }
        }
        self.entries = entries;
        self.changes = changes.map(Box::new);
        if let (Some(moved), Some(freeze)) = (frozen, &mut self.frozen) {
            freeze.frozen = moved;
        }
    }

    /// Takes the key's value out. What the value owned isn't credited to the account.
    pub(crate) fn remove(&mut self, hash: u64, key: &K, account: &mut MemoryAccount) -> Option<V> {
        let before = self.allocation();
        let entry = self.entries.find_entry(hash, |entry| entry.key == *key).ok()?;
        let place = entry.bucket_index();
        let (entry, _) = entry.remove();
        if let Some(changes) = &mut self.changes
            && !changes.remove(place, self.entries.len(), |out| entry.key.encode_key(out))
        {
            self.changes = None;
        }
        if K::OWNS_HEAP {
            account.change(entry.key.heap_size(), 0);
        }
        let (capacity, length) = (self.entries.capacity(), self.entries.len());
        if capacity > 64 && length < capacity / 8 {
            match self.changes.is_some() || self.frozen.is_some() {
                true => self.relocate(length * 2),
                false => self.entries.shrink_to(length * 2, |entry| entry.key.key_hash()),
            }
        }
        account.change(before, self.allocation());
        Some(entry.value)
    }

    /// Credits all that the table takes, without what the values own, before it's dropped.
    pub(crate) fn release(&self, account: &mut MemoryAccount) {
        account.change(self.allocation(), 0);
        if K::OWNS_HEAP {
            account.change(self.iter().map(|entry| entry.key.heap_size()).sum(), 0);
        }
    }

    /// In no particular order, but the same for the same history.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.entries.iter()
    }

    /// Number of places that an entry can be in.
    #[inline]
    pub(crate) fn buckets(&self) -> usize {
        self.entries.num_buckets()
    }

    /// The entry in a place.
    #[inline]
    pub(crate) fn bucket(&self, bucket: usize) -> Option<&Entry<K, V>> {
        self.entries.get_bucket(bucket)
    }

    /// Asks the processor for the entries in these places of a word.
    #[inline]
    pub(crate) fn prefetch_places(&self, word: usize, bits: u64) {
        for place in crate::changes::places_of(word, bits) {
            if let Some(entry) = self.entries.get_bucket(place) {
                prefetch(entry);
            }
        }
    }

    /// What is known about changes; None if all counts as changed.
    pub(crate) fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    /// What a run of this kind has to hold: these changes; None for everything.
    pub(crate) fn changes_for(&self, kind: RunKind) -> Option<&Changes> {
        let changes = self.changes.as_deref().filter(|changes| !changes.is_whole());
        changes.filter(|_| kind == RunKind::Delta)
    }

    /// Whether the entry in this place has changed since the last published checkpoint, or nobody
    /// knows.
    pub(crate) fn has_changed(&self, place: usize) -> bool {
        self.changes.as_ref().is_none_or(|changes| changes.has_changed(place))
    }

    /// Calls `each` in the order of the encoded keys: for all entries, or for those of `changes`
    /// and, without an entry, for keys that are gone.
    pub(crate) fn in_order(
        &self,
        changes: Option<&Changes>,
        mut each: impl FnMut(&[u8], Option<(usize, &Entry<K, V>)>) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let with_entry = |place| Some((place, self.entries.get_bucket(place)?));
        let encode = |(_, entry): &(usize, &Entry<K, V>), out: &mut Vec<u8>| {
            entry.key.encode_key(out);
        };
        let Some(changes) = changes else {
            let all = Sorted::new(self.entries.iter_buckets().filter_map(with_entry), encode);
            return all.iter().try_for_each(|(key, entry)| each(key, Some(*entry)));
        };
        let changed = Sorted::new(changes.changed().filter_map(with_entry), encode);
        let mut removed = changes.removed().peekable();
        for (key, entry) in changed.iter() {
            while let Some(gone) = removed.next_if(|gone| *gone < key) {
                each(gone, None)?;
            }
            // One that is there again.
            removed.next_if(|gone| *gone == key);
            each(key, Some(*entry))?;
        }
        removed.try_for_each(|gone| each(gone, None))
    }

    /// The fate of the last snapshot is known. The places of entries that it held as changes, if it
    /// was published.
    pub(crate) fn settle(&mut self, last: LastSnapshot, account: &mut MemoryAccount) -> Bits {
        let mut held = Bits::default();
        self.change_tracking(account, |changes, _| {
            if let Some(changes) = changes {
                held = changes.settle(last);
            }
        });
        held
    }

    /// A snapshot of this kind begins: what belongs to it waits from now on. `SETTLES`: entries
    /// have to be told what became of the last one.
    pub(crate) fn freeze<const SETTLES: bool>(
        &mut self,
        kind: RunKind,
        tracking: Option<LastSnapshot>,
        account: &mut MemoryAccount,
    ) {
        let held = tracking.map(|last| self.settle(last, account)).unwrap_or_default();
        let unsettled = if SETTLES { held } else { Bits::default() };
        let whole = self.changes_for(kind).is_none();
        if tracking.is_some() {
            self.taken(account);
        }
        let (waiting, removed) = match self.changes.as_ref().filter(|_| !whole) {
            Some(changes) => (changes.pending().clone(), changes.removed_pending()),
            None => (Bits::all(self.entries.num_buckets()), Default::default()),
        };
        let frozen = Frozen::new(waiting, unsettled, whole, removed);
        if self.entries.is_empty() && whole && kind == RunKind::Base || frozen.is_nothing() {
            return;
        }
        account.change(0, frozen.bytes());
        self.frozen = Some(Box::new(Freeze { frozen, copied: Vec::new() }));
    }

    /// No entry has to be written any more. Those that weren't told what became of the last
    /// snapshot are told now.
    pub(crate) fn thaw(
        &mut self,
        account: &mut MemoryAccount,
        settle: impl Fn(&mut V, bool, &mut MemoryAccount),
    ) {
        let mut word = 0;
        while self.settle_word(word, account, &settle).is_some() {
            word += 1;
        }
        if let Some(freeze) = self.frozen.take() {
            account.change(freeze.frozen.bytes(), 0);
        }
    }

    /// What has to be written, and what not any more.
    pub(crate) fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref().map(|freeze| &freeze.frozen)
    }

    pub(crate) fn frozen_mut(&mut self) -> Option<&mut Frozen> {
        self.frozen.as_mut().map(|freeze| &mut freeze.frozen)
    }

    /// Calls `settle` for the entries in a word of places that weren't told what became of the
    /// last snapshot, with whether they haven't changed since. How many; None beyond the end.
    pub(crate) fn settle_word(
        &mut self,
        word: usize,
        account: &mut MemoryAccount,
        settle: impl Fn(&mut V, bool, &mut MemoryAccount),
    ) -> Option<usize> {
        let frozen = &mut self.frozen.as_mut()?.frozen;
        let bits = frozen.unsettled_word(word)?;
        let mut settled = 0;
        for place in crate::changes::places_of(word, bits) {
            frozen.take_unsettled(place);
            let Some(entry) = self.entries.get_bucket_mut(place) else { continue };
            let changes = self.changes.as_ref();
            let unchanged = changes.is_some_and(|changes| !changes.is_pending(place));
            settle(&mut entry.value, unchanged, account);
            settled += 1;
        }
        Some(settled)
    }

    /// How many entries belong to the snapshot under way, just after it has begun.
    pub(crate) fn frozen_entries(&self) -> usize {
        self.frozen().map_or(0, Frozen::places).min(self.entries.len())
    }

    /// Whether any entry has to be looked for by [`waiting`](Self::waiting) before it changes.
    #[inline]
    pub(crate) fn awaits(&self) -> bool {
        self.frozen.as_ref().is_some_and(|freeze| freeze.frozen.awaits())
    }

    /// The key's entry is about to change: its place, if there's anything to do before.
    pub(crate) fn waiting(&self, hash: u64, key: &K) -> Option<usize> {
        let frozen = self.frozen()?;
        let place = self.entries.find_bucket_index(hash, |entry| entry.key == *key)?;
        frozen.needs_care(place).then_some(place)
    }

    /// The entry in a place that hasn't been told what became of the last snapshot, and whether
    /// it hasn't changed since. Once.
    pub(crate) fn take_unsettled(&mut self, place: usize) -> Option<(&mut V, bool)> {
        self.frozen_mut()?.take_unsettled(place).then_some(())?;
        let changes = self.changes.as_ref();
        let unchanged = changes.is_some_and(|changes| !changes.is_pending(place));
        Some((&mut self.entries.get_bucket_mut(place)?.value, unchanged))
    }

    /// The entry in a place that has to be written, and whether it has changed since the last
    /// published checkpoint, or nobody knows. Once.
    pub(crate) fn take_waiting(&mut self, place: usize) -> Option<(&mut Entry<K, V>, bool)> {
        self.frozen_mut()?.take(place).then_some(())?;
        let changed = self.has_changed(place);
        Some((self.entries.get_bucket_mut(place)?, changed))
    }

    /// Copies the entry in this place, and its neighbours, if they wait: where one changes of rows
    /// that are cheap to copy, others will. How many bytes that takes.
    pub(crate) fn copy_around(
        &mut self,
        place: usize,
        copy: impl Fn(&Entry<K, V>) -> Option<Entry<K, V>>,
    ) -> usize {
        let Some(freeze) = &mut self.frozen else { return 0 };
        let Freeze { frozen, copied } = &mut **freeze;
        let (first, before) = (place / 64 / COPIED_WORDS * COPIED_WORDS, copied.len());
        if copied.is_empty() {
            copied.reserve_exact(frozen.places().min(self.entries.len()));
        }
        for word in first..first + COPIED_WORDS {
            let waiting = crate::changes::places_of(word, frozen.take_word(word));
            copied.extend(waiting.filter_map(|at| copy(self.entries.get_bucket(at)?)));
        }
        (copied.len() - before) * size_of::<Entry<K, V>>()
    }

    /// The entries that were copied.
    pub(crate) fn copied(&self) -> &[Entry<K, V>] {
        self.frozen.as_ref().map_or(&[], |freeze| &freeze.copied)
    }

    /// The same, to be written.
    pub(crate) fn copied_mut(&mut self) -> &mut [Entry<K, V>] {
        self.frozen.as_mut().map_or(&mut [], |freeze| &mut freeze.copied)
    }

    /// A snapshot was taken that holds all entries, or what has changed of them.
    pub(crate) fn taken(&mut self, account: &mut MemoryAccount) {
        self.change_tracking(account, |changes, places| match changes {
            Some(changes) => changes.taken(),
            None => *changes = Some(Box::new(Changes::whole(places))),
        });
    }

    /// All that's there is in published runs: from now on changes are noted.
    pub(crate) fn track(&mut self, account: &mut MemoryAccount) {
        self.change_tracking(account, |changes, places| {
            *changes = Some(Box::new(Changes::none(places)));
        });
    }

    /// From now on all counts as changed.
    pub(crate) fn stop_tracking(&mut self, account: &mut MemoryAccount) {
        self.change_tracking(account, |changes, _| *changes = None);
    }

    fn change_tracking(
        &mut self,
        account: &mut MemoryAccount,
        change: impl FnOnce(&mut Option<Box<Changes>>, usize),
    ) {
        let before = self.changes.as_ref().map_or(0, |changes| changes.bytes());
        change(&mut self.changes, self.entries.num_buckets());
        account.change(before, self.changes.as_ref().map_or(0, |changes| changes.bytes()));
    }
}

/// An entry may change from now on. `FIRST`: whether it hadn't before is asked for.
#[inline]
fn touch<const FIRST: bool>(
    changes: &mut Option<Box<Changes>>,
    place: impl FnOnce() -> usize,
) -> Found {
    let Some(changes) = changes else { return Found::Changed };
    let place = place();
    let unchanged = FIRST && !changes.has_changed(place);
    changes.touch(place);
    if unchanged { Found::Unchanged } else { Found::Changed }
}

/// How an entry was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It wasn't there.
    Made,
    /// It's as it was in the last published checkpoint. Only if that was asked for.
    Unchanged,
    /// It has changed since, or nobody knows.
    Changed,
}
