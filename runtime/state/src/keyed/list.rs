//! One list per key. In a snapshot a list is cut into chunks of bounded size.

use std::marker::PhantomData;
use std::ops::Range;

use thalweg_core::Record;

use super::cleanup::{Expired, OnRead};
use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts, PartsOf};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{Row, RowOperation, RunError, StateDeclaration};
use crate::ttl::{Expiries, Forever, Lifetime, expiring};

/// A chunk ends once it has this many bytes, or elements.
const CHUNK: usize = 16 * 1024;

/// Handle of a state that holds a list per key. `L`: whether elements expire, each on its own.
pub struct ListState<V, L = Forever> {
    index: u32,
    types: PhantomData<fn() -> (V, L)>,
}

handle!(ListState<V, L>);

impl<V: Record, L: Lifetime> ListState<V, L> {
    /// The current key's list; empty if nothing was added.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    pub fn get<'c>(&self, context: &'c mut impl KeyedStateAccess) -> Result<&'c [V], StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_read(current)?;
        let life = table.life;
        Ok(table.find(current)?.map_or(&[], |entry| &entry.elements[entry.hidden(&life)..]))
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
        table.before_write(current)?;
        let life = table.life;
        let (entry, _, account) = table.entry(current, Listed::empty)?;
        entry.drop_first(entry.hidden(&life), account);
        entry.append(elements, &life.written(), account);
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
        let written = table.life.written();
        let (entry, _, account) = table.entry(current, Listed::empty)?;
        let before = entry.owned_bytes();
        *entry = Listed::new(elements, &written);
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
    ) -> PartsOf<'c, C::Key, Listed<V, L>> {
        context.keyed_state().parts(self.index as usize)
    }
}

/// A list as it's stored: rows whose sub-key is the chunk's number, four bytes big endian, and
/// whose value is the chunk as a `Vec<V>`. Elements are only ever added at the end, or the whole
/// list is replaced; so a delta holds the last chunks. Elements that expire are the first ones: the
/// numbers of the chunks after them stay. Elements of one chunk expire together.
pub(super) struct Listed<V, L: Lifetime> {
    elements: Vec<V>,
    expiries: L::Expiries,
    /// What the last published checkpoint has of it, and what the last snapshot has.
    published: FullChunks,
    taken: FullChunks,
}

/// The chunks at the beginning of a list that further elements don't change. Elements that were
/// dropped don't count, their chunks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FullChunks {
    chunks: u32,
    elements: u32,
}

impl FullChunks {
    fn drop_first(&mut self, elements: usize) {
        let elements = u32::try_from(elements).unwrap_or(u32::MAX);
        self.elements = self.elements.saturating_sub(elements);
    }
}

impl<V: Record, L: Lifetime> Listed<V, L> {
    fn empty() -> Self {
        let full = FullChunks::default();
        let expiries = L::Expiries::default();
        Listed { elements: Vec::new(), expiries, published: full, taken: full }
    }

    fn new(elements: Vec<V>, expiry: &L::Expiry) -> Self {
        let mut expiries = L::Expiries::default();
        expiries.added(elements.len(), expiry);
        Listed { elements, expiries, ..Listed::empty() }
    }

    fn append(
        &mut self,
        elements: impl IntoIterator<Item = V>,
        expiry: &L::Expiry,
        account: &mut MemoryAccount,
    ) {
        let (bytes, length) = (self.allocation(), self.elements.len());
        self.elements.extend(elements);
        self.expiries.added(self.elements.len() - length, expiry);
        account.change(bytes, self.allocation());
        if V::OWNS_HEAP {
            account.change(0, self.elements[length..].iter().map(V::heap_size).sum());
        }
    }

    fn allocation(&self) -> usize {
        self.elements.capacity() * size_of::<V>() + self.expiries.bytes()
    }

    /// How many elements have expired.
    fn expired_elements(&self, life: &L) -> usize {
        self.expiries.expired(|expiry| life.is_expired(expiry))
    }

    /// How many elements aren't to be seen.
    #[inline]
    fn hidden(&self, life: &L) -> usize {
        if life.hides_expired() { self.expired_elements(life) } else { 0 }
    }

    fn drop_first(&mut self, count: usize, account: &mut MemoryAccount) {
        if count == 0 {
            return;
        }
        let bytes = self.allocation();
        let dropped = self.elements.drain(..count);
        if V::OWNS_HEAP {
            account.change(dropped.as_slice().iter().map(V::heap_size).sum(), 0);
        }
        drop(dropped);
        self.expiries.drop_first(count);
        if self.elements.len() < self.elements.capacity() / 4 {
            self.elements.shrink_to(self.elements.len() * 2);
            self.expiries.shrink_to(self.elements.len() * 2);
        }
        account.change(bytes, self.allocation());
        self.published.drop_first(count);
        self.taken.drop_first(count);
    }

