//! The rows of one hash table in the order of their keys, a few at a time, while the table changes
//! in between.
//!
//! First the entries that wait are collected, and the copies of those that did; then they are
//! written. What changes meanwhile is in
//! `late`, and its place in the table doesn't wait any more. When the table moves its entries to
//! other places, as it grows or shrinks, those that still wait are collected again, at once: the
//! move itself took as long.

use std::collections::BTreeMap;

use thalweg_core::record::Key;

use super::EncodingBudget;
use super::chunk::{COPY, Chunk, Copies, Head};
use super::merge::Merge;
use crate::budget::MemoryAccount;
use crate::run::RunError;
use crate::table::{Entry, Table, prefetch};

/// Where few of the entries wait the processor doesn't foresee which are needed, and is told so
/// many words of places ahead: that is so in words of which at most `FEW` wait.
const AHEAD: usize = 16;
const FEW: u32 = 8;
/// What is collected until the keys take so much is still in the second-level cache when it's
/// written, and so is the begin of what it has on the heap.
const SOON_WRITTEN_BYTES: usize = 64 * 1024;
const CACHE_LINE: usize = 64;

/// Whose turn it is.
pub(crate) enum Turn<'t, K, V> {
    /// An entry's, and whether it has changed since the last published checkpoint.
    Entry(&'t mut Entry<K, V>, bool),
    /// Of rows that were copied.
    Copied(&'t [u8]),
    /// Of a key that is gone.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Entries in words of places before this one know what became of the last snapshot.
    Settle(usize),
    /// Copies before this one are sorted.
    Sort(usize),
    /// Copied entries before this one are collected.
    CollectCopies(usize),
    /// Words of places before this one are collected.
    Collect(usize),
    Write,
}

/// How far the rows of a table have been written.
pub(crate) struct TableRows {
    phase: Phase,
    /// While they are being collected.
    chunks: Copies,
    merge: Merge,
    /// Copied since its turn began.
    late: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// The removed key that came last.
    gone: Option<Vec<u8>>,
    /// Bytes of all of this.
    size: usize,
}

impl TableRows {
    /// Of a table of which these were copied.
    pub(crate) fn new(copies: Copies) -> TableRows {
        let size = copies.size();
        TableRows {
            phase: Phase::Settle(0),
            chunks: copies,
            merge: Merge::default(),
            late: BTreeMap::new(),
            gone: None,
            size,
        }
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Rows that were copied since its turn began.
    pub(crate) fn copy(&mut self, key: Vec<u8>, rows: Vec<u8>) {
        self.size += key.len() + rows.len() + 2 * size_of::<Box<[u8]>>();
        self.late.insert(key.into_boxed_slice(), rows.into_boxed_slice());
    }

    /// Goes on until all rows were given to `each`, which answers how many bytes they had, or the
    /// budget is spent. Whether all is done. `settle` tells an entry that the last snapshot that
    /// held it was published, and whether it hasn't changed since. `heap` tells where a value goes
    /// on that isn't all in its entry.
    pub(crate) fn go_on<K: Key, V>(
        &mut self,
        table: &mut Table<K, V>,
        budget: &mut EncodingBudget,
        account: &mut MemoryAccount,
        settle: impl Fn(&mut V, bool, &mut MemoryAccount),
        heap: impl Fn(&V) -> Option<*const u8>,
        mut each: impl FnMut(&[u8], Turn<'_, K, V>, &mut MemoryAccount) -> Result<usize, RunError>,
    ) -> Result<bool, RunError> {
        let again = table.frozen_mut().is_some_and(|frozen| frozen.take_moved());
        if again {
            self.collect_again();
        }
        loop {
            // All at once: it would have to begin again if they moved again.
            let at_once = again && matches!(self.phase, Phase::Collect(_));
            if budget.is_spent() && !at_once {
                return Ok(false);
            }
            self.phase = match self.phase {
                Phase::Settle(word) => match table.settle_word(word, account, &settle) {
                    Some(settled) => {
                        budget.spend(1 + settled, 0);
                        Phase::Settle(word + 1)
                    }
                    None => Phase::Sort(0),
                },
                Phase::Sort(place) => match self.chunks.0.get_mut(place) {
                    Some(chunk) => {
                        budget.spend(chunk.len(), 0);
                        chunk.sort();
                        Phase::Sort(place + 1)
                    }
                    None => Phase::CollectCopies(0),
                },
                Phase::CollectCopies(from) => match self.collect_copies(table, from)? {
                    0 => Phase::Collect(0),
                    rows => {
                        budget.spend(rows, 0);
                        Phase::CollectCopies(from + rows)
                    }
                },
                Phase::Collect(word) => match self.collect(table, word, &heap)? {
                    Some(rows) => {
                        budget.spend(1 + rows, 0);
                        Phase::Collect(word + 1)
                    }
                    None => {
                        if let Some(last) = self.chunks.0.last_mut() {
                            last.sort();
                        }
                        self.merge = Merge::new(std::mem::take(&mut self.chunks.0));
                        Phase::Write
                    }
                },
                Phase::Write => match self.write(table, |key, turn| each(key, turn, account))? {
                    Some(bytes) => {
                        budget.spend(1, bytes);
                        Phase::Write
                    }
                    None => return Ok(true),
                },
            };
        }
    }

    /// The places that it knows are no longer right.
    fn collect_again(&mut self) {
        match self.phase {
            Phase::Write => self.chunks.0 = std::mem::take(&mut self.merge).into_chunks(),
            Phase::Collect(_) => {}
            Phase::Settle(_) => return self.phase = Phase::Settle(0),
            Phase::Sort(_) | Phase::CollectCopies(_) => return,
        }
        self.chunks.0.iter_mut().for_each(Chunk::forget_places);
        self.chunks.0.retain(|chunk| chunk.head().is_some());
        self.size = self.chunks.size()
            + self.late.iter().map(|(key, rows)| key.len() + rows.len()).sum::<usize>();
        self.phase = Phase::Collect(0);
    }

    /// Collects what waits in a word of places. How many there were; None beyond the end.
    fn collect<K: Key, V>(
        &mut self,
        table: &Table<K, V>,
        word: usize,
        heap: impl Fn(&V) -> Option<*const u8>,
    ) -> Result<Option<usize>, RunError> {
        let waiting = |word| table.frozen().and_then(|frozen| frozen.waiting_word(word));
        let Some(bits) = waiting(word) else { return Ok(None) };
        let ahead = waiting(word + AHEAD).unwrap_or_default();
        if ahead.count_ones() <= FEW {
            table.prefetch_places(word + AHEAD, ahead);
        }
        let soon_written = self.size < SOON_WRITTEN_BYTES;
        let mut rows = 0;
        for place in crate::changes::places_of(word, bits) {
            let Some(entry) = table.bucket(place) else { continue };
            if place >= COPY {
                return Err(RunError::too_large());
            }
            self.push(&entry.key, place)?;
            if let Some(heap) = heap(&entry.value).filter(|_| soon_written) {
                prefetch(heap);
                prefetch(heap.wrapping_add(CACHE_LINE));
            }
            rows += 1;
        }
        Ok(Some(rows))
    }

    /// Collects some of the copied entries. How many there were; none beyond the end.
    fn collect_copies<K: Key, V>(
        &mut self,
        table: &Table<K, V>,
        from: usize,
    ) -> Result<usize, RunError> {
        let copied = table.copied().iter().skip(from).take(64);
        let rows = copied.len();
        for (at, entry) in (from..).zip(copied) {
            if at >= COPY {
                return Err(RunError::too_large());
            }
            self.push(&entry.key, at | COPY)?;
        }
        Ok(rows)
    }

    fn push<K: Key>(&mut self, key: &K, place: usize) -> Result<(), RunError> {
        if let Some(last) = self.chunks.0.last_mut()
            && last.is_full()
        {
            last.sort();
        }
        let chunk = self.chunks.last();
        let before = chunk.size();
        if !chunk.push(place, |out| key.encode_key(out), |_| ()) {
            return Err(RunError::too_large());
        }
        self.size += chunk.size() - before;
        Ok(())
    }

    /// Gives the next key to `each`. None if there is none.
    fn write<K: Key, V>(
        &mut self,
        table: &mut Table<K, V>,
        mut each: impl FnMut(&[u8], Turn<'_, K, V>) -> Result<usize, RunError>,
    ) -> Result<Option<usize>, RunError> {
        let head = self.merge.head().map(|head| head.key);
        let late = self.late.first_key_value().map(|(key, _)| &**key);
        let gone = table.frozen().and_then(|frozen| frozen.removed_after(self.gone.as_deref()));
        if late.is_none() && gone.is_none() {
            let Some(head) = self.merge.head() else { return Ok(None) };
            let bytes = write_head(table, head, each)?;
            self.merge.advance();
            return Ok(Some(bytes));
        }
        let Some(key) = [head, late, gone].into_iter().flatten().min() else { return Ok(None) };
        let [is_head, is_late, is_gone] = [head, late, gone].map(|other| other == Some(key));
        if is_gone {
            self.gone = Some(key.to_vec());
        }
        // A copy that came late is of an entry that waits no more. A key that is gone and there
        // again isn't gone.
        let bytes = match (self.late.first_key_value(), self.merge.head(), &self.gone) {
            (Some((key, rows)), ..) if is_late => each(key, Turn::Copied(rows))?,
            (_, Some(head), _) if is_head => write_head(table, head, each)?,
            (.., Some(key)) => each(key, Turn::Gone)?,
            (.., None) => 0,
        };
        if is_head {
            self.merge.advance();
        }
        if is_late {
            self.late.pop_first();
        }
        Ok(Some(bytes))
    }
}

/// Gives the key of an item that was collected to `each`, unless it waits no more.
fn write_head<K: Key, V>(
    table: &mut Table<K, V>,
    head: Head<'_>,
    mut each: impl FnMut(&[u8], Turn<'_, K, V>) -> Result<usize, RunError>,
) -> Result<usize, RunError> {
    if !head.rows.is_empty() {
        return each(head.key, Turn::Copied(head.rows));
    }
    if head.place & COPY != 0 {
        return match table.copied_mut().get_mut(head.place & !COPY) {
            Some(entry) => each(head.key, Turn::Entry(entry, true)),
            None => Ok(0),
        };
    }
    match table.take_waiting(head.place) {
        Some((entry, changed)) => each(head.key, Turn::Entry(entry, changed)),
        None => Ok(0),
    }
}
