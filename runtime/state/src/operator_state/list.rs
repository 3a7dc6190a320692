//! An operator's lists: split between the subtasks, or given to each of them whole.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use thalweg_core::Record;

use super::{AnyState, KEY_GROUP, KEY_GROUPS, OperatorState, begin_whole_state};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::RestoredOperator;
use crate::run::{RowKey, RunError, RunWriter, StateDeclaration, StateKind};

/// Handle of an operator's list, split or united when it's restored.
pub struct OperatorListState<T> {
    index: u32,
    types: PhantomData<fn() -> T>,
}

handle!(OperatorListState<T>);

impl<T: Record> OperatorListState<T> {
    /// The elements.
    ///
    /// # Errors
    /// The handle belongs to another operator. The same for the other methods.
    pub fn get<'s>(&self, state: &'s OperatorState) -> Result<&'s [T], StateError> {
        state.state::<ListItems<T>>(self.index).map(|list| list.items.as_slice())
    }

    /// The elements, to be changed. What they take afterwards is charged when the access ends;
    /// being over the budget shows at the next one.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn get_mut<'s>(&self, state: &'s mut OperatorState) -> Result<ListMut<'s, T>, StateError> {
        state.charge(self.index, 0, 0)?;
        let (list, account) = state.state_and_account::<ListItems<T>>(self.index)?;
        Ok(ListMut { items: &mut list.items, bytes: &mut list.bytes, account })
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// As [`get`](Self::get); also, the budget is used up.
    pub fn add(&self, state: &mut OperatorState, element: T) -> Result<(), StateError> {
        let list = state.state_mut::<ListItems<T>>(self.index)?;
        let more = size(&element);
        list.items.push(element);
        list.bytes += more;
        state.charge(self.index, 0, more)
    }

    /// Replaces all elements.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn update(&self, state: &mut OperatorState, elements: Vec<T>) -> Result<(), StateError> {
        let list = state.state_mut::<ListItems<T>>(self.index)?;
        let after = elements.iter().map(size).sum();
        let before = std::mem::replace(&mut list.bytes, after);
        list.items = elements;
        state.charge(self.index, before, after)
    }

    /// Removes all elements.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn clear(&self, state: &mut OperatorState) -> Result<(), StateError> {
        self.update(state, Vec::new())
    }
}

/// Access to all elements of an operator's list. When it's dropped, what the list has grown or
/// shrunk by is charged.
pub struct ListMut<'s, T: Record> {
    items: &'s mut Vec<T>,
    bytes: &'s mut usize,
    account: &'s mut MemoryAccount,
}

impl<T: Record> Deref for ListMut<'_, T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        self.items
    }
}

impl<T: Record> DerefMut for ListMut<'_, T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.items
    }
}

impl<T: Record> Drop for ListMut<'_, T> {
    fn drop(&mut self) {
        let after = self.items.iter().map(size).sum();
        self.account.change(std::mem::replace(self.bytes, after), after);
    }
}

/// The elements, each a row whose sub-key is its number, eight bytes big endian.
pub(super) struct ListItems<T> {
    declaration: StateDeclaration,
    items: Vec<T>,
    /// What the elements take.
    bytes: usize,
}

fn size<T: Record>(element: &T) -> usize {
    size_of::<T>() + element.heap_size()
}

impl<T: Record> ListItems<T> {
    pub(super) fn restore(
        declaration: StateDeclaration,
        restored: Option<&RestoredOperator>,
    ) -> Result<ListItems<T>, StateError> {
        let mut items = Vec::new();
        let Some(restored) = restored else {
            return Ok(ListItems { declaration, items, bytes: 0 });
        };
        let split = declaration.kind == StateKind::OperatorList;
        let same_parallelism = restored.old_parallelism() == Some(restored.parallelism());
        let mut number = 0u64;
        for state in restored.claim(&declaration)? {
            state.for_each_row(KEY_GROUPS, |in_run, row| {
                let mine = match (split, same_parallelism) {
                    (false, _) => true,
                    (true, true) => state.subtask() == restored.subtask(),
                    (true, false) => {
                        number % u64::from(restored.parallelism()) == u64::from(restored.subtask())
                    }
                };
                number += 1;
                if mine {
                    items.push(in_run.value(row)?);
                }
                Ok(())
            })?;
        }
        let bytes = items.iter().map(size).sum();
        Ok(ListItems { declaration, items, bytes })
    }
}

impl<T: Record> AnyState for ListItems<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError> {
        begin_whole_state(writer, &self.declaration)?;
        let mut value = Vec::new();
        for (number, item) in (0u64..).zip(&self.items) {
            value.clear();
            item.encode(&mut value);
            let sub_key = &number.to_be_bytes();
            let key = RowKey { key_group: KEY_GROUP, key: &[], namespace: &[], sub_key };
            writer.put(key, &value)?;
        }
        Ok(())
    }
}
