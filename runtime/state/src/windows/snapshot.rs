//! The rows of slices in a snapshot: key group by key group, and in each the slices by their ends.
//! A value is copied before it changes; a slice that's dropped stays until it's written.

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::{Dropped, Slice, SliceState};
use crate::budget::MemoryAccount;
use crate::encoding::{CopiedTables, EncodingBudget, Turn, push_row, read_rows};
use crate::run::{LastSnapshot, RowKey, RowOperation, RunError, RunKind, RunWriter};
use crate::table::Table;
use crate::timers::write_time;

/// The snapshot of slices under way.
pub(super) struct Encoding {
    kind: RunKind,
    /// It holds everything, and nothing of older runs counts.
    whole: bool,
    /// The state was begun in the run.
    begun: bool,
    /// What is written in each key group, by the ends of slices.
    ends: Vec<End>,
    /// How far it is: the place of a key group in the range, and of an end in `ends`.
    group: usize,
    at: usize,
    /// What was copied of tables that aren't written yet, by key group and end.
    copies: CopiedTables<i64>,
    scratch: (Vec<u8>, Vec<u8>),
}

/// A slice that was there at the barrier, or that older runs have and that isn't there any more.
#[derive(Debug, Clone, Copy)]
struct End {
    end: i64,
    there: bool,
}

impl<K: Key, V: Record> SliceState<K, V> {
    /// A snapshot begins that is written to `writer`.
    pub(super) fn begin_snapshot(&mut self, writer: &mut RunWriter) {
        self.abort_snapshot();
        let (kind, tracking) = (writer.kind(), writer.tracking());
        let whole = self.dropped.is_none();
        if tracking == Some(LastSnapshot::Published)
            && let Some(dropped) = &mut self.dropped
        {
            dropped.pending.clear();
        }
        let ends = self.ends(kind);
        let Self { slices, account, .. } = self;
        for table in slices.iter_mut().flat_map(|slice| &mut slice.tables) {
            // For all of it, if what older runs have doesn't count anyway.
            let kind = if whole { RunKind::Base } else { kind };
            table.freeze::<false>(kind, tracking, account);
        }
        if tracking.is_some() {
            match &mut self.dropped {
                Some(dropped) => dropped.pending.append(&mut dropped.ends),
                None => self.dropped = Some(Dropped::default()),
            }
            slices.iter_mut().for_each(|slice| slice.fresh = false);
        }
        let tables = self.slices.iter().flat_map(|slice| &slice.tables);
        writer.begin_slices(tables.map(Table::frozen_entries).sum());
        let key_groups = self.key_groups.len() as usize;
        self.encoding = Some(Box::new(Encoding {
            kind,
            whole,
            begun: false,
            ends,
            group: 0,
            at: 0,
            copies: CopiedTables::new(key_groups, MemoryAccount::new(writer.buffers())),
            scratch: (Vec::new(), Vec::new()),
        }));
    }

    /// What is written in each key group.
    fn ends(&self, kind: RunKind) -> Vec<End> {
        let there = self.slices.iter().map(|slice| End { end: slice.end, there: true });
        let dropped = self.dropped.iter().filter(|_| kind == RunKind::Delta);
        let dropped = dropped.flat_map(|dropped| dropped.ends.union(&dropped.pending));
        let dropped = dropped.map(|end| End { end: *end, there: false });
        let mut ends: Vec<_> = there.chain(dropped).collect();
        // Of one that is there again the first counts: its tables are untracked.
        ends.sort_by_key(|end| end.end);
        ends.dedup_by_key(|end| end.end);
        ends
    }

    /// The key's value in this slice may change, if there's one: what it has now is copied if it
    /// belongs to the snapshot under way.
    #[cold]
    pub(super) fn before_change(&mut self, place: usize, group: usize, key: &K, hash: u64) {
        let Some(encoding) = &mut self.encoding else { return };
        let slice = &mut self.slices[place];
        let Some(table) = slice.tables.get_mut(group) else { return };
        let Some(waiting) = table.waiting(hash, key) else { return };
        if let Some((entry, _)) = table.take_waiting(waiting) {
            encoding.copy(slice.end, group, &entry.key, &entry.value);
        }
    }

    /// Credits all that a slice takes that was taken out, and drops it. What the snapshot under
    /// way hasn't written of it is kept for that.
    pub(super) fn release(&mut self, mut slice: Slice<K, V>) {
        let mut waits = false;
        for table in &mut slice.tables {
            match table.frozen() {
                Some(_) => waits = true,
                None => release_table(table, &mut self.account),
            }
        }
        match waits {
            true => self.kept.push(slice),
            false => self.account.change(Self::slice_overhead(self.key_groups), 0),
        }
    }

