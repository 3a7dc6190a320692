//! One registered keyed state: a table per key group, and its bytes. Not here: what a value, a list
//! or a map does with its entry, and its rows in a snapshot (`snapshot`).
//!
//! [`StateTable`] is where another backend comes in: it would keep some entries elsewhere and
//! load them in [`KeyedTable::find`] and [`KeyedTable::entry`].

use std::any::Any;
use std::ops::Range;

use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

use super::CurrentKey;
use super::cleanup::{Cleanup, Expired, OnRead};
use super::snapshot::Encoding;
use crate::budget::{MemoryAccount, MemoryBudget, Overdrawn};
use crate::encoding::EncodingBudget;
use crate::error::StateError;
use crate::restore::{RestoredOperator, StateInRun};
use crate::run::{Row, RowOperation, RunError, RunWriter, StateDeclaration, StateKind};
use crate::table::{Found, Table};
use crate::ttl::{Life, Restored};

/// Takes a row: its sub-key and what is said about it.
pub(crate) type PutRow<'p> = dyn FnMut(&[u8], RowOperation<'_>) -> Result<(), RunError> + 'p;

/// What a key has in one state: a value, a list or a map.
pub(crate) trait Stored: Send + Sized + 'static {
    /// Whether it knows which of its rows have changed.
    const TRACKED: bool;

    /// A copy of it, for those that are quickly copied, which is all of a type or none.
    fn copied(&self) -> Option<Self> {
        None
    }

    /// Where it goes on that isn't all in its entry, if that's known.
    #[inline]
    fn heap_address(&self) -> Option<*const u8> {
        None
    }

    /// What a delta says about a key that was removed.
    const REMOVED: RowOperation<'static>;

    /// How far it was written, for those who know.
    type Mark: Default;

    /// Whether and how its rows expire.
    type Life: Life;

    /// Fills in the types of the state's rows.
    fn declare(declaration: &mut StateDeclaration);

    /// Bytes beyond its own size.
    fn owned_bytes(&self) -> usize;

    /// Gives all rows to `put`, in order of their sub-keys.
    fn write(
        &self,
        life: &Self::Life,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<Self::Mark, RunError>;

    /// Gives the rows that have changed since the last published checkpoint to `put`, and
    /// tombstones for those that are gone, in order of their sub-keys.
    fn write_changes(
        &self,
        life: &Self::Life,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<Self::Mark, RunError>;

    /// It's as in the last published checkpoint, and is about to change.
    fn begin_changes(&mut self, account: &mut MemoryAccount) {
        let _ = account;
    }

    /// A snapshot holds it, as it is.
    fn taken(&mut self, mark: Self::Mark, account: &mut MemoryAccount) {
        let _ = (mark, account);
    }

    /// The last snapshot that held it was published. `unchanged`: it's still the same.
    fn published(&mut self, unchanged: bool, account: &mut MemoryAccount) {
        let _ = (unchanged, account);
    }

    /// What the first row of a key holds.
    fn read(
        state: &StateInRun<'_>,
        row: &Row<'_>,
        expiry: &Expiry<Self>,
    ) -> Result<Self, StateError>;

    /// Adds a further row of the same key, and charges for it.
    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        expiry: &Expiry<Self>,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError>;

    /// What being read at `life`'s time does to it, where a key's rows are read together. Those
    /// that live on without counting as changed do so here.
    fn on_read(&self, life: &Self::Life) -> OnRead {
        let _ = life;
        OnRead::Nothing
    }

    /// Its rows live on, but those that have expired.
    fn live_on(&mut self, life: &Self::Life) {
        let _ = life;
    }

    /// Which rows from `from` on have expired, of as many as `entries` allows, which it lowers.
    fn expired(&self, life: &Self::Life, from: usize, entries: &mut usize) -> Expired;

    /// Removes those of the rows that have expired. True if no rows are left.
    fn drop_expired(
        &mut self,
        life: &Self::Life,
        rows: Range<usize>,
        account: &mut MemoryAccount,
    ) -> bool;
}

/// The expiry of a state's rows.
pub(crate) type Expiry<S> = <<S as Stored>::Life as Life>::Expiry;

/// A keyed state whose types aren't known.
pub(crate) trait StateTable<K>: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn bytes(&self) -> usize;
    /// Asks for the entries of keys with these hashes, without waiting for them.
    fn prefetch(&self, hashes: &[u64]);
    fn set_budget(&mut self, budget: MemoryBudget) -> Result<(), StateError>;
    /// It's so late now.
    fn set_now(&mut self, now_ms: i64);
    /// Looks for expired entries, at no more than `rows` rows are worth.
    fn clean_up(&mut self, rows: usize) -> Result<(), StateError>;
    /// A snapshot begins that is written to `writer`.
    fn begin_snapshot(&mut self, writer: &mut RunWriter);
    /// Goes on with it. Whether it's complete.
    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError>;
    /// There will be no more of it.
    fn abort_snapshot(&mut self);
}

/// The entries of one state.
pub(crate) struct KeyedTable<K, S: Stored> {
    pub(super) declaration: StateDeclaration,
    pub(super) key_groups: KeyGroupRange,
    max_parallelism: u32,
    /// One per key group of the range.
    pub(super) tables: Vec<Table<K, S>>,
    pub(super) account: MemoryAccount,
    /// The snapshot under way.
    pub(super) encoding: Option<Box<Encoding>>,
    pub(super) life: S::Life,
    pub(super) cleanup: Cleanup,
}

