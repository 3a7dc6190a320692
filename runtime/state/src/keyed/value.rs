//! One value per key.

use std::marker::PhantomData;
use std::ops::Range;

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::cleanup::{Expired, OnRead};
use super::table::{KeyedTable, PutRow, Stored};
use super::{CurrentKey, KeyedStateAccess, Parts, PartsOf};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{Row, RowOperation, RunError, StateDeclaration};
use crate::ttl::{Forever, Lifetime, Timed, operation};
use crate::value_mut::ValueMut;

/// Handle of a state that holds at most one value per key. `L`: whether values expire.
pub struct ValueState<V, L = Forever> {
    index: u32,
    types: PhantomData<fn() -> (V, L)>,
}

handle!(ValueState<V, L>);

impl<V: Record, L: Lifetime> ValueState<V, L> {
    /// The current key's value.
    ///
    /// # Errors
    /// There is no current key or it belongs to another subtask; the handle belongs to another
    /// operator; the budget is used up. The same for the other methods.
    #[inline]
    pub fn get<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
    ) -> Result<Option<&'c V>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_read(current)?;
        Ok(table.find(current)?.map(|entry| &entry.value))
    }

    /// The current key's value, to be changed in place.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_mut<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
    ) -> Result<Option<ValueMut<'c, V>>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_write(current)?;
        let written = table.life.written();
        let entry = table.find_mut(current)?;
        Ok(entry.map(|(entry, account)| {
            entry.expiry = written;
            ValueMut::new(&mut entry.value, false, account)
        }))
    }

    /// The current key's value, to be changed in place; made by `make` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_or_insert_with<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
        make: impl FnOnce() -> V,
    ) -> Result<ValueMut<'c, V>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_write(current)?;
        let (entry, made, account) = table.written(current, make)?;
        Ok(ValueMut::new(&mut entry.value, made, account))
    }

    /// The current key has this value from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn set(&self, context: &mut impl KeyedStateAccess, value: V) -> Result<(), StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let expiry = table.life.written();
        if let Some((entry, account)) = table.find_mut(current)? {
            *ValueMut::new(&mut entry.value, false, account) = value;
            entry.expiry = expiry;
        } else {
            let (entry, made, account) = table.written(current, || value)?;
            drop(ValueMut::new(&mut entry.value, made, account));
        }
        Ok(())
    }

    /// Replaces the current key's value by what `change` makes of it; `None` clears it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn update(
        &self,
        context: &mut impl KeyedStateAccess,
        change: impl FnOnce(Option<V>) -> Option<V>,
    ) -> Result<(), StateError> {
        let before = self.parts(context)?.take()?;
        match change(before) {
            Some(value) => self.set(context, value),
            None => Ok(()),
        }
    }

    /// The current key has no value from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, context: &mut impl KeyedStateAccess) -> Result<(), StateError> {
        self.parts(context)?.take().map(drop)
    }

    #[inline]
    fn parts<'c, C: KeyedStateAccess>(
        &self,
        context: &'c mut C,
    ) -> PartsOf<'c, C::Key, Timed<V, L>> {
        context.keyed_state().parts(self.index as usize)
    }
}

impl<K: Key, V: Record, L: Lifetime> Parts<'_, K, Timed<V, L>> {
    /// Takes the current key's value out.
    pub(super) fn take(self) -> Result<Option<V>, StateError> {
        let life = self.table.life;
        let entry = self.table.remove(self.current)?;
        Ok(entry.filter(|entry| !entry.is_hidden(&life)).map(|entry| entry.value))
    }
}

impl<K: Key, V: Record, L: Lifetime> KeyedTable<K, Timed<V, L>> {
    /// The current key's entry, made if there is none, which counts as written now, and whether
    /// it was made.
    #[inline]
    pub(super) fn written(
        &mut self,
        current: &CurrentKey<K>,
        make: impl FnOnce() -> V,
    ) -> Result<(&mut Timed<V, L>, bool, &mut MemoryAccount), StateError> {
        let expiry = self.life.written();
        let entry = || Timed { value: make(), expiry: expiry.clone() };
        let (entry, made, account) = self.entry(current, entry)?;
        entry.expiry = expiry;
        Ok((entry, made, account))
    }
}

/// Values up to this size are copied with their neighbours.
const COPIED_BYTES_MAX: usize = 64;

/// As it's stored: one row, without a sub-key.
impl<V: Record, L: Lifetime> Stored for Timed<V, L> {
    const TRACKED: bool = false;
    const REMOVED: RowOperation<'static> = RowOperation::Delete;
    type Mark = ();
    type Life = L;

    #[inline]
    fn copied(&self) -> Option<Self> {
        let quick = !V::OWNS_HEAP && size_of::<Self>() <= COPIED_BYTES_MAX;
        quick.then(|| Timed { value: self.value.clone(), expiry: self.expiry.clone() })
    }

    #[inline]
    fn heap_address(&self) -> Option<*const u8> {
        self.value.heap_address()
    }

    fn declare(declaration: &mut StateDeclaration) {
        declaration.value = Some(V::schema());
    }

    fn owned_bytes(&self) -> usize {
        if V::OWNS_HEAP { self.value.heap_size() } else { 0 }
    }

    fn write(&self, life: &L, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        scratch.clear();
        self.value.encode(scratch);
        put(&[], operation(life, scratch, &self.expiry))
    }

    fn write_changes(
        &self,
        life: &L,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<(), RunError> {
        self.write(life, scratch, put)
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>, expiry: &L::Expiry) -> Result<Self, StateError> {
        if !row.key.sub_key.is_empty() {
            return Err(state.bad_row(row, "a value has no sub-key"));
        }
        Ok(Timed { value: state.value(row)?, expiry: expiry.clone() })
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        _expiry: &L::Expiry,
        _account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        Err(state.bad_row(row, "its key has two values"))
    }

    fn on_read(&self, life: &L) -> OnRead {
        match (self.is_hidden(life), life.read(&self.expiry)) {
            (true, _) => OnRead::Gone,
            (false, true) => OnRead::LivesOn,
            (false, false) => OnRead::Nothing,
        }
    }

    fn live_on(&mut self, life: &L) {
        self.expiry = life.written();
    }

    fn expired(&self, life: &L, _from: usize, _entries: &mut usize) -> Expired {
        if life.is_expired(&self.expiry) { Expired::All } else { Expired::NONE }
    }

    fn drop_expired(
        &mut self,
        _life: &L,
        _rows: Range<usize>,
        _account: &mut MemoryAccount,
    ) -> bool {
        false
    }
}
