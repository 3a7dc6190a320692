//! The values of a batch behind a vtable, and the implementation for a vector of one type.

use std::any::Any;
use std::sync::Arc;

use super::RowTypeMismatch;
use crate::record::Record;

/// Values of one type, whichever it is.
pub trait Payload: Any + Send + Sync {
    /// Number of values.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes the values take in memory, heap included.
    fn size_bytes(&self) -> usize;
    /// A copy that nobody shares.
    fn to_unique(&self) -> Arc<dyn Payload>;
    /// Adds the values of `other` behind the own ones.
    fn append(&mut self, other: Arc<dyn Payload>) -> Result<(), RowTypeMismatch>;
    /// Writes the values one after another.
    fn encode(&self, out: &mut Vec<u8>);
    /// The type's name, for errors.
    fn type_name(&self) -> &'static str;
    /// For the way back to the typed values.
    fn as_any(&self) -> &dyn Any;
    /// For the way back to the typed values.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// For the way back to the typed values, shared.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A vector whose values can be taken off its front.
#[derive(Clone, Debug)]
pub struct Values<T>(std::vec::IntoIter<T>);

impl<T> Values<T> {
    pub(super) fn new(values: Vec<T>) -> Self {
        Self(values.into_iter())
    }

    /// The values left.
    pub fn as_slice(&self) -> &[T] {
        self.0.as_slice()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    /// All that are left. Keeps the allocation.
    pub(super) fn take(&mut self) -> Vec<T> {
        std::mem::replace(&mut self.0, Vec::new().into_iter()).collect()
    }
}

impl<T: Record> Payload for Values<T> {
    fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    fn size_bytes(&self) -> usize {
        let values = self.0.as_slice();
        let heap = if T::OWNS_HEAP { values.iter().map(Record::heap_size).sum() } else { 0 };
        std::mem::size_of_val(values) + heap
    }

    fn to_unique(&self) -> Arc<dyn Payload> {
        Arc::new(self.clone())
    }

    fn append(&mut self, other: Arc<dyn Payload>) -> Result<(), RowTypeMismatch> {
        let actual = other.type_name();
        let other = other
            .into_any()
            .downcast::<Self>()
            .map_err(|_| RowTypeMismatch { expected: std::any::type_name::<T>(), actual })?;
        let mut values = self.take();
        match Arc::try_unwrap(other) {
            Ok(other) => values.extend(other.0),
            Err(shared) => values.extend_from_slice(shared.0.as_slice()),
        }
        *self = Self::new(values);
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for value in self.0.as_slice() {
            value.encode(out);
        }
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
