//! One list per key. In a snapshot a list is cut into chunks of bounded size.

use std::marker::PhantomData;

use thalweg_core::Record;

use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{Row, RowOperation, RunError, StateDeclaration};

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
        Ok(table.find(current)?.map_or(&[], |entry| &entry.elements))
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
        let (entry, _, account) = table.entry(current, || Listed::new(Vec::new()))?;
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
        let (entry, _, account) = table.entry(current, || Listed::new(Vec::new()))?;
        let before = entry.owned_bytes();
        *entry = Listed::new(elements);
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
/// whose value is the chunk as a `Vec<V>`. Elements are only ever added at the end, or the whole
/// list is replaced; so a delta holds the last chunks.
pub(super) struct Listed<V> {
    elements: Vec<V>,
    /// What the last published checkpoint has of it, and what the last snapshot has.
    published: FullChunks,
    taken: FullChunks,
}

/// The chunks at the beginning of a list that further elements don't change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FullChunks {
    chunks: u32,
    elements: u32,
}

impl<V: Record> Listed<V> {
    fn new(elements: Vec<V>) -> Self {
        Listed { elements, published: FullChunks::default(), taken: FullChunks::default() }
    }

    fn append(&mut self, elements: impl IntoIterator<Item = V>, account: &mut MemoryAccount) {
        let (capacity, length) = (self.elements.capacity(), self.elements.len());
        self.elements.extend(elements);
        account.change(capacity * size_of::<V>(), self.elements.capacity() * size_of::<V>());
        if V::OWNS_HEAP {
            account.change(0, self.elements[length..].iter().map(V::heap_size).sum());
        }
    }

    /// Writes the chunks after those that are known to be full.
    fn write_after(
        &self,
        mut full: FullChunks,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<FullChunks, RunError> {
        let mut rest = self.elements.get(full.elements as usize..).unwrap_or_default();
        let mut chunks = full.chunks;
        let mut elements = Vec::new();
        while !rest.is_empty() {
            elements.clear();
            let mut count = 0;
            while count < rest.len() && count < CHUNK && elements.len() < CHUNK {
                rest[count].encode(&mut elements);
                count += 1;
            }
            // As `Vec<V>` encodes: the length, then at least a byte for each element.
            let ends = count == CHUNK || elements.len() >= CHUNK;
            scratch.clear();
            (count as u64).encode(scratch);
            elements.resize(elements.len().max(count), 0);
            scratch.extend_from_slice(&elements);
            put(&chunks.to_be_bytes(), RowOperation::Value(scratch))?;
            rest = &rest[count..];
            chunks += 1;
            if ends && let Some(elements) = full.elements.checked_add(count as u32) {
                full = FullChunks { chunks, elements };
            }
        }
        Ok(full)
    }
}

impl<V: Record> Stored for Listed<V> {
    const TRACKED: bool = true;
    const REMOVED: RowOperation<'static> = RowOperation::DeleteRange;
    type Mark = FullChunks;

    fn declare(declaration: &mut StateDeclaration) {
        declaration.value = Some(Vec::<V>::schema());
    }

    fn owned_bytes(&self) -> usize {
        let elements = if V::OWNS_HEAP { self.elements.iter().map(V::heap_size).sum() } else { 0 };
        self.elements.capacity() * size_of::<V>() + elements
    }

    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<FullChunks, RunError> {
        self.write_after(FullChunks::default(), scratch, put)
    }

    fn write_changes(
        &self,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<FullChunks, RunError> {
        if self.published.chunks == 0 {
            // It may have been another list before, with more chunks.
            put(&[], RowOperation::DeleteRange)?;
        }
        self.write_after(self.published, scratch, put)
    }

    fn taken(&mut self, mark: FullChunks, _account: &mut MemoryAccount) {
        self.taken = mark;
    }

    fn published(&mut self, _unchanged: bool, _account: &mut MemoryAccount) {
        self.published = self.taken;
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>) -> Result<Self, StateError> {
        state.value(row).map(Listed::new)
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let more: Vec<V> = state.value(row)?;
        self.append(more, account);
        Ok(())
    }
}
