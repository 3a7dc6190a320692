//! What a keyed operator remembers for each key: registration, the current key, and the handles
//! by which user functions reach their state. One file per kind of state.
//!
//! Registering gives a small handle that is copied into the function; its methods take whatever
//! leads to the operator's [`KeyedState`]. Not here: timers and windows, which have their own
//! layouts.

mod aggregating;
mod cleanup;
mod list;
mod map;
mod reducing;
mod register;
mod snapshot;
mod table;
mod value;
mod with_time_to_live;

use std::any::{Any, type_name};
use std::sync::Arc;

use thalweg_core::Record;
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::Key;

pub use self::aggregating::AggregatingState;
pub use self::list::ListState;
pub use self::map::MapState;
pub use self::reducing::ReducingState;
pub(crate) use self::table::over_budget;
use self::table::{KeyedTable, StateTable, Stored};
pub use self::value::ValueState;
pub use self::with_time_to_live::StatesWithTimeToLive;
use crate::aggregate::AggregateFunction;
use crate::budget::MemoryBudget;
use crate::encoding::EncodingBudget;
use crate::error::StateError;
use crate::restore::RestoredOperator;
use crate::run::{RunError, RunWriter, StateKind};
use crate::ttl::{Forever, StateTtlConfig};

/// States up to this size stay in a processor's second-level cache, more or less.
const CACHED_BYTES: usize = 512 * 1024;

/// Whatever leads to an operator's keyed state: the state itself, and the contexts that user
/// functions get.
pub trait KeyedStateAccess {
    /// The operator's key.
    type Key: Key;

    /// The state.
    fn keyed_state(&mut self) -> &mut KeyedState<Self::Key>;
}

/// Everything that a keyed operator remembers per key. Owned by the operator, used by its thread.
pub struct KeyedState<K: Key> {
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    current: Option<CurrentKey<K>>,
    states: Vec<Registered<K>>,
    restored: Option<Arc<RestoredOperator>>,
    budget: MemoryBudget,
    /// The latest time that anyone has said.
    now_ms: Option<i64>,
    /// The states with a time to live.
    expiring: Vec<usize>,
}

/// The key that handles work on.
pub(crate) struct CurrentKey<K> {
    pub(crate) key: K,
    pub(crate) hash: u64,
    /// The key group's place in the subtask's range; beyond its end for a key of another subtask.
    pub(crate) group: usize,
}

impl<K> CurrentKey<K> {
    #[inline]
    pub(crate) fn new(key: K, hash: u64, key_group: u32, key_groups: KeyGroupRange) -> Self {
        CurrentKey { key, hash, group: key_group.wrapping_sub(key_groups.start) as usize }
    }
}

/// A state and the function that combines its values, if it has one.
struct Registered<K> {
    name: String,
    kind: StateKind,
    /// What the user registered, for comparison and for messages.
    description: String,
    table: Box<dyn StateTable<K>>,
    function: Option<Box<dyn Any + Send>>,
}

impl<K: Key> KeyedStateAccess for KeyedState<K> {
    type Key = K;

    #[inline]
    fn keyed_state(&mut self) -> &mut KeyedState<K> {
        self
    }
}

impl<K: Key> KeyedState<K> {
    /// The state of a subtask that owns `key_groups` of `max_parallelism`. States take their rows
    /// from `restored` when they're registered.
    ///
    /// # Errors
    /// The snapshot has another max parallelism.
    pub fn new(
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        restored: Option<Arc<RestoredOperator>>,
    ) -> Result<KeyedState<K>, StateError> {
        if let Some(restored) = &restored {
            restored.check_max_parallelism(max_parallelism)?;
        }
        let budget = MemoryBudget::unlimited();
        Ok(KeyedState {
            key_groups,
            max_parallelism,
            current: None,
            states: Vec::new(),
            restored,
            budget,
            now_ms: None,
            expiring: Vec::new(),
        })
    }

    /// It's so late now: ms since 1970. State with a time to live needs to be told before it's
    /// registered and then once for each batch. A time before the last one is that one.
    pub fn set_processing_time(&mut self, now_ms: i64) {
        let now_ms = self.now_ms.map_or(now_ms, |last| last.max(now_ms));
        self.now_ms = Some(now_ms);
        for index in &self.expiring {
            if let Some(state) = self.states.get_mut(*index) {
                state.table.set_now(now_ms);
            }
        }
    }

    /// So many rows were processed, or timers fired: looks for expired entries in states with a
    /// time to live, at no more than some for each row, and removes them.
    ///
    /// # Errors
    /// The budget doesn't hold what is used.
    pub fn clean_up(&mut self, rows: usize) -> Result<(), StateError> {
        for index in &self.expiring {
            if let Some(state) = self.states.get_mut(*index) {
                state.table.clean_up(rows)?;
            }
        }
        Ok(())
    }

