//! One registered keyed state: a table per key group, its bytes, its rows in a snapshot. Not
//! here: what a value, a list or a map does with its entry.
//!
//! [`StateTable`] is where another backend comes in: it would keep some entries elsewhere and
//! load them in [`KeyedTable::find`] and [`KeyedTable::entry`].

use std::any::Any;

use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

use super::CurrentKey;
use crate::budget::{MemoryAccount, MemoryBudget, Overdrawn};
use crate::error::StateError;
use crate::restore::{ClaimedState, RestoredOperator};
use crate::run::{Row, RowKey, RunError, RunWriter, StateDeclaration, StateKind};
use crate::sorted::Sorted;
use crate::table::Table;

/// Takes a row: its sub-key and its value.
pub(crate) type PutRow<'p> = dyn FnMut(&[u8], &[u8]) -> Result<(), RunError> + 'p;

/// What a key has in one state: a value, a list or a map.
pub(crate) trait Stored: Send + Sized + 'static {
    /// Fills in the types of the state's rows.
    fn declare(declaration: &mut StateDeclaration);

    /// Bytes beyond its own size.
    fn owned_bytes(&self) -> usize;

    /// Gives the rows to `put`, as sub-keys and values, in order of the sub-keys.
    fn write(&self, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError>;

    /// What the first row of a key holds.
    fn read(state: &ClaimedState<'_>, row: &Row<'_>) -> Result<Self, StateError>;

    /// Adds a further row of the same key, and charges for it.
    fn read_more(
        &mut self,
        state: &ClaimedState<'_>,
        row: &Row<'_>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError>;
}

/// A keyed state whose types aren't known.
pub(crate) trait StateTable<K>: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn bytes(&self) -> usize;
    /// Asks for the entries of keys with these hashes, without waiting for them.
    fn prefetch(&self, hashes: &[u64]);
    fn set_budget(&mut self, budget: MemoryBudget) -> Result<(), StateError>;
    fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError>;
}

/// The entries of one state.
pub(crate) struct KeyedTable<K, S> {
    declaration: StateDeclaration,
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    /// One per key group of the range.
    tables: Vec<Table<K, S>>,
    account: MemoryAccount,
}

impl<K: Key, S: Stored> KeyedTable<K, S> {
    /// An empty state.
    pub(crate) fn new(
        name: &str,
        kind: StateKind,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        budget: MemoryBudget,
    ) -> Self {
        let mut declaration = StateDeclaration {
            name: name.to_owned(),
            kind,
            key: Some(K::schema()),
            namespace: None,
            map_key: None,
            value: None,
        };
        S::declare(&mut declaration);
        let tables = key_groups.iter().map(|_| Table::default()).collect();
        let account = MemoryAccount::new(budget);
        KeyedTable { declaration, key_groups, max_parallelism, tables, account }
    }

    pub(crate) fn declaration(&self) -> &StateDeclaration {
        &self.declaration
    }

    /// The current key's entry.
    #[inline]
    pub(crate) fn find(&mut self, current: &CurrentKey<K>) -> Result<Option<&S>, StateError> {
        match self.tables.get(current.group) {
            Some(table) => Ok(table.find(current.hash, &current.key)),
            None => Err(self.foreign_key(current)),
        }
    }

    /// The current key's entry, to be changed, if there is one.
    #[inline]
    pub(crate) fn find_mut(
        &mut self,
        current: &CurrentKey<K>,
    ) -> Result<Option<(&mut S, &mut MemoryAccount)>, StateError> {
        self.check()?;
        match self.tables.get_mut(current.group) {
            Some(table) => {
                let entry = table.find_mut(current.hash, &current.key);
                Ok(entry.map(|entry| (entry, &mut self.account)))
            }
            None => Err(foreign_key(&self.declaration, self.key_groups, current)),
        }
    }

    /// The current key's entry, to be changed, and whether it had to be made. What a new entry
    /// owns is charged by the caller.
    #[inline]
    pub(crate) fn entry(
        &mut self,
        current: &CurrentKey<K>,
        make: impl FnOnce() -> S,
    ) -> Result<(&mut S, bool, &mut MemoryAccount), StateError> {
        self.check()?;
        match self.tables.get_mut(current.group) {
            Some(table) => {
                let (entry, made) =
                    table.entry(current.hash, &current.key, &mut self.account, make);
                Ok((entry, made, &mut self.account))
            }
            None => Err(foreign_key(&self.declaration, self.key_groups, current)),
        }
    }