    /// Goes on with the snapshot that was begun, in this slice. Whether it's complete.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError> {
        let Some(encoding) = &mut self.encoding else { return Ok(true) };
        if !std::mem::replace(&mut encoding.begun, true) {
            writer.begin_state(self.declaration.clone())?;
        }
        while encoding.group < self.key_groups.len() as usize {
            let key_group = (self.key_groups.start as usize + encoding.group) as u16;
            if let Some(failed) = encoding.copies.take_failure() {
                return Err(failed.of_state(&self.declaration.name));
            }
            if budget.is_spent() {
                return Ok(false);
            }
            if encoding.begins_group() && encoding.whole && encoding.kind == RunKind::Delta {
                writer.write(row_key(key_group, &[]), RowOperation::DeleteRange)?;
            }
            budget.spend(1, 0);
            let Some(end) = encoding.ends.get(encoding.at).copied() else {
                (encoding.group, encoding.at) = (encoding.group + 1, 0);
                continue;
            };
            if !end.there {
                write_dropped(writer, key_group, end.end)?;
                encoding.at += 1;
                continue;
            }
            // A slice that was dropped may be there again; then it's another one.
            let kept = self.kept.iter_mut().find(|slice| slice.end == end.end);
            let dropped = kept.is_some();
            let slice = kept.or_else(|| {
                let place = self.slices.binary_search_by_key(&end.end, |slice| slice.end).ok()?;
                self.slices.get_mut(place)
            });
            let table = slice.and_then(|slice| slice.tables.get_mut(encoding.group));
            if let Some(table) = table {
                if !encoding.go_on(table, key_group, end.end, writer, budget, &mut self.account)? {
                    return Ok(false);
                }
                table.thaw(&mut self.account, |_, _, _| ());
                if dropped {
                    release_table(table, &mut self.account);
                }
            }
            encoding.at += 1;
        }
        self.abort_snapshot();
        writer.end_slices();
        Ok(true)
    }

    /// There will be no more of the snapshot that was begun, if one was.
    pub fn abort_snapshot(&mut self) {
        if self.encoding.take().is_none() {
            return;
        }
        let Self { slices, kept, account, .. } = self;
        for table in slices.iter_mut().chain(&mut *kept).flat_map(|slice| &mut slice.tables) {
            table.thaw(account, |_, _, _| ());
        }
        for slice in std::mem::take(&mut self.kept) {
            self.release(slice);
        }
    }
}

/// Credits all that a table takes, and empties it.
fn release_table<K: Key, V: Record>(table: &mut Table<K, V>, account: &mut MemoryAccount) {
    table.release(account);
    if V::OWNS_HEAP {
        account.change(table.iter().map(|entry| entry.value.heap_size()).sum(), 0);
    }
    *table = Table::default();
}

impl Encoding {
    /// Whether nothing of the key group was written.
    fn begins_group(&self) -> bool {
        self.at == 0 && !self.copies.is_turn()
    }

    /// Keeps a value for its turn.
    fn copy<K: Key, V: Record>(&mut self, end: i64, group: usize, key: &K, value: &V) {
        if self.copies.has_failed() {
            return;
        }
        let (_, scratch) = &mut self.scratch;
        scratch.clear();
        value.encode(scratch);
        let row = |out: &mut Vec<u8>| push_row(&[], RowOperation::Value(scratch), out);
        self.copies.copy(group, end, |out| key.encode_key(out), row);
    }

    /// Goes on with the table of a slice in a key group. Whether it's complete.
    fn go_on<K: Key, V: Record>(
        &mut self,
        table: &mut Table<K, V>,
        key_group: u16,
        end: i64,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
        account: &mut MemoryAccount,
    ) -> Result<bool, RunError> {
        if !self.copies.is_turn() {
            let all = table.frozen().is_some_and(|frozen| frozen.is_whole());
            if all && !self.whole && self.kind == RunKind::Delta {
                write_dropped(writer, key_group, end)?;
            }
            self.copies.begin_turn(self.group, end);
        }
        let Self { copies, scratch: (full, value), .. } = self;
        let Some(rows) = copies.turn() else { return Ok(true) };
        let complete = rows.go_on(
            table,
            budget,
            account,
            |_, _, _| (),
            V::heap_address,
            |key, turn, _| {
                full.clear();
                write_time(end, full);
                full.extend_from_slice(key);
                let key = row_key(key_group, full);
                let operation = match turn {
                    Turn::Entry(entry, _) => {
                        value.clear();
                        entry.value.encode(value);
                        RowOperation::Value(value)
                    }
                    Turn::Copied(rows) => {
                        let copied = read_rows(rows).next();
                        copied.map_or(RowOperation::Delete, |(_, operation)| operation)
                    }
                    Turn::Gone => RowOperation::Delete,
                };
                writer.write(key, operation)?;
                Ok(full.len() + operation.value().len())
            },
        )?;
        self.copies.went_on(complete);
        Ok(complete)
    }
}

/// No row of older runs in this slice counts.
fn write_dropped(writer: &mut RunWriter, key_group: u16, end: i64) -> Result<(), RunError> {
    let mut time = Vec::new();
    write_time(end, &mut time);
    writer.write(row_key(key_group, &time), RowOperation::DeleteRange)
}

fn row_key(key_group: u16, key: &[u8]) -> RowKey<'_> {
    RowKey { key_group, key, namespace: &[], sub_key: &[] }
}
