//! Timers per key and namespace, in event time and in processing time. They fire in the order of
//! their times; among equal times in the order of (key hash, key, namespace), so that the order
//! depends neither on history nor on a restore. Not here: what a timer's firing does, and the rows
//! of a snapshot (`snapshot`).
//!
//! A timer is identified by time, key and namespace: registering it again changes nothing and
//! takes no memory, and a deleted one leaves nothing behind.

mod changes;
mod snapshot;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

use self::changes::{Born, TimerChanges};
use self::snapshot::Encoding;
use crate::budget::{MemoryAccount, MemoryBudget};
use crate::encoding::EncodingBudget;
use crate::error::StateError;
use crate::keyed::over_budget;
use crate::restore::{RestoredOperator, StateInRun};
use crate::run::{Row, RunError, RunWriter, StateDeclaration, StateKind};

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

    /// Writes all timers, or what the writer's run needs. To a writer that takes them in slices
    /// they're only written by [`encode`](Self::encode), as they are now.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), RunError> {
        self.event_time.begin_snapshot(writer);
        self.processing_time.begin_snapshot(writer);
        if !writer.is_sliced() {
            self.encode(writer, &mut EncodingBudget::unlimited())?;
        }
        Ok(())
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
        Ok(self.event_time.encode(writer, budget)?
            && self.processing_time.encode(writer, budget)?)
    }

    /// There will be no more of the snapshot that was begun, if one was.
    pub fn abort_snapshot(&mut self) {
        self.event_time.abort_snapshot();
        self.processing_time.abort_snapshot();
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
    /// The snapshot under way.
    encoding: Option<Box<Encoding>>,
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
            encoding: None,
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
        if self.encoding.is_some() {
            self.before_removal(time, key, hash, namespace, born);
        }
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

    /// The place of a hash's key group in the range; beyond its end for another subtask's.
    fn place_of(&self, hash: u64) -> usize {
        key_group(hash, self.max_parallelism).wrapping_sub(self.key_groups.start) as usize
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