    /// Writes the chunks after those that are known to be full.
    fn write_after(
        &self,
        mut full: FullChunks,
        life: &L,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<FullChunks, RunError> {
        let mut first = full.elements as usize;
        let mut chunks = full.chunks;
        let mut bytes = Vec::new();
        while first < self.elements.len() {
            let expiry = self.stored_expiry(life, first);
            let mut last = first;
            bytes.clear();
            let ends = loop {
                let Some(element) = self.elements.get(last) else { break false };
                let count = last - first;
                if count == CHUNK
                    || bytes.len() >= CHUNK
                    || (L::EXPIRES && count > 0 && self.stored_expiry(life, last) != expiry)
                {
                    break true;
                }
                element.encode(&mut bytes);
                last += 1;
            };
            let count = last - first;
            // As `Vec<V>` encodes: the length, then at least a byte for each element.
            let ends = ends || count == CHUNK || bytes.len() >= CHUNK;
            scratch.clear();
            (count as u64).encode(scratch);
            bytes.resize(bytes.len().max(count), 0);
            scratch.extend_from_slice(&bytes);
            put(&chunks.to_be_bytes(), expiring(scratch, expiry))?;
            chunks += 1;
            first = last;
            if ends && let Ok(elements) = u32::try_from(first) {
                full = FullChunks { chunks, elements };
            }
        }
        Ok(full)
    }

    fn stored_expiry(&self, life: &L, element: usize) -> Option<i64> {
        self.expiries.as_slice().get(element).and_then(|expiry| life.stored(expiry))
    }
}

impl<V: Record, L: Lifetime> Stored for Listed<V, L> {
    const TRACKED: bool = true;
    const REMOVED: RowOperation<'static> = RowOperation::DeleteRange;
    type Mark = FullChunks;
    type Life = L;

    fn declare(declaration: &mut StateDeclaration) {
        declaration.value = Some(Vec::<V>::schema());
    }

    fn owned_bytes(&self) -> usize {
        let elements = if V::OWNS_HEAP { self.elements.iter().map(V::heap_size).sum() } else { 0 };
        self.allocation() + elements
    }

    fn write(
        &self,
        life: &L,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<FullChunks, RunError> {
        self.write_after(FullChunks::default(), life, scratch, put)
    }

    fn write_changes(
        &self,
        life: &L,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<FullChunks, RunError> {
        if self.published.chunks == 0 {
            // It may have been another list before, with more chunks.
            put(&[], RowOperation::DeleteRange)?;
        }
        self.write_after(self.published, life, scratch, put)
    }

    fn taken(&mut self, mark: FullChunks, _account: &mut MemoryAccount) {
        self.taken = mark;
    }

    fn published(&mut self, _unchanged: bool, _account: &mut MemoryAccount) {
        self.published = self.taken;
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>, expiry: &L::Expiry) -> Result<Self, StateError> {
        state.value(row).map(|elements| Listed::new(elements, expiry))
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        expiry: &L::Expiry,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let more: Vec<V> = state.value(row)?;
        self.append(more, expiry, account);
        Ok(())
    }

    fn on_read(&self, life: &L) -> OnRead {
        if life.hides_expired() && self.expired_elements(life) == self.elements.len() {
            OnRead::Gone
        } else if life.updates_on_read()
            && self.expiries.as_slice().iter().any(|expiry| life.read(expiry))
        {
            OnRead::LivesOn
        } else {
            OnRead::Nothing
        }
    }

    fn live_on(&mut self, life: &L) {
        let expired = self.expired_elements(life);
        self.expiries.extend_from(expired, &life.written());
        // Other chunks than before.
        (self.published, self.taken) = (FullChunks::default(), FullChunks::default());
    }

    fn expired(&self, life: &L, _from: usize, _entries: &mut usize) -> Expired {
        match self.expired_elements(life) {
            0 => Expired::NONE,
            all if all == self.elements.len() => Expired::All,
            some => Expired::Some { among: Some(0..some), next: None },
        }
    }

    fn drop_expired(
        &mut self,
        _life: &L,
        elements: Range<usize>,
        account: &mut MemoryAccount,
    ) -> bool {
        self.drop_first(elements.end, account);
        self.elements.is_empty()
    }
}
