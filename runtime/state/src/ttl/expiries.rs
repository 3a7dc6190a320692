//! The expiries of a list's elements. Elements are added at the end and expire in their order, so
//! that those that have expired are always the first ones: if the clock has gone back, an element
//! lives as long as the one before it.

use std::cell::Cell;

/// What is kept beside the elements of a list, one for each.
pub trait Expiries<E>: Default + Send {
    /// So many elements were added, with this expiry.
    fn added(&mut self, count: usize, expiry: &E);

    /// How many elements at the beginning are of the kind that `is_expired` knows.
    fn expired(&self, is_expired: impl Fn(&E) -> bool) -> usize;

    /// The first elements are gone.
    fn drop_first(&mut self, count: usize);

    /// All of them; none where nothing expires.
    fn as_slice(&self) -> &[E];

    /// The elements from `first` on live until then at least.
    fn extend_from(&mut self, first: usize, expiry: &E);

    /// Keeps room for so many.
    fn shrink_to(&mut self, elements: usize);

    /// Bytes allocated.
    fn bytes(&self) -> usize;
}

impl Expiries<()> for () {
    #[inline]
    fn added(&mut self, _count: usize, (): &()) {}

    #[inline]
    fn expired(&self, _is_expired: impl Fn(&()) -> bool) -> usize {
        0
    }

    fn drop_first(&mut self, _count: usize) {}

    #[inline]
    fn as_slice(&self) -> &[()] {
        &[]
    }

    fn extend_from(&mut self, _first: usize, (): &()) {}

    fn shrink_to(&mut self, _elements: usize) {}

    #[inline]
    fn bytes(&self) -> usize {
        0
    }
}

impl Expiries<Cell<i64>> for Vec<Cell<i64>> {
    fn added(&mut self, count: usize, expiry: &Cell<i64>) {
        let expiry = self.last().map_or(expiry.get(), |last| last.get().max(expiry.get()));
        self.resize(self.len() + count, Cell::new(expiry));
    }

    fn expired(&self, is_expired: impl Fn(&Cell<i64>) -> bool) -> usize {
        self.partition_point(is_expired)
    }

    fn drop_first(&mut self, count: usize) {
        self.drain(..count);
    }

    fn as_slice(&self) -> &[Cell<i64>] {
        self
    }

    fn extend_from(&mut self, first: usize, expiry: &Cell<i64>) {
        self[first..].iter().for_each(|own| own.set(own.get().max(expiry.get())));
    }

    fn shrink_to(&mut self, elements: usize) {
        Vec::shrink_to(self, elements);
    }

    fn bytes(&self) -> usize {
        self.capacity() * size_of::<Cell<i64>>()
    }
}
