//! Hash tables in the order of their encoded keys: what snapshots and map iteration need.

use std::cmp::Ordering;

/// An item with where its encoded key is, and that key's first bytes for quick comparison.
struct Placed<T> {
    prefix: u64,
    start: usize,
    end: usize,
    item: T,
}

/// The items with their encoded keys, in the order of those.
pub(crate) struct Sorted<T> {
    bytes: Vec<u8>,
    items: Vec<Placed<T>>,
}

impl<T> Sorted<T> {
    /// Sorts `items` by what `encode` appends for them. Equal ones keep their order.
    pub(crate) fn new(
        items: impl Iterator<Item = T>,
        mut encode: impl FnMut(&T, &mut Vec<u8>),
    ) -> Sorted<T> {
        let mut bytes = Vec::new();
        let mut items: Vec<_> = items
            .map(|item| {
                let start = bytes.len();
                encode(&item, &mut bytes);
                let end = bytes.len();
                Placed { prefix: prefix(&bytes[start..end]), start, end, item }
            })
            .collect();
        items.sort_by(|a, b| match a.prefix.cmp(&b.prefix) {
            Ordering::Equal => bytes[a.start..a.end].cmp(&bytes[b.start..b.end]),
            order => order,
        });
        Sorted { bytes, items }
    }

    /// Encoded keys and items.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.items.iter().map(|placed| (&self.bytes[placed.start..placed.end], &placed.item))
    }

    /// The items alone.
    pub(crate) fn into_items(self) -> impl ExactSizeIterator<Item = T> {
        self.items.into_iter().map(|placed| placed.item)
    }
}

/// The first eight bytes as a number whose order agrees with that of the bytes.
pub(crate) fn prefix(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}
