//! Rows as they are, as a value of state. Not here: lists of keyed state, which are stored row by
//! row.

use thalweg_core::Record;
use thalweg_core::record::{DecodeError, DecodePlan, Schema};

/// A list that knows the heap bytes of its items. State asks a value for its size before and
/// after each change; counting all items of a window for each of its rows would take time
/// squared. Items aren't changed once they are in.
#[derive(Debug, Clone, Default)]
pub struct BufferedRows<T> {
    items: Vec<T>,
    /// What the items own beyond their own size.
    items_heap: usize,
}

impl<T: Record> BufferedRows<T> {
    pub(super) fn of(items: Vec<T>) -> Self {
        let items_heap = if T::OWNS_HEAP { items.iter().map(T::heap_size).sum() } else { 0 };
        Self { items, items_heap }
    }

    /// Adds a row.
    #[inline]
    pub(super) fn push(&mut self, item: T) {
        if T::OWNS_HEAP {
            self.items_heap += item.heap_size();
        }
        self.items.push(item);
    }

    /// Adds the rows of `other` behind the own ones.
    pub(super) fn extend(&mut self, other: &Self) {
        self.items.extend_from_slice(&other.items);
        self.items_heap += other.items_heap;
    }

    /// The rows.
    pub(super) fn into_vec(self) -> Vec<T> {
        self.items
    }
}

/// Encoded as the list that it is.
impl<T: Record> Record for BufferedRows<T> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        Vec::<T>::schema()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.items.encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        Vec::decode(input).map(Self::of)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        Vec::decode_evolved(plan, input).map(Self::of)
    }

    fn heap_size(&self) -> usize {
        self.items.capacity() * size_of::<T>() + self.items_heap
    }
}

#[cfg(test)]
mod tests {
    use thalweg_core::record::{from_bytes, to_bytes};

    use super::*;

    #[test]
    fn its_size_and_bytes_are_those_of_the_list() {
        let mut rows = BufferedRows::default();
        let mut list = Vec::new();
        for length in [3, 0, 70] {
            rows.push("x".repeat(length));
            list.push("x".repeat(length));
        }
        rows.extend(&rows.clone());
        list.extend(list.clone());
        let heap = |list: &Vec<String>| list.iter().map(Record::heap_size).sum::<usize>();
        assert_eq!(rows.items_heap, heap(&list));
        assert_eq!(to_bytes(&rows), to_bytes(&list));
        let back: BufferedRows<String> = from_bytes(&to_bytes(&rows)).unwrap();
        assert_eq!((back.items_heap, &back.items), (heap(&back.items), &list));
    }
}
