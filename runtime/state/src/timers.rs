//! Timers per key and namespace, in event time and in processing time. They fire in the order of
//! their times; among equal times in the order of (key hash, key, namespace), so that the order
//! depends neither on history nor on a restore. Not here: what a timer's firing does.
//!
//! A timer is identified by time, key and namespace: registering it again changes nothing and
//! takes no memory, and a deleted one leaves nothing behind.

mod changes;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

use self::changes::{Born, TimerChanges};
use crate::budget::{MemoryAccount, MemoryBudget};
use crate::error::StateError;
use crate::keyed::over_budget;
use crate::restore::{RestoredOperator, StateInRun};
use crate::run::{
    Row, RowKey, RowOperation, RunError, RunKind, RunWriter, StateDeclaration, StateKind,
};
use crate::sorted::Sorted;

/// A timer that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer<K, N> {
    /// Its time in milliseconds.
    pub time: i64,
    /// Its key.
    pub key: K,
    /// The key's hash.
    pub hash: u64,
    /// Its namespace: `()` for process functions, the window for windows.
    pub namespace: N,
}

/// The timers of one subtask.
pub struct TimerService<K, N> {
    event_time: TimerQueue<K, N>,
    processing_time: TimerQueue<K, N>,
}

impl<K: Key, N: Key> TimerService<K, N> {
    /// The timers called `name` of a subtask that owns `key_groups` of `max_parallelism`, with
    /// those of the snapshot.
    ///
    /// # Errors
    /// The snapshot has another max parallelism, or its timers can't be read as these.
    pub fn new(
        name: &str,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        restored: Option<&Arc<RestoredOperator>>,
    ) -> Result<TimerService<K, N>, StateError> {
        if let Some(restored) = restored {
            restored.check_max_parallelism(max_parallelism)?;
        }
        let queue = |kind| {
            let mut queue = TimerQueue::new(name, kind, key_groups, max_parallelism);
            match restored {
                Some(restored) => queue.restore(restored).map(|()| queue),
                None => Ok(queue),
            }
        };
        Ok(TimerService {
            event_time: queue(StateKind::EventTimeTimers)?,
            processing_time: queue(StateKind::ProcessingTimeTimers)?,
        })
    }

    /// Registers a timer that fires once the watermark reaches `time`. Returns whether it's new.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn register_event_time(
        &mut self,
        time: i64,
        key: &K,
        hash: u64,
        namespace: &N,
    ) -> Result<bool, StateError> {
        self.event_time.register(time, key, hash, namespace)
    }

    /// Deletes a timer in event time. Returns whether there was one.
    pub fn delete_event_time(&mut self, time: i64, key: &K, hash: u64, namespace: &N) -> bool {
        self.event_time.delete(time, key, hash, namespace)
    }

    /// Registers a timer that fires once the clock reaches `time`. Returns whether it's new.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn register_processing_time(
        &mut self,
        time: i64,
        key: &K,
        hash: u64,
        namespace: &N,
    ) -> Result<bool, StateError> {
        self.processing_time.register(time, key, hash, namespace)
    }

    /// Deletes a timer in processing time. Returns whether there was one.
    pub fn delete_processing_time(&mut self, time: i64, key: &K, hash: u64, namespace: &N) -> bool {
        self.processing_time.delete(time, key, hash, namespace)
    }

    /// The time of the next timer in event time.
    pub fn next_event_time(&self) -> Option<i64> {
        self.event_time.next_time()
    }

    /// The time of the next timer in processing time: when to ask again.
    pub fn next_processing_time(&self) -> Option<i64> {
        self.processing_time.next_time()
    }

    /// Takes the next timer in event time whose time is at most `up_to`, the watermark.
    pub fn pop_event_time(&mut self, up_to: i64) -> Option<Timer<K, N>> {
        self.event_time.pop(up_to)
    }

    /// Takes the next timer in processing time whose time is at most `up_to`, the clock's.
    pub fn pop_processing_time(&mut self, up_to: i64) -> Option<Timer<K, N>> {
        self.processing_time.pop(up_to)
    }

    /// Number of timers in event time.
    pub fn event_time_len(&self) -> usize {
        self.event_time.length
    }

    /// Number of timers in processing time.
    pub fn processing_time_len(&self) -> usize {
        self.processing_time.length
    }

    /// Approximate bytes that all timers use.
    pub fn bytes(&self) -> usize {
        self.event_time.account.used() + self.processing_time.account.used()
    }

    /// Draws on `budget` from now on; unlimited without.
    ///
    /// # Errors
    /// It doesn't hold what is already used.
    pub fn set_budget(&mut self, budget: &MemoryBudget) -> Result<(), StateError> {
        [&mut self.event_time, &mut self.processing_time].into_iter().try_for_each(|queue| {
            let moved = queue.account.move_to(budget.clone());
            moved.map_err(|overdrawn| over_budget(&queue.declaration.name, &overdrawn))
        })
    }

    /// Writes all timers, or what the writer's run needs.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), RunError> {
        self.event_time.snapshot(writer)?;
        self.processing_time.snapshot(writer)
    }
}

