//! How users register states whose values expire.

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::{AggregatingState, KeyedState, ListState, MapState, ReducingState, ValueState};
use crate::aggregate::AggregateFunction;
use crate::error::StateError;
use crate::ttl::{StateTtlConfig, TimeToLive};

/// Registers states with a time to live: see [`KeyedState::with_time_to_live`].
pub struct StatesWithTimeToLive<'s, K: Key> {
    state: &'s mut KeyedState<K>,
    config: StateTtlConfig,
}

impl<'s, K: Key> StatesWithTimeToLive<'s, K> {
    pub(super) fn new(state: &'s mut KeyedState<K>, config: StateTtlConfig) -> Self {
        StatesWithTimeToLive { state, config }
    }

    /// A state of one value per key, which expires.
    ///
    /// # Errors
    /// As [`KeyedState::value_state`]; also a time to live of less than a millisecond, or an
    /// operator that didn't say how late it is. The same for the others.
    pub fn value_state<V: Record>(
        &mut self,
        name: &str,
    ) -> Result<ValueState<V, TimeToLive>, StateError> {
        let life = self.life(name)?;
        self.state.register_value(name, life)
    }

    /// A state of one list per key, of which each element expires on its own.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn list_state<V: Record>(
        &mut self,
        name: &str,
    ) -> Result<ListState<V, TimeToLive>, StateError> {
        let life = self.life(name)?;
        self.state.register_list(name, life)
    }

    /// A state of one map per key, of which each entry expires on its own.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn map_state<MK: Key, MV: Record>(
        &mut self,
        name: &str,
    ) -> Result<MapState<MK, MV, TimeToLive>, StateError> {
        let life = self.life(name)?;
        self.state.register_map(name, life)
    }

    /// A state of one value per key, into which `reduce` brings further ones. Each makes it live
    /// on; one that comes after it has expired is the first again.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn reducing_state<V: Record>(
        &mut self,
        name: &str,
        reduce: impl Fn(&mut V, V) + Send + Sync + 'static,
    ) -> Result<ReducingState<V, TimeToLive>, StateError> {
        let life = self.life(name)?;
        self.state.register_reducing(name, Box::new(reduce), life)
    }

    /// A state of one accumulator per key, which lives on with each value that is added.
    ///
    /// # Errors
    /// As [`value_state`](Self::value_state).
    pub fn aggregating_state<In: 'static, A: AggregateFunction<In>>(
        &mut self,
        name: &str,
        aggregate: A,
    ) -> Result<AggregatingState<In, A, TimeToLive>, StateError> {
        let life = self.life(name)?;
        self.state.register_aggregating(name, aggregate, life)
    }

    fn life(&self, name: &str) -> Result<TimeToLive, StateError> {
        let Some(now_ms) = self.state.now_ms else {
            return Err(StateError::NoTime { state: name.to_owned() });
        };
        TimeToLive::new(name, self.config, now_ms)
    }
}
