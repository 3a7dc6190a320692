//! A row's bytes within a block. Keys are stored as what differs from the row before.
//!
//! A row is a value, which may have an expiry, or in a delta run also a tombstone or a range
//! tombstone. Whether a value has expired isn't asked here.

use super::varint;

/// Bytes of the key group at the front of a row's full key.
pub(super) const KEY_GROUP_LENGTH: usize = 2;

/// The operation is in the two lowest bits of a row's flags. Bit 2, of values only: eight bytes of
/// expiry follow the key.
const FLAGS_VALUE: u8 = 0;
const FLAGS_DELETE: u8 = 1;
const FLAGS_DELETE_RANGE: u8 = 2;
const FLAGS_EXPIRING: u8 = 4;

/// What a row says about its full key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOperation<'a> {
    /// It has this value.
    Value(&'a [u8]),
    /// It has this value until `expiry`: milliseconds since 1970.
    Expiring {
        /// The value.
        value: &'a [u8],
        /// From this moment on there is none.
        expiry: i64,
    },
    /// A tombstone: it has no value, whatever older runs say.
    Delete,
    /// A range tombstone: no full key that begins with this one has a value in older runs. Rows
    /// of the same run aren't hidden by it.
    DeleteRange,
}

impl<'a> RowOperation<'a> {
    fn flags(self) -> u8 {
        match self {
            RowOperation::Value(_) => FLAGS_VALUE,
            RowOperation::Expiring { .. } => FLAGS_EXPIRING,
            RowOperation::Delete => FLAGS_DELETE,
            RowOperation::DeleteRange => FLAGS_DELETE_RANGE,
        }
    }

    /// The value's bytes; none for tombstones.
    pub(crate) fn value(self) -> &'a [u8] {
        match self {
            RowOperation::Value(value) | RowOperation::Expiring { value, .. } => value,
            RowOperation::Delete | RowOperation::DeleteRange => &[],
        }
    }

    /// The value's expiry, if it has one.
    pub(crate) fn expiry(self) -> Option<i64> {
        match self {
            RowOperation::Expiring { expiry, .. } => Some(expiry),
            RowOperation::Value(_) | RowOperation::Delete | RowOperation::DeleteRange => None,
        }
    }

    /// Whether it says that there is no value.
    pub(super) fn is_tombstone(self) -> bool {
        matches!(self, RowOperation::Delete | RowOperation::DeleteRange)
    }
}

/// Where a row belongs within its state. Rows are ordered by key group, then by the bytes of
/// key, namespace and sub-key together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey<'a> {
    /// The key group; 0 for operator state.
    pub key_group: u16,
    /// The key's canonical encoding; timers begin with their time.
    pub key: &'a [u8],
    /// The namespace's canonical encoding.
    pub namespace: &'a [u8],
    /// A map key's canonical encoding, or a chunk's number.
    pub sub_key: &'a [u8],
}

/// A row that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Where it belongs.
    pub key: RowKey<'a>,
    /// The value's encoding, with the state's value schema.
    pub value: &'a [u8],
    /// When the value expires, of state with a time to live: milliseconds since 1970.
    pub expiry: Option<i64>,
}

impl RowKey<'_> {
    /// The full key, in `out`: key group, key, namespace, sub-key.
    pub(super) fn write_full(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.key_group.to_be_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.namespace);
        out.extend_from_slice(self.sub_key);
    }
}

/// Appends a row to a block's bytes. It has the first `shared` bytes of its full key in common
/// with the row before it in the block.
pub(super) fn write(
    shared: usize,
    full: &[u8],
    lengths: Lengths,
    operation: RowOperation<'_>,
    block: &mut Vec<u8>,
) {
    let numbers = [shared, full.len() - shared, lengths.key, lengths.namespace];
    match numbers.iter().all(|number| *number < 0x80) {
        // Almost always: each is a byte.
        true => {
            let [shared, differing, key, namespace] = numbers.map(|number| number as u8);
            block.extend_from_slice(&[operation.flags(), shared, differing, key, namespace]);
        }
        false => {
            block.push(operation.flags());
            numbers.iter().for_each(|number| varint::write(*number as u64, block));
        }
    }
    block.extend_from_slice(&full[shared..]);
    if let Some(expiry) = operation.expiry() {
        block.extend_from_slice(&expiry.to_le_bytes());
    }
    if !operation.is_tombstone() {
        let value = operation.value();
        varint::write(value.len() as u64, block);
        block.extend_from_slice(value);
    }
}

/// How many bytes two keys begin with in common.
#[inline]
pub(super) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let differing = a.iter().zip(b).position(|(a, b)| a != b);
        match differing {
            Some(differing) => return shared + differing,
            None => shared += 8,
        }
    }
    shared + a[shared..].iter().zip(&b[shared..]).take_while(|(a, b)| a == b).count()
}

/// The lengths of a row's parts; its full key is where [`read`] put it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    pub(super) key: usize,
    pub(super) namespace: usize,
}

impl Lengths {
    /// Cuts the full key into its parts. [`read`] has checked that they fit.
    pub(super) fn cut(self, full: &[u8]) -> RowKey<'_> {
        let (group, rest) = full.split_at(KEY_GROUP_LENGTH);
        let (key, rest) = rest.split_at(self.key);
        let (namespace, sub_key) = rest.split_at(self.namespace);
        RowKey { key_group: u16::from_be_bytes([group[0], group[1]]), key, namespace, sub_key }
    }
}

/// Why a row can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowError {
    /// Lengths that don't fit.
    Malformed,
    /// An unknown operation.
    Flags(u8),
}

/// Takes a row from the front of a block's bytes: `full` holds the key of the row before and
/// then of this one. Returns the lengths of its parts and what it says.
pub(super) fn read<'a>(
    input: &mut &'a [u8],
    full: &mut Vec<u8>,
) -> Result<(Lengths, RowOperation<'a>), RowError> {
    let (&flags, rest) = input.split_first().ok_or(RowError::Malformed)?;
    *input = rest;
    if flags > FLAGS_DELETE_RANGE && flags != FLAGS_EXPIRING {
        return Err(RowError::Flags(flags));
    }
    let lengths = read_key(input, full).ok_or(RowError::Malformed)?;
    let operation = match flags {
        FLAGS_DELETE => RowOperation::Delete,
        FLAGS_DELETE_RANGE => RowOperation::DeleteRange,
        FLAGS_EXPIRING => {
            let (expiry, rest) = input.split_first_chunk().ok_or(RowError::Malformed)?;
            *input = rest;
            let expiry = i64::from_le_bytes(*expiry);
            let value = varint::read_bytes(input).ok_or(RowError::Malformed)?;
            RowOperation::Expiring { value, expiry }
        }
        _ => RowOperation::Value(varint::read_bytes(input).ok_or(RowError::Malformed)?),
    };
    Ok((lengths, operation))
}

fn read_key(input: &mut &[u8], full: &mut Vec<u8>) -> Option<Lengths> {
    let shared = length(input)?;
    let differing = length(input)?;
    let lengths = Lengths { key: length(input)?, namespace: length(input)? };
    if shared > full.len() {
        return None;
    }
    let (suffix, rest) = input.split_at_checked(differing)?;
    *input = rest;
    full.truncate(shared);
    full.extend_from_slice(suffix);
    let parts = lengths.key.checked_add(lengths.namespace)?.checked_add(KEY_GROUP_LENGTH)?;
    (parts <= full.len()).then_some(lengths)
}

fn length(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::read(input)?).ok()
}
