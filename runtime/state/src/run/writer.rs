//! Writes a run: the states one after the other, each one's rows in order. What is finished of it
//! can be taken away while it grows. Not here: what the rows of a kind of state look like, and
//! where the bytes go.

use std::cmp::Ordering;

use super::block;
use super::description::{RunDescription, RunKind, RunOrigin, StateDeclaration};
use super::error::RunError;
use super::footer::{Footer, Section, header};
use super::index::IndexEntry;
use super::row::{self, RowKey, RowOperation};
use crate::budget::{MemoryAccount, MemoryBudget};

/// What became of the snapshot before this one, of which the states still know what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSnapshot {
    /// Its checkpoint was published, or there was none: what it held needn't be written again.
    Published,
    /// Its checkpoint wasn't published: its rows count as changed still.
    GivenUp,
}

/// Gathers the rows of one operator's subtask into the bytes of a run.
pub struct RunWriter {
    description: RunDescription,
    /// Set when states are to remember what this snapshot held.
    tracking: Option<LastSnapshot>,
    /// Whether states are written later, in slices.
    sliced: bool,
    /// States that were begun and aren't complete.
    unfinished: usize,
    /// Keys and timers of states that are written in slices.
    expected: u64,
    /// For what waits to be written.
    buffers: MemoryBudget,
    /// What the run takes of them.
    account: MemoryAccount,
    /// Bytes of the run that were taken away.
    taken: u64,
    /// The finished part of the run after them.
    out: Vec<u8>,
    index: Vec<u8>,
    rows: u64,
    /// The block that rows are gathered in, before compression.
    block: Vec<u8>,
    block_rows: u64,
    block_first_key: Vec<u8>,
    /// Full keys of the last row of the state, and of the one being written.
    last_key: Vec<u8>,
    last_was_range: bool,
    key: Vec<u8>,
    state_rows: u64,
}

impl RunWriter {
    /// An empty run, which all rows are to be written to. The states remember nothing about it:
    /// for savepoints, and for checkpoints that no other one builds on.
    pub fn new(origin: RunOrigin) -> RunWriter {
        RunWriter::of_kind(origin, RunKind::Base, None)
    }

    /// An empty run of a sequence: later ones hold what has changed since. `last` is what became
    /// of the one before, which the states remember.
    pub fn incremental(origin: RunOrigin, kind: RunKind, last: LastSnapshot) -> RunWriter {
        RunWriter::of_kind(origin, kind, Some(last))
    }

    fn of_kind(origin: RunOrigin, kind: RunKind, tracking: Option<LastSnapshot>) -> RunWriter {
        RunWriter {
            description: RunDescription { origin, kind, states: Vec::new() },
            tracking,
            sliced: false,
            unfinished: 0,
            expected: 0,
            buffers: MemoryBudget::unlimited(),
            account: MemoryAccount::uncharged(),
            taken: 0,
            out: header(kind).to_vec(),
            index: Vec::new(),
            rows: 0,
            block: Vec::with_capacity(block::TARGET_LENGTH + 1024),
            block_rows: 0,
            block_first_key: Vec::new(),
            last_key: Vec::new(),
            last_was_range: false,
            key: Vec::new(),
            state_rows: 0,
        }
    }

    /// Large states are written in slices, after the operator was asked for its snapshot. What
    /// waits for that, and the run, draw on `buffers`.
    #[must_use]
    pub fn in_slices(mut self, buffers: MemoryBudget) -> RunWriter {
        self.sliced = true;
        self.account = MemoryAccount::new(buffers.clone());
        self.buffers = buffers;
        self
    }

    /// Whether large states are written in slices, later.
    pub fn is_sliced(&self) -> bool {
        self.sliced
    }

