//! One map per key.

use std::marker::PhantomData;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use thalweg_core::Record;
use thalweg_core::record::Key;

use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::ClaimedState;
use crate::run::{Row, RunError, StateDeclaration};
use crate::sorted::Sorted;
use crate::value_mut::ValueMut;

/// Handle of a state that holds a map per key.
pub struct MapState<MK, MV> {
    index: u32,
    types: PhantomData<fn() -> (MK, MV)>,
}

handle!(MapState<MK, MV>);

impl<MK: Key, MV: Record> MapState<MK, MV> {
    /// The value of a map key of the current key's map.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    pub fn get<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<Option<&'c MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        Ok(table.find(current)?.and_then(|map| map.find(map_key)))
    }

    /// Whether the current key's map has the map key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<bool, StateError> {
        Ok(self.get(context, map_key)?.is_some())
    }

    /// Sets the map key's value and returns the one before.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn put(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: MK,
        value: MV,
    ) -> Result<Option<MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let (map, _, account) = table.entry(current, || Mapped(HashTable::new()))?;
        Ok(map.put(map_key, value, account))
    }

    /// The map key's value, to be changed in place; made by `make` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or_insert_with<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
        map_key: MK,
        make: impl FnOnce() -> MV,
    ) -> Result<ValueMut<'c, MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let (map, _, account) = table.entry(current, || Mapped(HashTable::new()))?;
        let (value, made) = map.entry(map_key, make, account);
        Ok(ValueMut::new(value, made, account))
    }

    /// Takes the map key and its value out of the current key's map.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<Option<MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let Some((map, account)) = table.find_mut(current)? else {
            return Ok(None);
        };
        let removed = map.remove(map_key, account);
        if map.0.is_empty() {
            table.remove(current)?;
        }
        Ok(removed)
    }

    /// The entries of the current key's map, in the order of the map keys' encoding: numbers and
    /// strings ascend. Sorts them: for large maps prefer [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
    ) -> Result<impl ExactSizeIterator<Item = (&'c MK, &'c MV)>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let map = table.find(current)?;
        let entries = map.into_iter().flat_map(|map| map.0.iter());
        Ok(Sorted::new(entries, |(key, _), out| key.encode_key(out))
            .into_items()
            .map(|(key, value)| (key, value)))
    }

    /// The number of entries of the current key's map.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn len(&self, context: &mut impl KeyedStateAccess) -> Result<usize, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        Ok(table.find(current)?.map_or(0, |map| map.0.len()))
    }

    /// Whether the current key's map is empty.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn is_empty(&self, context: &mut impl KeyedStateAccess) -> Result<bool, StateError> {
        Ok(self.len(context)? == 0)
    }

    /// The current key's map is empty from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, context: &mut impl KeyedStateAccess) -> Result<(), StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.remove(current).map(drop)
    }

    fn parts<'c, C: KeyedStateAccess>(
        &self,
        context: &'c mut C,
    ) -> Result<Parts<'c, C::Key, Mapped<MK, MV>>, StateError> {
        context.keyed_state().parts(self.index as usize)
    }
}

/// A map as it's stored: a row per entry, whose sub-key is the encoded map key.
pub(super) struct Mapped<MK, MV>(HashTable<(MK, MV)>);

impl<MK: Key, MV: Record> Mapped<MK, MV> {
    fn find(&self, key: &MK) -> Option<&MV> {
        self.0.find(key.key_hash(), |entry| entry.0 == *key).map(|(_, value)| value)
    }

    /// What a new value owns isn't charged.
    fn entry(
        &mut self,
        key: MK,
        make: impl FnOnce() -> MV,
        account: &mut MemoryAccount,
    ) -> (&mut MV, bool) {
        match self.slot(&key, account) {
            Entry::Occupied(entry) => (&mut entry.into_mut().1, false),
            Entry::Vacant(entry) => {
                account.change(0, key.heap_size());
                (&mut entry.insert((key, make())).into_mut().1, true)
            }
        }
    }

    fn put(&mut self, key: MK, value: MV, account: &mut MemoryAccount) -> Option<MV> {
        let heap = value.heap_size();
        match self.slot(&key, account) {
            Entry::Occupied(mut entry) => {
                let before = std::mem::replace(&mut entry.get_mut().1, value);
                account.change(before.heap_size(), heap);
                Some(before)
            }
            Entry::Vacant(entry) => {
                account.change(0, key.heap_size() + heap);
                entry.insert((key, value));
                None
            }
        }
    }

    /// Where the key is, or belongs.
    fn slot(&mut self, key: &MK, account: &mut MemoryAccount) -> Entry<'_, (MK, MV)> {
        if self.0.len() == self.0.capacity() {
            let before = self.0.allocation_size();
            self.0.reserve(1, |entry| entry.0.key_hash());
            account.change(before, self.0.allocation_size());
        }
        self.0.entry(key.key_hash(), |entry| entry.0 == *key, |entry| entry.0.key_hash())
    }

    fn remove(&mut self, key: &MK, account: &mut MemoryAccount) -> Option<MV> {
        let found = self.0.find_entry(key.key_hash(), |entry| entry.0 == *key).ok()?;
        let ((key, value), _) = found.remove();
        account.change(key.heap_size() + value.heap_size(), 0);
        Some(value)
    }
}

impl<MK: Key, MV: Record> Stored for Mapped<MK, MV> {
    fn declare(declaration: &mut StateDeclaration) {
        declaration.map_key = Some(MK::schema());
        declaration.value = Some(MV::schema());
    }

    fn owned_bytes(&self) -> usize {
        let entries = if MK::OWNS_HEAP || MV::OWNS_HEAP {
            self.0.iter().map(|(key, value)| key.heap_size() + value.heap_size()).sum()
        } else {
            0
        };
        self.0.allocation_size() + entries
    }

    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        let entries = Sorted::new(self.0.iter(), |(key, _), out| key.encode_key(out));
        for (sub_key, (_, value)) in entries.iter() {
            scratch.clear();
            value.encode(scratch);
            put(sub_key, scratch)?;
        }
        Ok(())
    }

    fn read(state: &ClaimedState<'_>, row: &Row<'_>) -> Result<Self, StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let mut map = HashTable::with_capacity(1);
        let hash = key.key_hash();
        map.insert_unique(hash, (key, state.value(row)?), |entry| entry.0.key_hash());
        Ok(Mapped(map))
    }

    fn read_more(
        &mut self,
        state: &ClaimedState<'_>,
        row: &Row<'_>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let value: MV = state.value(row)?;
        account.change(0, value.heap_size());
        match self.entry(key, || value, account) {
            (_, true) => Ok(()),
            (_, false) => Err(state.bad_row(row, "its map key occurs twice")),
        }
    }
}
