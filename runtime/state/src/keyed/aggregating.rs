//! One accumulator per key.

use std::marker::PhantomData;

use super::{KeyedStateAccess, Parts, PartsOf, foreign_handle};
use crate::aggregate::AggregateFunction;
use crate::error::StateError;
use crate::handle::handle;
use crate::ttl::{Forever, Lifetime, Timed};
use crate::value_mut::ValueMut;

/// Handle of a state that aggregates the values added to it. `L`: whether the accumulator expires.
pub struct AggregatingState<In, A, L = Forever> {
    index: u32,
    types: PhantomData<fn(In) -> (A, L)>,
}

handle!(AggregatingState<In, A, L>);

impl<In: 'static, A: AggregateFunction<In>, L: Lifetime> AggregatingState<In, A, L> {
    /// The result for the current key; `None` before anything was added.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    pub fn get(
        &self,
        context: &mut impl KeyedStateAccess,
    ) -> Result<Option<A::Output>, StateError> {
        let Parts { table, current, function } = self.parts(context)?;
        let aggregate = Self::aggregate(function)?;
        table.before_read(current)?;
        Ok(table.find(current)?.map(|entry| aggregate.get_result(&entry.value)))
    }

    /// Adds a value to the current key's accumulator.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn add(&self, context: &mut impl KeyedStateAccess, value: &In) -> Result<(), StateError> {
        let Parts { table, current, function } = self.parts(context)?;
        let aggregate = Self::aggregate(function)?;
        table.before_write(current)?;
        let (entry, made, account) = table.written(current, || aggregate.create_accumulator())?;
        aggregate.add(value, &mut ValueMut::new(&mut entry.value, made, account));
        Ok(())
    }

    /// Forgets what was added for the current key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, context: &mut impl KeyedStateAccess) -> Result<(), StateError> {
        self.parts(context)?.take().map(drop)
    }

    #[inline]
    fn aggregate(function: Option<&(dyn std::any::Any + Send)>) -> Result<&A, StateError> {
        let aggregate = function.and_then(|function| function.downcast_ref::<A>());
        aggregate.ok_or_else(foreign_handle::<Self>)
    }

    #[inline]
    fn parts<'c, C: KeyedStateAccess>(
        &self,
        context: &'c mut C,
    ) -> PartsOf<'c, C::Key, Timed<A::Accumulator, L>> {
        context.keyed_state().parts(self.index as usize)
    }
}