/// Timers of the same time and key hash: nearly always one. More are in the order of their
/// encoding.
type Simultaneous<K, N> = SmallVec<[(K, N, Born); 1]>;

/// Timers of one kind of time.
struct TimerQueue<K, N> {
    declaration: StateDeclaration,
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    timers: BTreeMap<(i64, u64), Simultaneous<K, N>>,
    length: usize,
    changes: TimerChanges,
    account: MemoryAccount,
}

impl<K: Key, N: Key> TimerQueue<K, N> {
    fn new(
        name: &str,
        kind: StateKind,
        key_groups: KeyGroupRange,
        max_parallelism: u32,
    ) -> TimerQueue<K, N> {
        let declaration = StateDeclaration {
            name: name.to_owned(),
            kind,
            key: Some(K::schema()),
            namespace: Some(N::schema()),
            map_key: None,
            value: None,
            time_to_live_ms: None,
        };
        let account = MemoryAccount::new(MemoryBudget::unlimited());
        TimerQueue {
            declaration,
            key_groups,
            max_parallelism,
            timers: BTreeMap::new(),
            length: 0,
            changes: TimerChanges::default(),
            account,
        }
    }

    fn register(
        &mut self,
        time: i64,
        key: &K,
        hash: u64,
        namespace: &N,
    ) -> Result<bool, StateError> {
        let born = self.changes.now();
        match self.timers.entry((time, hash)) {
            Entry::Vacant(entry) => {
                entry.insert(smallvec![(key.clone(), namespace.clone(), born)]);
            }
            Entry::Occupied(entry) => {
                let timers = entry.into_mut();
                if timers.iter().any(|(k, n, _)| k == key && n == namespace) {
                    return Ok(false);
                }
                let encoded = encode(key, namespace);
                let place = timers.partition_point(|(k, n, _)| encode(k, n) < encoded);
                timers.insert(place, (key.clone(), namespace.clone(), born));
            }
        }
        self.length += 1;
        self.account.change(0, size(key, namespace));
        let timers = &self.timers;
        let there = |place: &(i64, u64)| timers.contains_key(place);
        self.changes.registered((time, hash), self.length, there, &mut self.account);
        let checked = self.account.check();
        checked.map_err(|overdrawn| over_budget(&self.declaration.name, &overdrawn))?;
        Ok(true)
    }

    fn delete(&mut self, time: i64, key: &K, hash: u64, namespace: &N) -> bool {
        let Entry::Occupied(mut entry) = self.timers.entry((time, hash)) else {
            return false;
        };
        let timers = entry.get_mut();
        let Some(place) = timers.iter().position(|(k, n, _)| k == key && n == namespace) else {
            return false;
        };
        let (_, _, born) = timers.remove(place);
        if timers.is_empty() {
            entry.remove();
        }
        self.forget(time, key, hash, namespace, born);
        true
    }

    fn next_time(&self) -> Option<i64> {
        self.timers.first_key_value().map(|((time, _), _)| *time)
    }

    fn pop(&mut self, up_to: i64) -> Option<Timer<K, N>> {
        let mut entry = self.timers.first_entry()?;
        let (time, hash) = *entry.key();
        if time > up_to || entry.get().is_empty() {
            return None;
        }
        let (key, namespace, born) = entry.get_mut().remove(0);
        if entry.get().is_empty() {
            entry.remove();
        }
        self.forget(time, &key, hash, &namespace, born);
        Some(Timer { time, key, hash, namespace })
    }

    fn forget(&mut self, time: i64, key: &K, hash: u64, namespace: &N, born: Born) {
        self.length -= 1;
        self.account.change(size(key, namespace), 0);
        let encode = |out: &mut Vec<u8>| {
            let group = key_group(hash, self.max_parallelism) as u16;
            out.extend_from_slice(&group.to_be_bytes());
            write_time(time, out);
            key.encode_key(out);
            namespace.encode_key(out);
        };
        self.changes.removed(born, self.length, encode, &mut self.account);
    }

