//! One value per key, into which a function brings further ones.

use std::marker::PhantomData;

use thalweg_core::Record;

use super::{KeyedStateAccess, Parts, PartsOf, foreign_handle};
use crate::error::StateError;
use crate::handle::handle;
use crate::ttl::{Forever, Lifetime, Timed};
use crate::value_mut::ValueMut;

/// The function as it's kept beside the state.
pub(super) type Reduce<V> = Box<dyn Fn(&mut V, V) + Send + Sync>;

/// Handle of a state that reduces the values added to it. `L`: whether the reduced value expires.
pub struct ReducingState<V, L = Forever> {
    index: u32,
    types: PhantomData<fn() -> (V, L)>,
}

handle!(ReducingState<V, L>);

impl<V: Record, L: Lifetime> ReducingState<V, L> {
    /// The current key's value.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    #[inline]
    pub fn get<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
    ) -> Result<Option<&'c V>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_read(current)?;
        Ok(table.find(current)?.map(|entry| &entry.value))
    }

    /// Reduces the current key's value with this one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn add(&self, context: &mut impl KeyedStateAccess, value: V) -> Result<(), StateError> {
        let Parts { table, current, function } = self.parts(context)?;
        let Some(reduce) = function.and_then(|function| function.downcast_ref::<Reduce<V>>())
        else {
            return Err(foreign_handle::<ReducingState<V, L>>());
        };
        table.before_write(current)?;
        let expiry = table.life.written();
        if let Some((entry, account)) = table.find_mut(current)? {
            reduce(&mut ValueMut::new(&mut entry.value, false, account), value);
            entry.expiry = expiry;
        } else {
            let (entry, made, account) = table.written(current, || value)?;
            drop(ValueMut::new(&mut entry.value, made, account));
        }
        Ok(())
    }

    /// The current key has no value from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, context: &mut impl KeyedStateAccess) -> Result<(), StateError> {
        self.parts(context)?.take().map(drop)
    }

    #[inline]
    fn parts<'c, C: KeyedStateAccess>(
        &self,
        context: &'c mut C,
    ) -> PartsOf<'c, C::Key, Timed<V, L>> {
        context.keyed_state().parts(self.index as usize)
    }
}