    /// For registering states whose values expire: what Flink's descriptors call
    /// `enableTimeToLive`.
    ///
    /// A state may be given a time to live, another one, or none any more when it's restored.
    /// Values that had none live as if they were written when they're restored. Another time to
    /// live counts from when a value was written. Where it's taken away, what had expired by then
    /// stays away, and the rest lives for ever.
    pub fn with_time_to_live(&mut self, config: StateTtlConfig) -> StatesWithTimeToLive<'_, K> {
        StatesWithTimeToLive::new(self, config)
    }

    /// Lets the snapshot go, once all states are registered: states registered later start
    /// empty. Ask [`RestoredOperator::unclaimed`] first.
    pub fn finish_restore(&mut self) {
        self.restored = None;
    }

    /// The key groups that this subtask owns.
    pub fn key_groups(&self) -> KeyGroupRange {
        self.key_groups
    }

    /// The number of key groups of the whole operator.
    pub fn max_parallelism(&self) -> u32 {
        self.max_parallelism
    }

    /// From now on handles work on this key, whose `key_hash` is `hash`.
    #[inline]
    pub fn set_current_key(&mut self, key: K, hash: u64) {
        let group = key_group(hash, self.max_parallelism);
        self.current = Some(CurrentKey::new(key, hash, group, self.key_groups));
    }

    /// As [`set_current_key`](Self::set_current_key), for a key that's only borrowed: the memory
    /// of the key before is used again.
    #[inline]
    pub fn set_current_key_from(&mut self, key: &K, hash: u64) {
        let group = key_group(hash, self.max_parallelism);
        match &mut self.current {
            Some(current) => {
                current.key.clone_from(key);
                current.hash = hash;
                current.group = group.wrapping_sub(self.key_groups.start) as usize;
            }
            None => self.current = Some(CurrentKey::new(key.clone(), hash, group, self.key_groups)),
        }
    }

    /// From now on there is no current key.
    pub fn clear_current_key(&mut self) {
        self.current = None;
    }

    /// The current key.
    #[inline]
    pub fn current_key(&self) -> Option<&K> {
        self.current.as_ref().map(|current| &current.key)
    }

    /// The current key's hash.
    #[inline]
    pub fn current_hash(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.hash)
    }

    /// A state of one value per key.
    ///
    /// # Errors
    /// The name is taken by a state of another kind or type; the snapshot's state of that name
    /// can't be read as this one, or doesn't fit the budget. The same for the others.
    pub fn value_state<V: Record>(&mut self, name: &str) -> Result<ValueState<V>, StateError> {
        self.register_value(name, Forever)
    }

    /// A state of one list per key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn list_state<V: Record>(&mut self, name: &str) -> Result<ListState<V>, StateError> {
        self.register_list(name, Forever)
    }

    /// A state of one map per key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn map_state<MK: Key, MV: Record>(
        &mut self,
        name: &str,
    ) -> Result<MapState<MK, MV>, StateError> {
        self.register_map(name, Forever)
    }

    /// A state of one value per key, into which `reduce` brings further ones.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn reducing_state<V: Record>(
        &mut self,
        name: &str,
        reduce: impl Fn(&mut V, V) + Send + Sync + 'static,
    ) -> Result<ReducingState<V>, StateError> {
        self.register_reducing(name, Box::new(reduce), Forever)
    }

    /// A state of one accumulator per key.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn aggregating_state<In: 'static, A: AggregateFunction<In>>(
        &mut self,
        name: &str,
        aggregate: A,
    ) -> Result<AggregatingState<In, A>, StateError> {
        self.register_aggregating(name, aggregate, Forever)
    }

    /// Whether the states are so large that [`prefetch`](Self::prefetch) pays.
    #[inline]
    pub fn exceeds_cache(&self) -> bool {
        self.states.iter().any(|state| state.table.bytes() > CACHED_BYTES)
    }

    /// Asks the processor for what keys with these hashes have in the larger states, so that it
    /// is there when the keys' turn comes. For a few tens of keys at a time.
    pub fn prefetch(&self, hashes: &[u64]) {
        for state in &self.states {
            if state.table.bytes() > CACHED_BYTES {
                state.table.prefetch(hashes);
            }
        }
    }

    /// Approximate bytes that all states use.
    pub fn bytes(&self) -> usize {
        self.states.iter().map(|state| state.table.bytes()).sum()
    }

    /// Approximate bytes that each state uses, with its name and kind, in order of registration.
    pub fn bytes_by_state(&self) -> impl Iterator<Item = (&str, StateKind, usize)> {
        self.states.iter().map(|state| (state.name.as_str(), state.kind, state.table.bytes()))
    }

    /// Draws on `budget` from now on; unlimited without.
    ///
    /// # Errors
    /// It doesn't hold what is already used.
    pub fn set_budget(&mut self, budget: &MemoryBudget) -> Result<(), StateError> {
        self.budget = budget.clone();
        self.states.iter_mut().try_for_each(|state| state.table.set_budget(budget.clone()))
    }

    /// Writes all states: all rows, or what the writer's run needs. To a writer that takes them in
    /// slices they're only written by [`encode`](Self::encode), as they are now.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), RunError> {
        self.states.iter_mut().for_each(|state| state.table.begin_snapshot(writer));
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
        for state in &mut self.states {
            if !state.table.encode(writer, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// There will be no more of the snapshot that was begun, if one was.
    pub fn abort_snapshot(&mut self) {
        self.states.iter_mut().for_each(|state| state.table.abort_snapshot());
    }

    /// The state that a handle stands for, its function and the current key.
    #[inline]
    fn parts<S: Stored>(&mut self, index: usize) -> PartsOf<'_, K, S> {
        let Some(registered) = self.states.get_mut(index) else {
            return Err(foreign_handle::<S>());
        };
        let Some(table) = registered.table.as_any().downcast_mut::<KeyedTable<K, S>>() else {
            return Err(foreign_handle::<S>());
        };
        let Some(current) = &self.current else {
            return Err(StateError::NoCurrentKey { state: table.declaration().name.clone() });
        };
        Ok(Parts { table, current, function: registered.function.as_deref() })
    }
}

struct Parts<'c, K, S: Stored> {
    table: &'c mut KeyedTable<K, S>,
    current: &'c CurrentKey<K>,
    function: Option<&'c (dyn Any + Send)>,
}

/// What a handle leads to.
type PartsOf<'c, K, S> = Result<Parts<'c, K, S>, StateError>;

#[cold]
fn foreign_handle<S>() -> StateError {
    StateError::ForeignHandle { requested: type_name::<S>().to_owned() }
}