    /// Whether states still have to be written.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished > 0
    }

    /// Whether the buffers hold what the run takes.
    ///
    /// # Errors
    /// They don't.
    pub fn check_buffers(&mut self) -> Result<(), RunError> {
        Ok(self.account.check()?)
    }

    /// A state of so many keys or timers will be written, by slices or at once.
    pub(crate) fn begin_slices(&mut self, expected: usize) {
        self.unfinished += 1;
        self.expected += expected as u64;
    }

    /// About how many rows will have been written once all states are that were begun: for some
    /// kinds of state a key has more than one.
    pub fn expected_rows(&self) -> u64 {
        self.expected
    }

    /// It was.
    pub(crate) fn end_slices(&mut self) {
        self.unfinished = self.unfinished.saturating_sub(1);
    }

    /// The memory for what waits to be written.
    pub(crate) fn buffers(&self) -> MemoryBudget {
        self.buffers.clone()
    }

    /// Whether all rows are to be written, or those that have changed.
    pub fn kind(&self) -> RunKind {
        self.description.kind
    }

    /// Whether states are to remember what this run holds, and what became of the one before.
    pub fn tracking(&self) -> Option<LastSnapshot> {
        self.tracking
    }

    /// Whether any state was begun.
    pub fn has_states(&self) -> bool {
        !self.description.states.is_empty()
    }

    /// The following rows belong to this state, which the run doesn't have yet.
    ///
    /// # Errors
    /// A second state of the same name and kind.
    pub fn begin_state(&mut self, declaration: StateDeclaration) -> Result<(), RunError> {
        self.finish_block();
        let known = |state: &StateDeclaration| {
            state.name == declaration.name && state.kind == declaration.kind
        };
        if self.description.states.iter().any(known) {
            let reason = format!("a second {} has that name", declaration.kind);
            return Err(RunError::Unwritable { state: declaration.name, reason });
        }
        self.description.states.push(declaration);
        self.state_rows = 0;
        Ok(())
    }

    /// Adds a value row to the last begun state, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn put(&mut self, key: RowKey<'_>, value: &[u8]) -> Result<(), RunError> {
        self.write(key, RowOperation::Value(value))
    }

    /// Adds a row to the last begun state. Rows come in strictly ascending order of their keys; a
    /// range tombstone comes before a row of the same key.
    ///
    /// # Errors
    /// A row out of order or without a state, a tombstone in a base run, or a row that's larger
    /// than a block can be.
    #[inline]
    pub fn write(&mut self, key: RowKey<'_>, operation: RowOperation<'_>) -> Result<(), RunError> {
        key.write_full(&mut self.key);
        let range = matches!(operation, RowOperation::DeleteRange);
        let mut shared = row::shared_prefix(&self.last_key, &self.key);
        let order = self.last_key[shared..].first().cmp(&self.key[shared..].first());
        if self.state_rows > 0 && order != Ordering::Less {
            let doubled = order == Ordering::Equal && (range || !self.last_was_range);
            if order == Ordering::Greater || doubled {
                return Err(self.unwritable("its rows are out of order"));
            }
        }
        if self.description.states.is_empty() {
            return Err(self.unwritable("the row belongs to no state"));
        }
        let value = operation.value();
        if self.description.kind == RunKind::Base && operation.is_tombstone() {
            return Err(self.unwritable("a base run has no tombstones"));
        }
        let size = self.key.len() + value.len();
        if size > block::MAX_LENGTH {
            let state = self.state_name();
            return Err(RunError::RowTooLarge { state, size, limit: block::MAX_LENGTH });
        }
        // A block never begins with the key that the one before ended with.
        let full = self.block.len() + size > block::TARGET_LENGTH;
        if full && !self.block.is_empty() && order != Ordering::Equal {
            self.finish_block();
        }
        if self.block.is_empty() {
            self.block_first_key.clone_from(&self.key);
            shared = 0;
        }
        let lengths = row::Lengths { key: key.key.len(), namespace: key.namespace.len() };
        row::write(shared, &self.key, lengths, operation, &mut self.block);
        std::mem::swap(&mut self.last_key, &mut self.key);
        self.last_was_range = range;
        self.block_rows += 1;
        self.state_rows += 1;
        self.rows += 1;
        Ok(())
    }

    /// Takes what is finished of the run away, if it's at least so many bytes.
    pub fn take_finished(&mut self, at_least: usize) -> Option<Vec<u8>> {
        if self.out.len() < at_least.max(1) {
            return None;
        }
        // The next part will be as large: growing to that would copy it, in fresh memory.
        let next = Vec::with_capacity(self.out.len() + self.out.len() / 8);
        let finished = std::mem::replace(&mut self.out, next);
        self.taken += finished.len() as u64;
        self.account.change(self.account.used(), self.index.len());
        self.account.give_back_unused();
        Some(finished)
    }

    /// How many bytes of the run were taken away.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether all states that were begun are keyed.
    pub fn is_keyed(&self) -> bool {
        self.description.states.iter().all(|state| state.kind.is_keyed())
    }

    /// Rows written so far.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// Bytes written and gathered so far.
    pub fn size(&self) -> usize {
        self.out.len() + self.block.len() + self.index.len()
    }

    /// The run's bytes, after those that were taken away.
    ///
    /// # Errors
    /// A description or index of more than 4 GiB, or a state that isn't complete.
    pub fn finish(mut self) -> Result<Vec<u8>, RunError> {
        if self.unfinished > 0 {
            return Err(self.unwritable("a state was begun and not written to its end"));
        }
        self.finish_block();
        let description =
            serde_json::to_vec(&self.description).map_err(|error| RunError::Unwritable {
                state: self.state_name(),
                reason: format!("the description can't be written: {error}"),
            })?;
        let index = std::mem::take(&mut self.index);
        let footer = Footer {
            kind: self.description.kind,
            description: self.section(&description)?,
            index: self.section(&index)?,
            rows: self.rows,
        };
        self.out.extend_from_slice(&footer.encode());
        Ok(self.out)
    }

    fn section(&mut self, bytes: &[u8]) -> Result<Section, RunError> {
        let offset = self.taken + self.out.len() as u64;
        let length = u32::try_from(bytes.len())
            .map_err(|_| self.unwritable("its description or index exceeds 4 GiB"))?;
        self.out.extend_from_slice(bytes);
        Ok(Section { offset, length, checksum: crc32c::crc32c(bytes) })
    }

    fn finish_block(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let start = self.out.len();
        block::write(&self.block, &mut self.out);
        let last_key_group =
            self.last_key.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let entry = IndexEntry {
            state: self.description.states.len() - 1,
            offset: self.taken + start as u64,
            length: (self.out.len() - start) as u32,
            rows: self.block_rows,
            first_key: std::mem::take(&mut self.block_first_key),
            last_key_group,
        };
        entry.encode(&mut self.index);
        self.account.change(self.account.used(), self.out.len() + self.index.len());
        self.block_first_key = entry.first_key;
        self.block.clear();
        self.block_rows = 0;
    }

    fn state_name(&self) -> String {
        self.description.states.last().map_or_else(String::new, |state| state.name.clone())
    }

    fn unwritable(&self, reason: &str) -> RunError {
        RunError::Unwritable { state: self.state_name(), reason: reason.into() }
    }
}
