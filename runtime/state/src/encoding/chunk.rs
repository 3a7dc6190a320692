//! Keys that wait for their turn in a snapshot, in pieces that are small enough to be sorted in one
//! slice. Beside its key an item has either the place of an entry in its table, or the rows
//! themselves, copied before the entry changed. Not here: the order across pieces.

use std::cmp::Ordering;

use crate::run::RowOperation;
use crate::sorted::prefix;

/// A piece ends with this many items, or bytes. In tests a few, so that there are many pieces.
const ITEMS_MAX: usize = if cfg!(test) { 4 } else { 4096 };
const BYTES_MAX: usize = 1 << 20;

/// Set in the place of an item whose entry was copied: the rest is which copy it is.
pub(super) const COPY: usize = 1 << 31;

/// Some keys with what is known of their rows.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Keys, each followed by its copied rows.
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// Items before this one have been taken.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// The key's first bytes, for quick comparison.
    prefix: u64,
    start: u32,
    key_end: u32,
    /// Where its rows end: at `key_end` if there are none here.
    end: u32,
    /// Where its entry is, or its copy with [`COPY`]; for timers, the length of the namespace.
    place: u32,
}

/// The item whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'c> {
    pub(crate) key: &'c [u8],
    /// Empty: the rows are those of the entry in `place`.
    pub(crate) rows: &'c [u8],
    pub(crate) place: usize,
}

impl Chunk {
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= ITEMS_MAX || self.bytes.len() >= BYTES_MAX
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    /// Adds an item. False if it's too large to be remembered.
    pub(crate) fn push(
        &mut self,
        place: usize,
        key: impl FnOnce(&mut Vec<u8>),
        rows: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let key_end = self.bytes.len();
        rows(&mut self.bytes);
        let end = self.bytes.len();
        let prefix = prefix(&self.bytes[start..key_end]);
        let fits = [start, key_end, end, place].map(u32::try_from);
        let [Ok(start), Ok(key_end), Ok(end), Ok(place)] = fits else {
            self.bytes.truncate(start);
            return false;
        };
        self.items.push(Item { prefix, start, key_end, end, place });
        true
    }

    /// Puts the items in the order of their keys.
    pub(crate) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.items.sort_unstable_by(|a, b| match a.prefix.cmp(&b.prefix) {
            Ordering::Equal => key_of(bytes, a).cmp(key_of(bytes, b)),
            order => order,
        });
    }

    /// Forgets the items that stand for places in the table.
    pub(crate) fn forget_places(&mut self) {
        self.items.drain(..self.next);
        self.next = 0;
        self.items.retain(|item| item.end > item.key_end || item.place as usize & COPY != 0);
    }

    pub(crate) fn head(&self) -> Option<Head<'_>> {
        let item = self.items.get(self.next)?;
        let rows = &self.bytes[item.key_end as usize..item.end as usize];
        Some(Head { key: key_of(&self.bytes, item), rows, place: item.place as usize })
    }

    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// Whether its head comes before that of `other`.
    #[inline]
    pub(crate) fn is_before(&self, other: &Chunk) -> bool {
        let (Some(a), Some(b)) = (self.items.get(self.next), other.items.get(other.next)) else {
            return self.next < self.items.len();
        };
        match a.prefix.cmp(&b.prefix) {
            Ordering::Equal => key_of(&self.bytes, a) < key_of(&other.bytes, b),
            order => order == Ordering::Less,
        }
    }
}

fn key_of<'b>(bytes: &'b [u8], item: &Item) -> &'b [u8] {
    &bytes[item.start as usize..item.key_end as usize]
}

/// Pieces that are filled one after the other.
#[derive(Debug, Default)]
pub(crate) struct Copies(pub(crate) Vec<Chunk>);

impl Copies {
    /// The piece that the next item goes to.
    pub(crate) fn last(&mut self) -> &mut Chunk {
        if self.0.last().is_none_or(Chunk::is_full) {
            self.0.push(Chunk::default());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Bytes that they take.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(Chunk::size).sum()
    }
}

/// Appends a copied row: its sub-key and what is said about it.
pub(crate) fn push_row(sub_key: &[u8], operation: RowOperation<'_>, out: &mut Vec<u8>) {
    let kind: u8 = match operation {
        RowOperation::Value(_) => 0,
        RowOperation::Delete => 1,
        RowOperation::DeleteRange => 2,
        RowOperation::Expiring { .. } => 3,
    };
    let value = operation.value();
    out.push(kind);
    if let Some(expiry) = operation.expiry() {
        out.extend_from_slice(&expiry.to_le_bytes());
    }
    out.extend_from_slice(&(sub_key.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(sub_key);
    out.extend_from_slice(value);
}

/// Takes the next copied row off `rows`.
fn take_row<'r>(rows: &mut &'r [u8]) -> Option<(&'r [u8], RowOperation<'r>)> {
    let (&kind, mut rest) = rows.split_first()?;
    let mut expiry = &[0; 8];
    if kind == 3 {
        (expiry, rest) = rest.split_first_chunk()?;
    }
    let (sub_key, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_first_chunk()?;
    let (sub_key, rest) = rest.split_at_checked(u32::from_le_bytes(*sub_key) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value) as usize)?;
    *rows = rest;
    let operation = match kind {
        0 => RowOperation::Value(value),
        1 => RowOperation::Delete,
        2 => RowOperation::DeleteRange,
        _ => RowOperation::Expiring { value, expiry: i64::from_le_bytes(*expiry) },
    };
    Some((sub_key, operation))
}

/// The copied rows of a key.
pub(crate) fn read_rows(mut rows: &[u8]) -> impl Iterator<Item = (&[u8], RowOperation<'_>)> {
    std::iter::from_fn(move || take_row(&mut rows))
}