impl<K: Key, S: Stored> KeyedTable<K, S> {
    /// An empty state.
    pub(crate) fn new(
        name: &str,
        kind: StateKind,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        budget: MemoryBudget,
        life: S::Life,
    ) -> Self {
        let mut declaration = StateDeclaration {
            name: name.to_owned(),
            kind,
            key: Some(K::schema()),
            namespace: None,
            map_key: None,
            value: None,
            time_to_live_ms: life.time_to_live_ms(),
        };
        S::declare(&mut declaration);
        let tables = key_groups.iter().map(|_| Table::default()).collect();
        let account = MemoryAccount::new(budget);
        KeyedTable {
            declaration,
            key_groups,
            max_parallelism,
            tables,
            account,
            encoding: None,
            cleanup: Cleanup::new(life.now_ms()),
            life,
        }
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

    /// Whether the current key's entry may have to be written to a snapshot before it changes.
    #[inline]
    fn awaits(&self, current: &CurrentKey<K>) -> bool {
        self.encoding.is_some() && self.tables.get(current.group).is_some_and(Table::awaits)
    }

    /// The current key's entry, to be changed, if there is one.
    #[inline]
    pub(crate) fn find_mut(
        &mut self,
        current: &CurrentKey<K>,
    ) -> Result<Option<(&mut S, &mut MemoryAccount)>, StateError> {
        self.check()?;
        if self.awaits(current) {
            self.before_change(current);
        }
        match self.tables.get_mut(current.group) {
            Some(table) => {
                let entry = match S::TRACKED {
                    true => table.find_mut::<true>(current.hash, &current.key),
                    false => table.find_mut::<false>(current.hash, &current.key),
                };
                Ok(entry.map(|(entry, found)| {
                    if S::TRACKED && found == Found::Unchanged {
                        entry.begin_changes(&mut self.account);
                    }
                    (entry, &mut self.account)
                }))
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
        if self.awaits(current) {
            self.before_change(current);
        }
        match self.tables.get_mut(current.group) {
            Some(table) => {
                let (hash, key, account) = (current.hash, &current.key, &mut self.account);
                let (entry, found) = match S::TRACKED {
                    true => table.entry::<true>(hash, key, account, make),
                    false => table.entry::<false>(hash, key, account, make),
                };
                if S::TRACKED && found == Found::Unchanged {
                    entry.begin_changes(&mut self.account);
                }
                Ok((entry, found == Found::Made, &mut self.account))
            }
            None => Err(foreign_key(&self.declaration, self.key_groups, current)),
        }
    }

    /// Takes the current key's entry out.
    pub(crate) fn remove(&mut self, current: &CurrentKey<K>) -> Result<Option<S>, StateError> {
        if self.awaits(current) {
            self.before_change(current);
        }
        let Some(table) = self.tables.get_mut(current.group) else {
            return Err(self.foreign_key(current));
        };
        let removed = table.remove(current.hash, &current.key, &mut self.account);
        if let Some(removed) = &removed {
            self.account.change(removed.owned_bytes(), 0);
        }
        Ok(removed)
    }

    pub(super) fn used(&self) -> usize {
        self.account.used()
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

    /// Takes the state's rows from the snapshot. `now_ms` if anyone has said how late it is.
    pub(crate) fn restore(
        &mut self,
        restored: &RestoredOperator,
        now_ms: Option<i64>,
    ) -> Result<(), StateError> {
        let mut continued = restored.is_continued();
        for state in restored.claim(&self.declaration)? {
            let mut last: Option<(Vec<u8>, CurrentKey<K>)> = None;
            state.for_each_row(self.key_groups, |state, row| {
                // With another time to live, the next restore would read the row differently from
                // what is remembered here: then the next checkpoint writes all.
                continued &= state.time_to_live_ms() == self.life.time_to_live_ms()
                    && row.expiry.is_some() == S::Life::EXPIRES;
                let expiry = match self.life.restored(row.expiry, state.time_to_live_ms(), now_ms) {
                    Restored::Live(expiry) => expiry,
                    // Later runs need a tombstone for it: it's removed below.
                    Restored::Expired(expiry) if continued => expiry,
                    Restored::Expired(_) => return Ok(()),
                };
                if let Some((bytes, current)) = &last
                    && bytes == row.key.key
                {
                    let Some((entry, account)) = self.find_mut(current)? else {
                        return Err(state.bad_row(row, "its key has no first row"));
                    };
                    return entry.read_more(state, row, &expiry, account);
                }
                let key: K = state.key(row, "key", row.key.key)?;
                let hash = key.key_hash();
                let group = key_group(hash, self.max_parallelism);
                state.check_key_group(row, group)?;
                let current = CurrentKey::new(key, hash, group, self.key_groups);
                let value = S::read(state, row, &expiry)?;
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
        if continued {
            let Self { tables, account, .. } = self;
            tables.iter_mut().for_each(|table| table.track(account));
            self.clean_up_entries(usize::MAX)?;
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

    fn set_now(&mut self, now_ms: i64) {
        self.life.set_now(now_ms);
    }

    fn clean_up(&mut self, rows: usize) -> Result<(), StateError> {
        self.clean_up_share(rows.saturating_mul(self.life.cleanup_entries()))
    }

    fn begin_snapshot(&mut self, writer: &mut RunWriter) {
        self.begin(writer);
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError> {
        self.write(writer, budget)
    }

    fn abort_snapshot(&mut self) {
        self.abort();
    }
}
