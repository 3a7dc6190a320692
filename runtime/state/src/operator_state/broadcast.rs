//! A map that all subtasks of an operator hold equally.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::{AnyState, KEY_GROUP, KEY_GROUPS, OperatorState, begin_whole_state};
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::RestoredOperator;
use crate::run::{RowKey, RunError, RunWriter, StateDeclaration};

/// Handle of a broadcast map.
pub struct BroadcastState<MK, MV> {
    index: u32,
    types: PhantomData<fn() -> (MK, MV)>,
}

handle!(BroadcastState<MK, MV>);

impl<MK: Key, MV: Record> BroadcastState<MK, MV> {
    /// The map key's value.
    ///
    /// # Errors
    /// The handle belongs to another operator. The same for the other methods.
    pub fn get<'s>(
        &self,
        state: &'s OperatorState,
        map_key: &MK,
    ) -> Result<Option<&'s MV>, StateError> {
        let map = state.state::<Broadcast<MK, MV>>(self.index)?;
        Ok(map.entries.get(&encode(map_key)).map(|(_, value)| value))
    }

    /// Sets the map key's value and returns the one before.
    ///
    /// # Errors
    /// As [`get`](Self::get); also, the budget is used up. The same for the other methods that
    /// change the map.
    pub fn put(
        &self,
        state: &mut OperatorState,
        map_key: MK,
        value: MV,
    ) -> Result<Option<MV>, StateError> {
        let map = state.state_mut::<Broadcast<MK, MV>>(self.index)?;
        let after = size(&map_key, &value);
        let before = map.entries.insert(encode(&map_key), (map_key, value));
        let freed = before.as_ref().map_or(0, |(key, value)| size(key, value));
        state.charge(self.index, freed, after)?;
        Ok(before.map(|(_, value)| value))
    }

    /// Takes the map key and its value out.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove(
        &self,
        state: &mut OperatorState,
        map_key: &MK,
    ) -> Result<Option<MV>, StateError> {
        let map = state.state_mut::<Broadcast<MK, MV>>(self.index)?;
        let removed = map.entries.remove(&encode(map_key));
        let freed = removed.as_ref().map_or(0, |(key, value)| size(key, value));
        state.charge(self.index, freed, 0)?;
        Ok(removed.map(|(_, value)| value))
    }

    /// All entries, in the order of the map keys' encoding: numbers and strings ascend.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries<'s>(
        &self,
        state: &'s OperatorState,
    ) -> Result<impl ExactSizeIterator<Item = (&'s MK, &'s MV)>, StateError> {
        let map = state.state::<Broadcast<MK, MV>>(self.index)?;
        Ok(map.entries.values().map(|(key, value)| (key, value)))
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, state: &mut OperatorState) -> Result<(), StateError> {
        let map = state.state_mut::<Broadcast<MK, MV>>(self.index)?;
        let freed = map.bytes();
        map.entries.clear();
        state.charge(self.index, freed, 0)
    }
}

/// What an entry takes, its encoded key included.
fn size<MK: Key, MV: Record>(key: &MK, value: &MV) -> usize {
    let own = size_of::<(Vec<u8>, (MK, MV))>() + size_of::<MK>();
    own + 2 * key.heap_size() + value.heap_size()
}

fn encode<MK: Key>(key: &MK) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    bytes
}

/// The entries by their encoded keys; each a row with that as its sub-key.
pub(super) struct Broadcast<MK, MV> {
    declaration: StateDeclaration,
    entries: BTreeMap<Vec<u8>, (MK, MV)>,
}

impl<MK: Key, MV: Record> Broadcast<MK, MV> {
    /// Takes the map of one subtask, so that not all read the same run.
    pub(super) fn restore(
        declaration: StateDeclaration,
        restored: Option<&RestoredOperator>,
    ) -> Result<Broadcast<MK, MV>, StateError> {
        let mut entries = BTreeMap::new();
        if let Some(restored) = restored {
            let states = restored.claim(&declaration)?;
            let chosen = restored.subtask() as usize % states.len().max(1);
            if let Some(state) = states.get(chosen) {
                state.for_each_row(KEY_GROUPS, |in_run, row| {
                    let key: MK = in_run.key(row, "map key", row.key.sub_key)?;
                    entries.insert(encode(&key), (key, in_run.value(row)?));
                    Ok(())
                })?;
            }
        }
        Ok(Broadcast { declaration, entries })
    }
}

impl<MK: Key, MV: Record> AnyState for Broadcast<MK, MV> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn bytes(&self) -> usize {
        self.entries.values().map(|(key, value)| size(key, value)).sum()
    }

    fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError> {
        begin_whole_state(writer, &self.declaration)?;
        let mut bytes = Vec::new();
        for (sub_key, (_, value)) in &self.entries {
            bytes.clear();
            value.encode(&mut bytes);
            let key = RowKey { key_group: KEY_GROUP, key: &[], namespace: &[], sub_key };
            writer.put(key, &bytes)?;
        }
        Ok(())
    }
}
