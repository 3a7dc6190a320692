//! The rows of timers in a snapshot. All timers that belong to it are collected first, in the
//! order in which they fire; a row is nothing but its key, so what was collected is a copy
//! already. Then they are written, key group by key group.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use thalweg_core::record::Key;

use super::changes::Born;
use super::{TimerQueue, write_time};
use crate::budget::MemoryAccount;
use crate::encoding::{Copies, EncodingBudget, Merge, next_after};
use crate::run::{RowKey, RowOperation, RunError, RunKind, RunWriter};

/// Where a timer is: its time, and its key's hash.
type Place = (i64, u64);

/// The snapshot of timers under way.
pub(super) struct Encoding {
    /// Nothing of older runs counts.
    hides_older: bool,
    /// The state was begun in the run.
    begun: bool,
    /// Timers of later intervals don't belong to it.
    last: Born,
    /// Of a delta: where the timers are that it holds, and the interval after which they were
    /// registered.
    added: Option<(Arc<Vec<Place>>, Born)>,
    phase: Phase,
    /// The keys of what was collected, per key group, without it.
    groups: Vec<Copies>,
    /// The full keys of timers that are gone.
    gone: Arc<BTreeSet<Box<[u8]>>>,
    /// The one of them that was written last.
    gone_last: Option<Vec<u8>>,
    /// What was collected.
    buffers: MemoryAccount,
    /// Why it can't go on.
    failed: Option<RunError>,
}

enum Phase {
    /// All timers up to this place are collected.
    All(Option<Place>),
    /// Those at the first so many places are.
    Added(usize),
    /// Key groups before this one are written, and of this one so many pieces are sorted.
    Sort(usize, usize),
    /// This key group is being written; the last key, for there may be equal ones.
    Write(usize, Merge, Option<Vec<u8>>),
}

impl<K: Key, N: Key> TimerQueue<K, N> {
    /// A snapshot begins that is written to `writer`.
    pub(super) fn begin_snapshot(&mut self, writer: &mut RunWriter) {
        self.abort_snapshot();
        if let Some(last) = writer.tracking() {
            self.changes.settle(last, &mut self.account);
        }
        let delta = writer.kind() == RunKind::Delta;
        let whole = !delta || self.changes.is_whole();
        if writer.tracking().is_some() {
            self.changes.taken(&mut self.account);
        }
        let last = self.changes.end_interval();
        let added = (!whole).then(|| (self.changes.added(), self.changes.published()));
        writer.begin_slices(added.as_ref().map_or(self.length, |(added, _)| added.len()));
        self.encoding = Some(Box::new(Encoding {
            hides_older: delta && whole,
            begun: false,
            last,
            phase: if whole { Phase::All(None) } else { Phase::Added(0) },
            added,
            groups: self.key_groups.iter().map(|_| Copies::default()).collect(),
            gone: if whole { Arc::default() } else { self.changes.gone() },
            gone_last: None,
            buffers: MemoryAccount::new(writer.buffers()),
            failed: None,
        }));
    }

    /// A timer is about to go: it's collected if it belongs to the snapshot under way.
    #[cold]
    pub(super) fn before_removal(
        &mut self,
        time: i64,
        key: &K,
        hash: u64,
        namespace: &N,
        born: Born,
    ) {
        let group = self.place_of(hash);
        let Some(encoding) = &mut self.encoding else { return };
        let waits = match (&encoding.phase, &encoding.added) {
            (Phase::All(collected), _) => collected.is_none_or(|last| (time, hash) > last),
            // It may have been collected, and is twice there then.
            (Phase::Added(_), Some((_, published))) => born > *published,
            _ => false,
        };
        if waits && born <= encoding.last {
            encoding.collect(group, time, key, namespace);
            encoding.check();
        }
    }

    /// Goes on with the snapshot that was begun, in this slice. Whether it's complete.
    pub(super) fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError> {
        let Some(mut encoding) = self.encoding.take() else { return Ok(true) };
        if !std::mem::replace(&mut encoding.begun, true) {
            writer.begin_state(self.declaration.clone())?;
        }
        let complete = self.go_on(&mut encoding, writer, budget);
        let complete = complete.map_err(|error| error.of_state(&self.declaration.name))?;
        match complete {
            true => writer.end_slices(),
            false => self.encoding = Some(encoding),
        }
        Ok(complete)
    }

