//! The rows of a keyed state in a snapshot: key group by key group, in slices. A key's rows are
//! copied before it changes. Not here: which rows those are (`Stored`), and their order.

use thalweg_core::record::Key;

use super::CurrentKey;
use super::table::{KeyedTable, Stored};
use crate::budget::MemoryAccount;
use crate::encoding::{CopiedTables, EncodingBudget, Turn, push_row, read_rows};
use crate::run::{LastSnapshot, RowKey, RowOperation, RunError, RunKind, RunWriter};
use crate::table::{Entry, Table};
use crate::ttl::Life;

/// The snapshot of a keyed state under way.
pub(super) struct Encoding {
    kind: RunKind,
    tracking: Option<LastSnapshot>,
    /// The state was begun in the run.
    begun: bool,
    /// Key groups before this place in the range are written.
    group: usize,
    /// What was copied for the key groups from `group` on, which have a table each.
    copies: CopiedTables<()>,
    scratch: Vec<u8>,
}

impl<K: Key, S: Stored> KeyedTable<K, S> {
    pub(super) fn begin(&mut self, writer: &mut RunWriter) {
        self.abort();
        let (kind, tracking) = (writer.kind(), writer.tracking());
        for table in &mut self.tables {
            match S::TRACKED {
                true => table.freeze::<true>(kind, tracking, &mut self.account),
                false => table.freeze::<false>(kind, tracking, &mut self.account),
            }
        }
        writer.begin_slices(self.tables.iter().map(Table::frozen_entries).sum());
        self.encoding = Some(Box::new(Encoding {
            kind,
            tracking,
            begun: false,
            group: 0,
            copies: CopiedTables::new(self.tables.len(), MemoryAccount::new(writer.buffers())),
            scratch: Vec::new(),
        }));
    }

    /// The current key's entry may change, if there's one: what it has now is copied if it belongs
    /// to the snapshot under way.
    #[cold]
    pub(super) fn before_change(&mut self, current: &CurrentKey<K>) {
        let Some(encoding) = &mut self.encoding else { return };
        let Some(table) = self.tables.get_mut(current.group) else { return };
        let Some(place) = table.waiting(current.hash, &current.key) else { return };
        if let Some((entry, unchanged)) = table.take_unsettled(place) {
            entry.published(unchanged, &mut self.account);
        }
        if encoding.copy_around(current.group, table, place) {
            return;
        }
        let whole = table.frozen().is_some_and(|frozen| frozen.is_whole());
        if let Some((entry, changed)) = table.take_waiting(place) {
            encoding.copy(current.group, entry, &self.life, (whole, changed), &mut self.account);
        }
    }

    pub(super) fn write(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError> {
        let Some(encoding) = &mut self.encoding else { return Ok(true) };
        if !encoding.begun {
            writer.begin_state(self.declaration.clone())?;
            encoding.begun = true;
        }
        while let Some(table) = self.tables.get_mut(encoding.group) {
            let key_group = (self.key_groups.start as usize + encoding.group) as u16;
            if let Some(failed) = encoding.copies.take_failure() {
                return Err(failed.of_state(&self.declaration.name));
            }
            let (life, account) = (&self.life, &mut self.account);
            let complete = encoding.go_on(table, key_group, writer, budget, life, account);
            if !complete.map_err(|error| error.of_state(&self.declaration.name))? {
                return Ok(false);
            }
            table.thaw(&mut self.account, settle);
        }
        self.encoding = None;
        writer.end_slices();
        Ok(true)
    }

    pub(super) fn abort(&mut self) {
        if self.encoding.take().is_some() {
            self.tables.iter_mut().for_each(|table| table.thaw(&mut self.account, settle));
        }
    }
}

/// Tells an entry that the last snapshot that held it was published.
fn settle<S: Stored>(entry: &mut S, unchanged: bool, account: &mut MemoryAccount) {
    entry.published(unchanged, account);
}

impl Encoding {
    /// Copies the entry in this place and those around it, if that's quick. Not while it's the
    /// turn of their key group: its copies are collected.
    fn copy_around<K: Key, S: Stored>(
        &mut self,
        group: usize,
        table: &mut Table<K, S>,
        place: usize,
    ) -> bool {
        let in_turn = self.copies.is_turn_of(group);
        let entry = table.bucket(place).filter(|_| !K::OWNS_HEAP && !in_turn);
        if S::TRACKED || entry.and_then(|entry| entry.value.copied()).is_none() {
            return false;
        }
        let copy = |entry: &Entry<K, S>| {
            Some(Entry { key: entry.key.clone(), value: entry.value.copied()? })
        };
        self.copies.copied_elsewhere(0, table.copy_around(place, copy));
        true
    }

