//! A row's bytes within a block. Keys are stored as what differs from the row before.
//!
//! The format has room for what incremental runs and time to live need (tombstones, range
//! tombstones, expiry); this version writes and reads plain values only, and refuses the rest.

use super::varint;

/// Bytes of the key group at the front of a row's full key.
pub(super) const KEY_GROUP_LENGTH: usize = 2;

/// The operation is in the two lowest bits of a row's flags. 0: a value; 1: a tombstone, which
/// hides the same row in older runs; 2: a range tombstone, which hides all rows of older runs
/// whose full key begins with its own. Bit 2: eight bytes of expiry follow the key.
pub(super) const FLAGS_VALUE: u8 = 0;

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

/// Appends a row to a block's bytes. `previous` is the full key of the row before it in the
/// block, or nothing.
pub(super) fn write(
    previous: &[u8],
    full: &[u8],
    key_length: usize,
    namespace_length: usize,
    value: &[u8],
    block: &mut Vec<u8>,
) {
    let shared = shared_prefix(previous, full);
    block.push(FLAGS_VALUE);
    varint::write(shared as u64, block);
    varint::write((full.len() - shared) as u64, block);
    varint::write(key_length as u64, block);
    varint::write(namespace_length as u64, block);
    block.extend_from_slice(&full[shared..]);
    varint::write(value.len() as u64, block);
    block.extend_from_slice(value);
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
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
    /// Another operation, or an expiry.
    Flags(u8),
}

/// Takes a row from the front of a block's bytes: `full` holds the key of the row before and
/// then of this one. Returns the lengths of its parts and its value.
pub(super) fn read<'a>(
    input: &mut &'a [u8],
    full: &mut Vec<u8>,
) -> Result<(Lengths, &'a [u8]), RowError> {
    let (&flags, rest) = input.split_first().ok_or(RowError::Malformed)?;
    *input = rest;
    if flags != FLAGS_VALUE {
        return Err(RowError::Flags(flags));
    }
    read_value_row(input, full).ok_or(RowError::Malformed)
}

fn read_value_row<'a>(input: &mut &'a [u8], full: &mut Vec<u8>) -> Option<(Lengths, &'a [u8])> {
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
    if parts > full.len() {
        return None;
    }
    Some((lengths, varint::read_bytes(input)?))
}

fn length(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::read(input)?).ok()
}
