//! A value of state while it's being changed.

use std::ops::{Deref, DerefMut};

use thalweg_core::Record;

use crate::budget::MemoryAccount;

/// Access to a value in place. When it's dropped, what the value has grown or shrunk by is
/// charged to the state; being over the budget shows at the next access. Costs nothing for types
/// that own no heap memory.
pub struct ValueMut<'c, V: Record> {
    value: &'c mut V,
    account: &'c mut MemoryAccount,
    heap_before: usize,
}

impl<'c, V: Record> ValueMut<'c, V> {
    /// `made`: the value is new, and nothing has been charged for it.
    #[inline]
    pub(crate) fn new(value: &'c mut V, made: bool, account: &'c mut MemoryAccount) -> Self {
        let heap_before = if V::OWNS_HEAP && !made { value.heap_size() } else { 0 };
        ValueMut { value, account, heap_before }
    }
}

impl<V: Record> Deref for ValueMut<'_, V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        self.value
    }
}

impl<V: Record> DerefMut for ValueMut<'_, V> {
    #[inline]
    fn deref_mut(&mut self) -> &mut V {
        self.value
    }
}

impl<V: Record> Drop for ValueMut<'_, V> {
    #[inline]
    fn drop(&mut self) {
        if V::OWNS_HEAP {
            self.account.change(self.heap_before, self.value.heap_size());
        }
    }
}
