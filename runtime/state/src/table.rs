//! The hash table that keyed state and slices are made of: one per key group, probed with the
//! hash that travels with the row. Not here: which group a key belongs to.
//!
//! Every change of a value goes through [`Table::entry`], [`Table::find_mut`] or
//! [`Table::remove`]: the places where a row's dirtiness will be tracked.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use thalweg_core::record::Key;

use crate::budget::MemoryAccount;

/// Keys and values of one key group.
pub(crate) struct Table<K, V> {
    entries: HashTable<Entry<K, V>>,
}

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
fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees and changes nothing, whatever
        // the address is; this one is even that of a live value. Every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { entries: HashTable::new() }
    }
}

impl<K: Key, V> Table<K, V> {
    /// Bytes of the table itself, without what keys and values own.
    fn allocation(&self) -> usize {
        self.entries.allocation_size()
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

    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        self.entries.find_mut(hash, |entry| entry.key == *key).map(|entry| &mut entry.value)
    }

    /// The key's value, made if there is none, and whether it was made. What the table and the
    /// key take is charged to the account; what the value owns isn't.
    #[inline]
    pub(crate) fn entry(
        &mut self,
        hash: u64,
        key: &K,
        account: &mut MemoryAccount,
        make: impl FnOnce() -> V,
    ) -> (&mut V, bool) {
        let full = self.entries.len() == self.entries.capacity();
        let before = if full { self.allocation() } else { 0 };
        // Growth is rare, so it's charged apart from the probe: `entry` would borrow the table.
        if full {
            self.entries.reserve(1, |entry| entry.key.key_hash());
            account.change(before, self.allocation());
        }
        match self.entries.entry(hash, |entry| entry.key == *key, |entry| entry.key.key_hash()) {
            Slot::Occupied(entry) => (&mut entry.into_mut().value, false),
            Slot::Vacant(entry) => {
                if K::OWNS_HEAP {
                    account.change(0, key.heap_size());
                }
                let entry = entry.insert(Entry { key: key.clone(), value: make() });
                (&mut entry.into_mut().value, true)
            }
        }
    }

    /// Takes the key's value out. What the value owned isn't credited to the account.
    pub(crate) fn remove(&mut self, hash: u64, key: &K, account: &mut MemoryAccount) -> Option<V> {
        let (entry, _) = self.entries.find_entry(hash, |entry| entry.key == *key).ok()?.remove();
        if K::OWNS_HEAP {
            account.change(entry.key.heap_size(), 0);
        }
        let (capacity, length) = (self.entries.capacity(), self.entries.len());
        if capacity > 64 && length < capacity / 8 {
            let before = self.allocation();
            self.entries.shrink_to(length * 2, |entry| entry.key.key_hash());
            account.change(before, self.allocation());
        }
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
}
