//! One map per key.

use std::marker::PhantomData;

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{LastSnapshot, Row, RowOperation, RunError, RunKind, StateDeclaration};
use crate::sorted::Sorted;
use crate::table::{Found, Table};
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
        Ok(table.find(current)?.and_then(|map| map.0.find(map_key.key_hash(), map_key)))
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
        let (map, _, account) = table.entry(current, || Mapped(Table::default()))?;
        Ok(map.put(&map_key, value, account))
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
        let (map, _, account) = table.entry(current, || Mapped(Table::default()))?;
        let (value, found) = map.0.entry::<false>(map_key.key_hash(), &map_key, account, make);
        Ok(ValueMut::new(value, found == Found::Made, account))
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
        if map.0.len() == 0 {
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
        Ok(Sorted::new(entries, |entry, out| entry.key.encode_key(out))
            .into_items()
            .map(|entry| (&entry.key, &entry.value)))
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

/// Maps of fewer entries are written whole when one of them changes: noting which would take as
/// much memory as they do.
const TRACKED_MIN: usize = 16;

/// A map as it's stored: a row per entry, whose sub-key is the encoded map key.
pub(super) struct Mapped<MK, MV>(Table<MK, MV>);

impl<MK: Key, MV: Record> Mapped<MK, MV> {
    fn put(&mut self, key: &MK, value: MV, account: &mut MemoryAccount) -> Option<MV> {
        let (hash, heap) = (key.key_hash(), value.heap_size());
        if let Some((there, _)) = self.0.find_mut::<false>(hash, key) {
            let before = std::mem::replace(there, value);
            account.change(before.heap_size(), heap);
            return Some(before);
        }
        self.0.entry::<false>(hash, key, account, || value);
        account.change(0, heap);
        None
    }

    fn remove(&mut self, key: &MK, account: &mut MemoryAccount) -> Option<MV> {
        let value = self.0.remove(key.key_hash(), key, account)?;
        account.change(value.heap_size(), 0);
        Some(value)
    }
}

impl<MK: Key, MV: Record> Stored for Mapped<MK, MV> {
    const TRACKED: bool = true;
    const REMOVED: RowOperation<'static> = RowOperation::DeleteRange;
    type Mark = ();

    fn declare(declaration: &mut StateDeclaration) {
        declaration.map_key = Some(MK::schema());
        declaration.value = Some(MV::schema());
    }

    fn owned_bytes(&self) -> usize {
        let entries = if MK::OWNS_HEAP || MV::OWNS_HEAP {
            self.0.iter().map(|entry| entry.key.heap_size() + entry.value.heap_size()).sum()
        } else {
            0
        };
        self.0.allocation() + entries
    }

    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        self.0.in_order(None, |sub_key, place| {
            let Some((_, entry)) = place else { return Ok(()) };
            scratch.clear();
            entry.value.encode(scratch);
            put(sub_key, RowOperation::Value(scratch))
        })
    }

    fn write_changes(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        let changes = self.0.changes_for(RunKind::Delta);
        if changes.is_none() {
            put(&[], RowOperation::DeleteRange)?;
            return self.write(scratch, put);
        }
        self.0.in_order(changes, |sub_key, place| {
            let Some((_, entry)) = place else { return put(sub_key, RowOperation::Delete) };
            scratch.clear();
            entry.value.encode(scratch);
            put(sub_key, RowOperation::Value(scratch))
        })
    }

    fn begin_changes(&mut self, account: &mut MemoryAccount) {
        if self.0.len() >= TRACKED_MIN {
            self.0.track(account);
        }
    }

    fn taken(&mut self, (): (), account: &mut MemoryAccount) {
        if self.0.len() >= TRACKED_MIN || self.0.changes().is_some() {
            self.0.taken(account);
        }
    }

    fn published(&mut self, unchanged: bool, account: &mut MemoryAccount) {
        self.0.settle(LastSnapshot::Published, account);
        if unchanged {
            self.0.stop_tracking(account);
        }
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>) -> Result<Self, StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let value = state.value(row)?;
        let mut map = Table::default();
        // The caller charges for all of the map.
        map.entry::<false>(key.key_hash(), &key, &mut MemoryAccount::uncharged(), || value);
        Ok(Mapped(map))
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let value: MV = state.value(row)?;
        match self.put(&key, value, account) {
            None => Ok(()),
            Some(_) => Err(state.bad_row(row, "its map key occurs twice")),
        }
    }
}
