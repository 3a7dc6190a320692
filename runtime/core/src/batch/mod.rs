//! The batch: how rows travel, everywhere.
//!
//! `Batch = payload + columns`. The payload holds the values of one type behind a vtable
//! ([`Payload`]); [`Columns`] are what every row has beside its value: timestamp, kind of change,
//! hash of its key. A batch is shared without copying and changed in place when it is the only
//! owner; an operator takes rows off its front, so a half-processed batch is a batch too.
//!
//! One payload exists, [`Values`]: a `Vec<T>` for the typed API. The columnar one (an Arrow
//! RecordBatch, for Table and SQL) is a second implementation of [`Payload`] and comes with them.

mod columns;
mod payload;
mod row_type;
mod scatter;

use std::fmt;
use std::sync::Arc;

pub use columns::{Columns, RowKind};
pub use payload::{Payload, Values};
pub use row_type::{RowType, WireError};
pub use scatter::Scatter;

use crate::record::Record;

/// The batch holds rows of another type than was asked for: the graph was wired wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a batch of {actual} reached code that expects {expected}; this is a bug in the engine")]
pub struct RowTypeMismatch {
    /// The type that the code expects.
    pub expected: &'static str,
    /// The type of the batch's rows.
    pub actual: &'static str,
}

/// Rows with their timestamps, kinds and key hashes.
#[derive(Clone)]
pub struct Batch {
    payload: Arc<dyn Payload>,
    columns: Columns,
    /// Rows already taken off the front: `columns` still has them, `payload` hasn't.
    taken: usize,
}

/// One row taken off a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<T> {
    /// The value.
    pub value: T,
    /// Event time in ms since 1970, if it has one.
    pub timestamp: Option<i64>,
    /// Hash of the key, where an exchange has computed it.
    pub hash: Option<u64>,
}

impl Batch {
    /// A batch of values without timestamps.
    pub fn from_values<T: Record>(values: Vec<T>) -> Self {
        Self::new(values, Columns::default())
    }

    /// A batch of values and their columns, which must be as long as `values` where present.
    pub fn new<T: Record>(values: Vec<T>, columns: Columns) -> Self {
        debug_assert!(columns.fits(values.len()));
        Self { payload: Arc::new(Values::new(values)), columns, taken: 0 }
    }

    /// Number of rows left in it.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that its rows take in memory, what they own on the heap included.
    pub fn size_bytes(&self) -> usize {
        self.payload.size_bytes() + self.columns.bytes_per_row() * self.len()
    }

    /// The timestamps of the rows left, if they have any.
    pub fn timestamps(&self) -> Option<&[i64]> {
        self.columns.timestamps.as_deref().map(|t| &t[self.taken..])
    }

    /// The key hashes of the rows left, if an exchange has computed them.
    pub fn hashes(&self) -> Option<&[u64]> {
        self.columns.hashes.as_deref().map(|h| &h[self.taken..])
    }

    /// The kinds of change of the rows left; none: all are inserts.
    pub fn kinds(&self) -> Option<&[RowKind]> {
        self.columns.kinds.as_deref().map(|k| &k[self.taken..])
    }

    /// Sets the key hashes, one for each row left.
    pub fn set_hashes(&mut self, hashes: Vec<u64>) {
        debug_assert_eq!(hashes.len(), self.len());
        self.normalise();
        self.columns.hashes = Some(hashes);
    }

    /// The values left, for reading.
    pub fn values<T: Record>(&self) -> Result<&[T], RowTypeMismatch> {
        let values = self.payload.as_any().downcast_ref::<Values<T>>();
        values.map(Values::as_slice).ok_or_else(|| self.mismatch::<T>())
    }

    /// The rows, to be taken off the front one by one. Copies them first when they are shared.
    pub fn rows<T: Record>(&mut self) -> Result<Rows<'_, T>, RowTypeMismatch> {
        if Arc::get_mut(&mut self.payload).is_none() {
            self.payload = self.payload.to_unique();
        }
        let mismatch = self.mismatch::<T>();
        let Some(payload) = Arc::get_mut(&mut self.payload) else { return Err(mismatch) };
        match payload.as_any_mut().downcast_mut::<Values<T>>() {
            Some(values) => Ok(Rows { values, columns: &self.columns, taken: &mut self.taken }),
            None => Err(mismatch),
        }
    }

    /// All rows left, as vectors. Without copying, unless they are shared.
    pub fn into_parts<T: Record>(mut self) -> Result<(Vec<T>, Columns), RowTypeMismatch> {
        self.take_parts()
    }

    /// Takes all rows left off the batch, as vectors, and leaves it empty.
    pub fn take_parts<T: Record>(&mut self) -> Result<(Vec<T>, Columns), RowTypeMismatch> {
        self.normalise();
        let values = self.rows::<T>()?.values.take();
        Ok((values, std::mem::take(&mut self.columns)))
    }

    /// Adds the rows of `other` behind the own ones.
    pub fn append(&mut self, mut other: Batch) -> Result<(), RowTypeMismatch> {
        self.normalise();
        other.normalise();
        let (mine, theirs) = (self.len(), other.len());
        if Arc::get_mut(&mut self.payload).is_none() {
            self.payload = self.payload.to_unique();
        }
        if let Some(payload) = Arc::get_mut(&mut self.payload) {
            payload.append(other.payload)?;
        }
        self.columns.append(mine, other.columns, theirs);
        Ok(())
    }

    /// Writes the rows left for another process of the same build.
    pub fn encode(&self, out: &mut Vec<u8>) {
        row_type::encode_header(self, out);
        self.payload.encode(out);
    }

    /// Splits the rows left among `scatter`'s buffers by `destinations`, one number per row.
    pub fn scatter(
        self,
        scatter: &mut dyn Scatter,
        destinations: &[u32],
    ) -> Result<(), RowTypeMismatch> {
        scatter.scatter(self, destinations)
    }

    /// Drops the columns of rows that were taken.
    fn normalise(&mut self) {
        if self.taken > 0 {
            self.columns.drop_front(self.taken);
            self.taken = 0;
        }
    }

    fn mismatch<T: 'static>(&self) -> RowTypeMismatch {
        RowTypeMismatch { expected: std::any::type_name::<T>(), actual: self.payload.type_name() }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} x {})", self.len(), self.payload.type_name())
    }
}

/// Takes rows off the front of a batch.
#[derive(Debug)]
pub struct Rows<'a, T> {
    values: &'a mut Values<T>,
    columns: &'a Columns,
    taken: &'a mut usize,
}

impl<T: Record> Rows<'_, T> {
    /// The values left.
    pub fn as_slice(&self) -> &[T] {
        self.values.as_slice()
    }

    /// The hashes of the rows left, if there are any.
    #[inline]
    pub fn hashes(&self) -> Option<&[u64]> {
        self.columns.hashes.as_ref().and_then(|h| h.get(*self.taken..))
    }

    /// The hash of the row that `next` takes, if there is one.
    #[inline]
    pub fn next_hash(&self) -> Option<u64> {
        self.columns.hashes.as_ref().and_then(|h| h.get(*self.taken).copied())
    }
}

impl<T: Record> Iterator for Rows<'_, T> {
    type Item = Row<T>;

    #[inline]
    fn next(&mut self) -> Option<Row<T>> {
        let value = self.values.next()?;
        let at = *self.taken;
        *self.taken += 1;
        Some(Row {
            value,
            timestamp: self.columns.timestamps.as_ref().map(|t| t[at]),
            hash: self.columns.hashes.as_ref().map(|h| h[at]),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.values.as_slice().len();
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests;
