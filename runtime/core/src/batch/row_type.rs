//! A row's type as a value: what the untyped runtime needs to know of it.
//!
//! The layout on the wire (both ends are the same build): a byte of flags, the number of rows
//! (u32, little-endian), timestamps (8 bytes each), kinds (1 byte each), then the values as
//! [`Record::encode`] writes them. Key hashes aren't sent: the receiver computes them again.

use std::fmt;

use super::{Batch, Columns, RowKind, Scatter, scatter::TypedScatter};
use crate::record::{DecodeError, Record};

const HAS_TIMESTAMPS: u8 = 1;
const HAS_KINDS: u8 = 2;

/// The bytes of a batch aren't what the peer of the same build would have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end within the batch, or go on behind it.
    #[error("the bytes of a batch of {type_name} end too early or go on behind it ({left} left)")]
    Length {
        /// The rows' type.
        type_name: &'static str,
        /// Bytes that were left when it was seen.
        left: usize,
    },
    /// A flag or a kind of change that doesn't exist.
    #[error("a batch of {0} has a header that this version doesn't know")]
    Header(&'static str),
    /// A value can't be decoded.
    #[error("row {row} of a batch of {type_name}: {source}")]
    Value {
        /// The rows' type.
        type_name: &'static str,
        /// The row's place in the batch, from 0.
        row: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// The type of the rows of a stream.
#[derive(Clone, Copy)]
pub struct RowType {
    name: fn() -> &'static str,
    fingerprint: fn() -> u64,
    decode: fn(&[u8]) -> Result<Batch, WireError>,
    scatter: fn(usize) -> Box<dyn Scatter>,
}

impl RowType {
    /// The row type of `T`.
    pub fn of<T: Record>() -> Self {
        Self {
            name: std::any::type_name::<T>,
            fingerprint: || T::schema().fingerprint(),
            decode: decode_batch::<T>,
            scatter: |destinations| Box::new(TypedScatter::<T>::new(destinations)),
        }
    }

    /// The type's name in the program.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Fingerprint of the type's schema.
    pub fn fingerprint(&self) -> u64 {
        (self.fingerprint)()
    }

    /// Reads what [`Batch::encode`] wrote. Never allocates more than a small multiple of the
    /// bytes given, whatever they are.
    pub fn decode(&self, bytes: &[u8]) -> Result<Batch, WireError> {
        (self.decode)(bytes)
    }

    /// Buffers to split batches among `destinations`.
    pub fn scatter(&self, destinations: usize) -> Box<dyn Scatter> {
        (self.scatter)(destinations)
    }
}

impl fmt::Debug for RowType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowType({})", self.name())
    }
}

pub(super) fn encode_header(batch: &Batch, out: &mut Vec<u8>) {
    let (timestamps, kinds) = (batch.timestamps(), batch.kinds());
    let flags = if timestamps.is_some() { HAS_TIMESTAMPS } else { 0 }
        | if kinds.is_some() { HAS_KINDS } else { 0 };
    out.push(flags);
    // A batch is bounded to far fewer rows than 2^32 by whoever builds it.
    out.extend_from_slice(&(batch.len() as u32).to_le_bytes());
    for timestamp in timestamps.unwrap_or_default() {
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
    out.extend(kinds.unwrap_or_default().iter().map(|k| *k as u8));
}

fn decode_batch<T: Record>(bytes: &[u8]) -> Result<Batch, WireError> {
    let type_name = std::any::type_name::<T>();
    let length = |n| WireError::Length { type_name, left: n };
    let (&flags, rest) = bytes.split_first().ok_or(length(0))?;
    let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(length(rest.len()))?;
    let rows = u32::from_le_bytes(*count) as usize;
    if flags & !(HAS_TIMESTAMPS | HAS_KINDS) != 0 {
        return Err(WireError::Header(type_name));
    }
    let mut columns = Columns::default();
    if flags & HAS_TIMESTAMPS != 0 {
        let block = rest.split_at_checked(rows.saturating_mul(8)).ok_or(length(rest.len()))?;
        let numbers = block.0.as_chunks::<8>().0;
        columns.timestamps = Some(numbers.iter().map(|n| i64::from_le_bytes(*n)).collect());
        rest = block.1;
    }
    if flags & HAS_KINDS != 0 {
        let block = rest.split_at_checked(rows).ok_or(length(rest.len()))?;
        let kinds = block.0.iter().map(|k| RowKind::from_byte(*k)).collect::<Option<Vec<_>>>();
        columns.kinds = Some(kinds.ok_or(WireError::Header(type_name))?);
        rest = block.1;
    }
    // A row may take no bytes at all (`()`), so the count alone must not decide the allocation.
    let mut values = Vec::with_capacity(rows.min(rest.len().max(1)));
    for row in 0..rows {
        let value = T::decode(&mut rest);
        values.push(value.map_err(|source| WireError::Value { type_name, row, source })?);
    }
    if !rest.is_empty() {
        return Err(length(rest.len()));
    }
    Ok(Batch::new(values, columns))
}
