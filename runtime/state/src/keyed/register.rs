//! Registering a state, with a time to live or without: a name, a kind, types and a table. Not
//! here: what users call.

use std::any::{Any, type_name};

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::table::{KeyedTable, Stored};
use super::{
    AggregatingState, KeyedState, ListState, MapState, ReducingState, Registered, ValueState, list,
    map, reducing,
};
use crate::aggregate::AggregateFunction;
use crate::error::StateError;
use crate::run::StateKind;
use crate::ttl::{Life, Lifetime, Timed};

/// What a user registered, for comparison and for messages; and its function, if it has one.
struct Described {
    kind: StateKind,
    types: String,
    function: Option<Box<dyn Any + Send>>,
}

impl<K: Key> KeyedState<K> {
    pub(super) fn register_value<V: Record, L: Lifetime>(
        &mut self,
        name: &str,
        life: L,
    ) -> Result<ValueState<V, L>, StateError> {
        let types = type_name::<V>().to_owned();
        let described = Described { kind: StateKind::Value, types, function: None };
        self.register::<Timed<V, L>>(name, described, life).map(ValueState::new)
    }

    pub(super) fn register_list<V: Record, L: Lifetime>(
        &mut self,
        name: &str,
        life: L,
    ) -> Result<ListState<V, L>, StateError> {
        let types = type_name::<V>().to_owned();
        let described = Described { kind: StateKind::List, types, function: None };
        self.register::<list::Listed<V, L>>(name, described, life).map(ListState::new)
    }

    pub(super) fn register_map<MK: Key, MV: Record, L: Lifetime>(
        &mut self,
        name: &str,
        life: L,
    ) -> Result<MapState<MK, MV, L>, StateError> {
        let types = format!("{} to {}", type_name::<MK>(), type_name::<MV>());
        let described = Described { kind: StateKind::Map, types, function: None };
        self.register::<map::Mapped<MK, MV, L>>(name, described, life).map(MapState::new)
    }

    pub(super) fn register_reducing<V: Record, L: Lifetime>(
        &mut self,
        name: &str,
        reduce: reducing::Reduce<V>,
        life: L,
    ) -> Result<ReducingState<V, L>, StateError> {
        let types = type_name::<V>().to_owned();
        let function = Some(Box::new(reduce) as Box<dyn Any + Send>);
        let described = Described { kind: StateKind::Reducing, types, function };
        self.register::<Timed<V, L>>(name, described, life).map(ReducingState::new)
    }

    pub(super) fn register_aggregating<In: 'static, A: AggregateFunction<In>, L: Lifetime>(
        &mut self,
        name: &str,
        aggregate: A,
        life: L,
    ) -> Result<AggregatingState<In, A, L>, StateError> {
        let types = type_name::<A>().to_owned();
        let function = Some(Box::new(aggregate) as Box<dyn Any + Send>);
        let described = Described { kind: StateKind::Aggregating, types, function };
        let stored = self.register::<Timed<A::Accumulator, L>>(name, described, life);
        stored.map(AggregatingState::new)
    }

    /// The state's number.
    fn register<S: Stored>(
        &mut self,
        name: &str,
        described: Described,
        life: S::Life,
    ) -> Result<usize, StateError> {
        let Described { kind, types, function } = described;
        let description = format!("{kind} of {types}{}", life.description());
        if let Some(index) = self.states.iter().position(|state| state.name == name) {
            let registered = &mut self.states[index];
            if registered.description == description
                && registered.table.as_any().is::<KeyedTable<K, S>>()
            {
                return Ok(index);
            }
            return Err(StateError::Registered {
                state: name.to_owned(),
                registered: registered.description.clone(),
                requested: description,
            });
        }
        let (groups, budget) = (self.key_groups, self.budget.clone());
        let max_parallelism = self.max_parallelism;
        let mut table = KeyedTable::<K, S>::new(name, kind, groups, max_parallelism, budget, life);
        if let Some(restored) = &self.restored {
            table.restore(restored, self.now_ms)?;
        }
        let table = Box::new(table);
        self.states.push(Registered { name: name.to_owned(), kind, description, table, function });
        let index = self.states.len() - 1;
        if S::Life::EXPIRES {
            self.expiring.push(index);
        }
        Ok(index)
    }
}
