//! The list of a run's blocks: of which state each is, where, and from which key to which key
//! group it reaches. It tells which blocks hold wanted key groups without reading any.

use super::error::{Place, RunError};
use super::row::KEY_GROUP_LENGTH;
use super::varint;

/// A block of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// The state's number in the description.
    pub(super) state: usize,
    /// Where the block starts in the run.
    pub(super) offset: u64,
    /// Its length in the run, in bytes.
    pub(super) length: u32,
    /// How many rows it holds; at least one.
    pub(super) rows: u64,
    /// The full key of its first row.
    pub(super) first_key: Vec<u8>,
    /// The key group of its last row.
    pub(super) last_key_group: u16,
}

impl IndexEntry {
    /// The key group of its first row; the decoder has checked that there is one.
    pub(super) fn first_key_group(&self) -> u16 {
        self.first_key.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint::write(self.state as u64, out);
        varint::write(u64::from(self.length), out);
        varint::write(self.rows, out);
        varint::write(self.first_key.len() as u64, out);
        out.extend_from_slice(&self.first_key);
        varint::write(u64::from(self.last_key_group), out);
    }
}

/// The blocks of a run of `states` states whose blocks lie between `start` and `end` and hold
/// `rows` rows.
pub(super) fn decode(
    mut bytes: &[u8],
    states: usize,
    (start, end): (u64, u64),
    rows: u64,
) -> Result<Vec<IndexEntry>, RunError> {
    let corrupt = |reason: &str| RunError::corrupt(Place::Index, reason);
    let mut entries: Vec<IndexEntry> = Vec::new();
    let mut offset = start;
    let mut counted = 0u64;
    while !bytes.is_empty() {
        let entry =
            decode_entry(&mut bytes, offset).ok_or_else(|| corrupt("an entry is malformed"))?;
        offset = offset.saturating_add(u64::from(entry.length));
        counted = counted.saturating_add(entry.rows);
        let ordered = entries.last().is_none_or(|last| {
            (last.state, last.first_key.as_slice()) < (entry.state, entry.first_key.as_slice())
                && (last.state < entry.state || last.last_key_group <= entry.first_key_group())
        });
        let sound = entry.state < states
            && entry.rows > 0
            && entry.first_key_group() <= entry.last_key_group
            && ordered;
        if !sound {
            return Err(corrupt("its entries contradict each other"));
        }
        entries.push(entry);
    }
    if offset != end || counted != rows {
        return Err(corrupt("its blocks aren't those of the run"));
    }
    Ok(entries)
}

fn decode_entry(bytes: &mut &[u8], offset: u64) -> Option<IndexEntry> {
    let state = usize::try_from(varint::read(bytes)?).ok()?;
    let length = u32::try_from(varint::read(bytes)?).ok()?;
    let rows = varint::read(bytes)?;
    let first_key = varint::read_bytes(bytes)?.to_vec();
    let last_key_group = u16::try_from(varint::read(bytes)?).ok()?;
    (first_key.len() >= KEY_GROUP_LENGTH).then_some(IndexEntry {
        state,
        offset,
        length,
        rows,
        first_key,
        last_key_group,
    })
}
