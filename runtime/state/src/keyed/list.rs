//! One list per key. In a snapshot a list is cut into chunks of bounded size.

use std::marker::PhantomData;

use thalweg_core::Record;

use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::ClaimedState;
use crate::run::{Row, RunError, StateDeclaration};

/// A chunk ends once it has this many bytes, or elements.
const CHUNK: usize = 16 * 1024;

/// Handle of a state that holds a list per key.
pub struct ListState<V> {
    index: u32,
    types: PhantomData<fn() -> V>,
}

handle!(ListState<V>);

impl<V: Record> ListState<V> {
    /// The current key's list; empty if nothing was added.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    pub fn get<'c>(&self, context: &'c mut impl KeyedStateAccess) -> Result<&'c [V], StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        Ok(table.find(current)?.map_or(&[], |entry| &entry.0))
    }

    /// Adds an element at the end of the current key's list.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn add(&self, context: &mut impl KeyedStateAccess, element: V) -> Result<(), StateError> {
        self.add_all(context, [element])
    }

    /// Adds elements at the end of the current key's list.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn add_all(
        &self,
        context: &mut impl KeyedStateAccess,
        elements: impl IntoIterator<Item = V>,
    ) -> Result<(), StateError> {
        let mut elements = elements.into_iter().peekable();
        if elements.peek().is_none() {
            return Ok(());
        }
        let Parts { table, current, .. } = self.parts(context)?;
        let (entry, _, account) = table.entry(current, || Listed(Vec::new()))?;
        entry.append(elements, account);
        Ok(())
    }

    /// Replaces the current key's list; an empty one clears it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn update(
        &self,
        context: &mut impl KeyedStateAccess,
        elements: Vec<V>,
    ) -> Result<(), StateError> {
        if elements.is_empty() {
            return self.clear(context);
        }
        let Parts { table, current, .. } = self.parts(context)?;
        let (entry, _, account) = table.entry(current, || Listed(Vec::new()))?;
        let before = entry.owned_bytes();
        entry.0 = elements;
        account.change(before, entry.owned_bytes());
        Ok(())
    }

    /// The current key's list is empty from now on.
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
    ) -> Result<Parts<'c, C::Key, Listed<V>>, StateError> {
        context.keyed_state().parts(self.index as usize)
    }
}

/// A list as it's stored: rows whose sub-key is the chunk's number, four bytes big endian, and
/// whose value is the chunk as a `Vec<V>`.
pub(super) struct Listed<V>(Vec<V>);

impl<V: Record> Listed<V> {
    fn append(&mut self, elements: impl IntoIterator<Item = V>, account: &mut MemoryAccount) {
        let (capacity, length) = (self.0.capacity(), self.0.len());
        self.0.extend(elements);
        account.change(capacity * size_of::<V>(), self.0.capacity() * size_of::<V>());
        if V::OWNS_HEAP {
            account.change(0, self.0[length..].iter().map(V::heap_size).sum());
        }
    }
}

impl<V: Record> Stored for Listed<V> {
    fn declare(declaration: &mut StateDeclaration) {
        declaration.value = Some(Vec::<V>::schema());
    }

    fn owned_bytes(&self) -> usize {
        let elements = if V::OWNS_HEAP { self.0.iter().map(V::heap_size).sum() } else { 0 };
        self.0.capacity() * size_of::<V>() + elements
    }

    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        let mut rest = self.0.as_slice();
        let mut elements = Vec::new();
        for number in 0u32.. {
            elements.clear();
            let mut count = 0;
            while count < rest.len() && count < CHUNK && elements.len() < CHUNK {
                rest[count].encode(&mut elements);
                count += 1;
            }
            // As `Vec<V>` encodes: the length, then at least a byte for each element.
            scratch.clear();
            (count as u64).encode(scratch);
            elements.resize(elements.len().max(count), 0);
            scratch.extend_from_slice(&elements);
            put(&number.to_be_bytes(), scratch)?;
            rest = &rest[count..];
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn read(state: &ClaimedState<'_>, row: &Row<'_>) -> Result<Self, StateError> {
        state.value(row).map(Listed)
    }

    fn read_more(
        &mut self,
        state: &ClaimedState<'_>,
        row: &Row<'_>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let more: Vec<V> = state.value(row)?;
        self.append(more, account);
        Ok(())
    }
}