    /// Rows whose key is the time, 8 bytes big endian with the sign inverted, and then the key.
    fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), RunError> {
        writer.begin_state(self.declaration.clone())?;
        if let Some(last) = writer.tracking() {
            self.changes.settle(last, &mut self.account);
        }
        let delta = writer.kind() == RunKind::Delta;
        if delta && !self.changes.is_whole() {
            self.write_changes(writer)?;
        } else {
            self.write_all(writer, delta)?;
        }
        if writer.tracking().is_some() {
            self.changes.taken(&mut self.account);
        }
        Ok(())
    }

    fn write_all(&self, writer: &mut RunWriter, hide_older: bool) -> Result<(), RunError> {
        let mut groups: Vec<Vec<(i64, &K, &N)>> =
            self.key_groups.iter().map(|_| Vec::new()).collect();
        for ((time, hash), timers) in &self.timers {
            let group = groups.get_mut(self.place_of(*hash)).ok_or_else(|| self.foreign())?;
            group.extend(timers.iter().map(|(key, namespace, _)| (*time, key, namespace)));
        }
        for (group, timers) in self.key_groups.iter().zip(groups) {
            let key_group = group as u16;
            if hide_older {
                let all = RowKey { key_group, key: &[], namespace: &[], sub_key: &[] };
                writer.write(all, RowOperation::DeleteRange)?;
            }
            let timers = Sorted::new(timers.into_iter(), |(time, key, namespace), out| {
                write_time(*time, out);
                key.encode_key(out);
                namespace.encode_key(out);
            });
            let mut namespace_bytes = Vec::new();
            for (bytes, (_, _, namespace)) in timers.iter() {
                namespace_bytes.clear();
                namespace.encode_key(&mut namespace_bytes);
                let (key, namespace) = bytes.split_at(bytes.len() - namespace_bytes.len());
                writer.put(RowKey { key_group, key, namespace, sub_key: &[] }, &[])?;
            }
        }
        Ok(())
    }

    /// Tombstones for the timers that are gone, rows for those that are new.
    fn write_changes(&self, writer: &mut RunWriter) -> Result<(), RunError> {
        let mut added = Vec::new();
        for (time, hash) in self.changes.added() {
            if self.place_of(hash) >= self.key_groups.len() as usize {
                return Err(self.foreign());
            }
            let group = key_group(hash, self.max_parallelism) as u16;
            let timers = self.timers.get(&(time, hash)).into_iter().flatten();
            let new = timers.filter(|(_, _, born)| self.changes.is_new(*born));
            added.extend(new.map(|(key, namespace, _)| (group, time, key, namespace)));
        }
        let added = Sorted::new(added.into_iter(), |(group, time, key, namespace), out| {
            out.extend_from_slice(&group.to_be_bytes());
            write_time(*time, out);
            key.encode_key(out);
            namespace.encode_key(out);
        });
        let mut gone = self.changes.gone().peekable();
        let mut namespace_bytes = Vec::new();
        for (full, (key_group, _, _, namespace)) in added.iter() {
            while let Some(gone) = gone.next_if(|gone| *gone < full) {
                write_gone(writer, gone)?;
            }
            // One that is there again.
            gone.next_if(|gone| *gone == full);
            namespace_bytes.clear();
            namespace.encode_key(&mut namespace_bytes);
            let (key, namespace) = full[2..].split_at(full.len() - 2 - namespace_bytes.len());
            let key = RowKey { key_group: *key_group, key, namespace, sub_key: &[] };
            writer.put(key, &[])?;
        }
        gone.try_for_each(|gone| write_gone(writer, gone))
    }

    /// The place of a hash's key group in the range; beyond its end for another subtask's.
    fn place_of(&self, hash: u64) -> usize {
        key_group(hash, self.max_parallelism).wrapping_sub(self.key_groups.start) as usize
    }

    #[cold]
    fn foreign(&self) -> RunError {
        let reason = "it has a timer of a key that another subtask owns".to_owned();
        RunError::Unwritable { state: self.declaration.name.clone(), reason }
    }

    fn restore(&mut self, restored: &RestoredOperator) -> Result<(), StateError> {
        for state in restored.claim(&self.declaration)? {
            state.for_each_row(self.key_groups, |in_run, row| self.restore_row(in_run, row))?;
        }
        if restored.is_continued() {
            self.changes.track();
        }
        Ok(())
    }

    fn restore_row(&mut self, state: &StateInRun<'_>, row: &Row<'_>) -> Result<(), StateError> {
        let Some((time, key)) = row.key.key.split_first_chunk() else {
            return Err(state.bad_row(row, "a timer's key is too short for its time"));
        };
        let key: K = state.key(row, "key", key)?;
        let namespace: N = state.key(row, "namespace", row.key.namespace)?;
        let hash = key.key_hash();
        state.check_key_group(row, key_group(hash, self.max_parallelism))?;
        match self.register(read_time(*time), &key, hash, &namespace)? {
            true => Ok(()),
            false => Err(state.bad_row(row, "a timer occurs twice")),
        }
    }
}

/// The tombstone of a timer, whose full key this is.
fn write_gone(writer: &mut RunWriter, full: &[u8]) -> Result<(), RunError> {
    let Some((group, key)) = full.split_first_chunk() else { return Ok(()) };
    let key_group = u16::from_be_bytes(*group);
    let key = RowKey { key_group, key, namespace: &[], sub_key: &[] };
    writer.write(key, RowOperation::Delete)
}

/// Appends a time so that earlier ones sort first.
pub(crate) fn write_time(time: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&(time ^ i64::MIN).to_be_bytes());
}

pub(crate) fn read_time(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

fn encode<K: Key, N: Key>(key: &K, namespace: &N) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    namespace.encode_key(&mut bytes);
    bytes
}

/// What a timer takes, with its share of the tree's half-filled nodes.
fn size<K: Key, N: Key>(key: &K, namespace: &N) -> usize {
    let own = size_of::<((i64, u64), Simultaneous<K, N>)>();
    own + own / 2 + key.heap_size() + namespace.heap_size()
}