    fn go_on(
        &self,
        encoding: &mut Encoding,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<bool, RunError> {
        loop {
            if let Some(failed) = encoding.failed.take() {
                return Err(failed);
            }
            if budget.is_spent() {
                return Ok(false);
            }
            match &mut encoding.phase {
                Phase::All(after) => {
                    let after = *after;
                    self.collect_all(encoding, after, budget);
                }
                Phase::Added(from) => {
                    let from = *from;
                    self.collect_added(encoding, from, budget);
                }
                Phase::Sort(group, pieces) => {
                    let (group, pieces) = (*group, *pieces);
                    let Some(copies) = encoding.groups.get_mut(group) else { return Ok(true) };
                    if let Some(chunk) = copies.0.get_mut(pieces) {
                        chunk.sort();
                        budget.spend(chunk.len(), 0);
                        encoding.phase = Phase::Sort(group, pieces + 1);
                        continue;
                    }
                    let size = copies.size();
                    let merge = Merge::new(std::mem::take(&mut copies.0));
                    encoding.buffers.change(size, 0);
                    encoding.buffers.give_back_unused();
                    if encoding.hides_older {
                        let key_group = (self.key_groups.start as usize + group) as u16;
                        writer.write(row_key(key_group, &[], &[]), RowOperation::DeleteRange)?;
                    }
                    encoding.phase = Phase::Write(group, merge, None);
                    budget.spend(1, 0);
                }
                Phase::Write(group, ..) => {
                    let group = *group;
                    let key_group = (self.key_groups.start as usize + group) as u16;
                    match encoding.write(key_group, writer)? {
                        Some(bytes) => budget.spend(1, bytes),
                        None => encoding.phase = Phase::Sort(group + 1, 0),
                    }
                }
            }
        }
    }

    /// Collects timers in the order in which they fire, until the budget is spent.
    fn collect_all(
        &self,
        encoding: &mut Encoding,
        after: Option<Place>,
        budget: &mut EncodingBudget,
    ) {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (place, timers) in self.timers.range((after, Bound::Unbounded)) {
            if budget.is_spent() {
                return encoding.check();
            }
            for (key, namespace, born) in timers {
                if *born <= encoding.last {
                    encoding.collect(self.place_of(place.1), place.0, key, namespace);
                }
            }
            encoding.phase = Phase::All(Some(*place));
            budget.spend(timers.len(), 0);
        }
        encoding.check();
        encoding.phase = Phase::Sort(0, 0);
    }

    /// Collects the timers that are new, until the budget is spent.
    fn collect_added(&self, encoding: &mut Encoding, from: usize, budget: &mut EncodingBudget) {
        let Some((added, published)) = encoding.added.clone() else {
            return encoding.phase = Phase::Sort(0, 0);
        };
        for (number, place) in added.iter().enumerate().skip(from) {
            if budget.is_spent() {
                return encoding.check();
            }
            for (key, namespace, born) in self.timers.get(place).into_iter().flatten() {
                if *born > published && *born <= encoding.last {
                    encoding.collect(self.place_of(place.1), place.0, key, namespace);
                }
            }
            encoding.phase = Phase::Added(number + 1);
            budget.spend(1, 0);
        }
        encoding.check();
        encoding.phase = Phase::Sort(0, 0);
    }

    /// There will be no more of the snapshot that was begun, if one was.
    pub(super) fn abort_snapshot(&mut self) {
        self.encoding = None;
    }
}

impl Encoding {
    /// Keeps a timer's row for the turn of its key group.
    fn collect<K: Key, N: Key>(&mut self, group: usize, time: i64, key: &K, namespace: &N) {
        let Some(copies) = self.groups.get_mut(group) else {
            let reason = "it has a timer of a key that another subtask owns".to_owned();
            self.failed = Some(RunError::Unwritable { state: String::new(), reason });
            return;
        };
        let chunk = copies.last();
        let before = chunk.size();
        let mut encoded = Vec::new();
        namespace.encode_key(&mut encoded);
        let fits = chunk.push(
            encoded.len(),
            |out| {
                write_time(time, out);
                key.encode_key(out);
                out.extend_from_slice(&encoded);
            },
            |_| (),
        );
        if !fits {
            self.failed = Some(RunError::too_large());
        }
        self.buffers.change(0, chunk.size() - before);
    }

    /// Notes when the buffers hold too much.
    fn check(&mut self) {
        if let Err(overdrawn) = self.buffers.check() {
            self.failed.get_or_insert(overdrawn.into());
        }
    }

    /// Writes the next row of the key group. How many bytes it has; None if there is none.
    fn write(&mut self, group: u16, writer: &mut RunWriter) -> Result<Option<usize>, RunError> {
        let Phase::Write(_, merge, last) = &mut self.phase else { return Ok(None) };
        // Full keys of timers that are gone begin with their key groups.
        let from = group.to_be_bytes();
        let after = self.gone_last.as_deref().unwrap_or(&[]);
        let gone = next_after(&self.gone, Some(after.max(&from[..])));
        let gone = gone.and_then(|gone| gone.strip_prefix(&from[..]));
        let head = merge.head();
        if let Some(gone) = gone
            && head.is_none_or(|head| gone <= head.key)
        {
            let there_again = head.is_some_and(|head| head.key == gone);
            self.gone_last = Some([&from[..], gone].concat());
            let bytes = gone.len();
            if !there_again {
                writer.write(row_key(group, gone, &[]), RowOperation::Delete)?;
            }
            return Ok(Some(bytes));
        }
        let Some(head) = head else { return Ok(None) };
        let bytes = head.key.len();
        if last.as_deref() != Some(head.key) {
            let (key, namespace) = head.key.split_at(bytes.saturating_sub(head.place));
            writer.put(row_key(group, key, namespace), &[])?;
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(head.key);
        }
        merge.advance();
        Ok(Some(bytes))
    }
}

fn row_key<'k>(key_group: u16, key: &'k [u8], namespace: &'k [u8]) -> RowKey<'k> {
    RowKey { key_group, key, namespace, sub_key: &[] }
}
