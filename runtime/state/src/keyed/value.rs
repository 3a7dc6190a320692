//! One value per key.

use std::marker::PhantomData;

use thalweg_core::Record;

use super::table::{PutRow, Stored};
use super::{KeyedStateAccess, Parts};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{Row, RowOperation, RunError, StateDeclaration};
use crate::value_mut::ValueMut;

/// Handle of a state that holds at most one value per key.
pub struct ValueState<V> {
    index: u32,
    types: PhantomData<fn() -> V>,
}

handle!(ValueState<V>);

impl<V: Record> ValueState<V> {
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
        Ok(table.find(current)?.map(|entry| &entry.0))
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
        let entry = table.find_mut(current)?;
        Ok(entry.map(|(entry, account)| ValueMut::new(&mut entry.0, false, account)))
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
        let (entry, made, account) = table.entry(current, || Single(make()))?;
        Ok(ValueMut::new(&mut entry.0, made, account))
    }

    /// The current key has this value from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn set(&self, context: &mut impl KeyedStateAccess, value: V) -> Result<(), StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        if let Some((entry, account)) = table.find_mut(current)? {
            *ValueMut::new(&mut entry.0, false, account) = value;
        } else {
            let (entry, made, account) = table.entry(current, || Single(value))?;
            drop(ValueMut::new(&mut entry.0, made, account));
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
    ) -> Result<Parts<'c, C::Key, Single<V>>, StateError> {
        context.keyed_state().parts(self.index as usize)
    }
}

impl<K: thalweg_core::record::Key, V: Record> Parts<'_, K, Single<V>> {
    /// Takes the current key's value out.
    pub(super) fn take(self) -> Result<Option<V>, StateError> {
        Ok(self.table.remove(self.current)?.map(|entry| entry.0))
    }
}

/// A value as it's stored: one row, without a sub-key.
pub(super) struct Single<V>(pub(super) V);

impl<V: Record> Stored for Single<V> {
    const TRACKED: bool = false;
    const REMOVED: RowOperation<'static> = RowOperation::Delete;
    type Mark = ();

    fn declare(declaration: &mut StateDeclaration) {
        declaration.value = Some(V::schema());
    }

    fn owned_bytes(&self) -> usize {
        if V::OWNS_HEAP { self.0.heap_size() } else { 0 }
    }

    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        scratch.clear();
        self.0.encode(scratch);
        put(&[], RowOperation::Value(scratch))
    }

    fn write_changes(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        self.write(scratch, put)
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>) -> Result<Self, StateError> {
        if !row.key.sub_key.is_empty() {
            return Err(state.bad_row(row, "a value has no sub-key"));
        }
        state.value(row).map(Single)
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        _account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        Err(state.bad_row(row, "its key has two values"))
    }
}