    /// Keeps what the entry's key has for its turn.
    fn copy<K: Key, S: Stored>(
        &mut self,
        group: usize,
        entry: &mut Entry<K, S>,
        life: &S::Life,
        (whole, changed): (bool, bool),
        account: &mut MemoryAccount,
    ) {
        if self.copies.has_failed() {
            return;
        }
        let mut rows = Vec::new();
        let mut put = |sub_key: &[u8], operation: RowOperation<'_>| {
            if let Some(operation) = unexpired(operation, life, whole) {
                push_row(sub_key, operation, &mut rows);
            }
            Ok(())
        };
        let mark = match whole {
            true => entry.value.write(life, &mut self.scratch, &mut put),
            false => entry.value.write_changes(life, &mut self.scratch, &mut put),
        };
        match mark {
            Ok(mark) if S::TRACKED && changed && self.tracking.is_some() => {
                entry.value.taken(mark, account);
            }
            Ok(_) => {}
            Err(error) => return self.copies.fail(error),
        }
        // All that it had has expired: a piece takes an item without rows for a place.
        if rows.is_empty() {
            return;
        }
        let key = |out: &mut Vec<u8>| entry.key.encode_key(out);
        self.copies.copy(group, (), key, |out| out.extend_from_slice(&rows));
    }

    /// Goes on with a key group. Whether it's complete; then the next one's turn comes.
    fn go_on<K: Key, S: Stored>(
        &mut self,
        table: &mut Table<K, S>,
        key_group: u16,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
        life: &S::Life,
        account: &mut MemoryAccount,
    ) -> Result<bool, RunError> {
        let whole = table.frozen().is_some_and(|frozen| frozen.is_whole());
        let Self { scratch, tracking, kind, copies, group, .. } = self;
        if !copies.is_turn() {
            if whole && *kind == RunKind::Delta {
                writer.write(row_key(key_group, &[], &[]), RowOperation::DeleteRange)?;
            }
            copies.begin_turn(*group, ());
        }
        let Some(rows) = copies.turn() else { return Ok(true) };
        let heap = S::heap_address;
        let complete = rows.go_on(table, budget, account, settle, heap, |key, turn, account| {
            let mut bytes = 0;
            let mut put = |sub_key: &[u8], operation: RowOperation<'_>| {
                let Some(operation) = unexpired(operation, life, whole) else { return Ok(()) };
                bytes += key.len() + sub_key.len() + operation.value().len();
                writer.write(row_key(key_group, key, sub_key), operation)
            };
            match turn {
                Turn::Entry(entry, changed) => {
                    let mark = match whole {
                        true => entry.value.write(life, scratch, &mut put)?,
                        false => entry.value.write_changes(life, scratch, &mut put)?,
                    };
                    if S::TRACKED && changed && tracking.is_some() {
                        entry.value.taken(mark, account);
                    }
                }
                Turn::Copied(rows) => {
                    read_rows(rows).try_for_each(|(sub_key, operation)| put(sub_key, operation))?;
                }
                Turn::Gone => put(&[], S::REMOVED)?,
            }
            Ok(bytes)
        })?;
        if complete {
            self.copies.copied_elsewhere(size_of_val(table.copied()), 0);
        }
        self.group += usize::from(complete);
        self.copies.went_on(complete);
        Ok(complete)
    }
}

/// What is written of a row: an expired one isn't written where all rows are, and is a tombstone
/// where only changes are.
#[inline]
fn unexpired<'r, L: Life>(
    operation: RowOperation<'r>,
    life: &L,
    whole: bool,
) -> Option<RowOperation<'r>> {
    if !L::EXPIRES || !life.is_over(&operation) {
        return Some(operation);
    }
    (!whole).then_some(RowOperation::Delete)
}

fn row_key<'k>(key_group: u16, key: &'k [u8], sub_key: &'k [u8]) -> RowKey<'k> {
    RowKey { key_group, key, namespace: &[], sub_key }
}