    /// Takes the current key's entry out.
    pub(crate) fn remove(&mut self, current: &CurrentKey<K>) -> Result<Option<S>, StateError> {
        let Some(table) = self.tables.get_mut(current.group) else {
            return Err(self.foreign_key(current));
        };
        let removed = table.remove(current.hash, &current.key, &mut self.account);
        if let Some(removed) = &removed {
            self.account.change(removed.owned_bytes(), 0);
        }
        Ok(removed)
    }

    /// Whether the budget holds what is used.
    #[inline]
    pub(crate) fn check(&mut self) -> Result<(), StateError> {
        self.account.check().map_err(|overdrawn| over_budget(&self.declaration.name, &overdrawn))
    }

    #[cold]
    fn foreign_key(&self, current: &CurrentKey<K>) -> StateError {
        foreign_key(&self.declaration, self.key_groups, current)
    }

    /// Takes the state's rows from the snapshot.
    pub(crate) fn restore(&mut self, restored: &RestoredOperator) -> Result<(), StateError> {
        for state in restored.claim(&self.declaration)? {
            let mut last: Option<(Vec<u8>, CurrentKey<K>)> = None;
            state.for_each_row(self.key_groups, |row| {
                if let Some((bytes, current)) = &last
                    && bytes == row.key.key
                {
                    let Some((entry, account)) = self.find_mut(current)? else {
                        return Err(state.bad_row(row, "its key has no first row"));
                    };
                    return entry.read_more(&state, row, account);
                }
                let key: K = state.key(row, "key", row.key.key)?;
                let hash = key.key_hash();
                let group = key_group(hash, self.max_parallelism);
                state.check_key_group(row, group)?;
                let current = CurrentKey::new(key, hash, group, self.key_groups);
                let value = S::read(&state, row)?;
                let owned = value.owned_bytes();
                let (_, made, account) = self.entry(&current, || value)?;
                account.change(0, owned);
                if !made {
                    return Err(state.bad_row(row, "two runs hold its key"));
                }
                last = Some((row.key.key.to_vec(), current));
                Ok(())
            })?;
        }
        self.check()
    }
}

#[cold]
fn foreign_key<K>(
    declaration: &StateDeclaration,
    key_groups: KeyGroupRange,
    current: &CurrentKey<K>,
) -> StateError {
    StateError::ForeignKey {
        state: declaration.name.clone(),
        key_group: (current.group as u32).wrapping_add(key_groups.start),
        start: key_groups.start,
        end: key_groups.end,
    }
}

#[cold]
pub(crate) fn over_budget(state: &str, overdrawn: &Overdrawn) -> StateError {
    StateError::OverBudget {
        state: state.to_owned(),
        used: overdrawn.used,
        budget: overdrawn.limit,
    }
}

impl<K: Key, S: Stored> StateTable<K> for KeyedTable<K, S> {
    #[inline]
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn bytes(&self) -> usize {
        self.account.used()
    }

    fn prefetch(&self, hashes: &[u64]) {
        for hash in hashes {
            let group = key_group(*hash, self.max_parallelism);
            let place = group.wrapping_sub(self.key_groups.start) as usize;
            if let Some(table) = self.tables.get(place) {
                table.prefetch(*hash);
            }
        }
    }

    fn set_budget(&mut self, budget: MemoryBudget) -> Result<(), StateError> {
        let moved = self.account.move_to(budget);
        moved.map_err(|overdrawn| over_budget(&self.declaration.name, &overdrawn))
    }

    fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError> {
        writer.begin_state(self.declaration.clone())?;
        let mut scratch = Vec::new();
        for (group, table) in self.key_groups.iter().zip(&self.tables) {
            let entries = Sorted::new(table.iter(), |entry, out| entry.key.encode_key(out));
            for (key, entry) in entries.iter() {
                entry.value.write(&mut scratch, &mut |sub_key, value| {
                    let key = RowKey { key_group: group as u16, key, namespace: &[], sub_key };
                    writer.put(key, value)
                })?;
            }
        }
        Ok(())
    }
}
