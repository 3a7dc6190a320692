//! How a window's rows are gathered until it fires: by an aggregate function, by a reduce
//! function, or as they are.

use std::sync::Arc;

use thalweg_core::Record;
use thalweg_state::AggregateFunction;

use super::buffered::BufferedRows;

/// Gathers rows in an accumulator. Merging two must give what adding all their rows to one gives,
/// up to the rows' order.
pub trait Gather<T>: Send + 'static {
    /// What is kept of the rows.
    type Accumulator: Record;
    /// What the window's elements are.
    type Element;

    /// An accumulator of no rows.
    fn create_accumulator(&self) -> Self::Accumulator;

    /// Adds a row.
    fn add(&self, value: T, accumulator: &mut Self::Accumulator);

    /// Adds the rows of `other`.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: &Self::Accumulator);

    /// The window's elements.
    fn elements(&self, accumulator: Self::Accumulator) -> Elements<Self::Element>;
}

/// The elements of a window: one, where a function has combined its rows, else all of them, in
/// the order of their slices, and within a slice (or a session) as they came.
#[derive(Debug, Clone)]
pub struct Elements<T>(Inner<T>);

#[derive(Debug, Clone)]
enum Inner<T> {
    One(Option<T>),
    All(std::vec::IntoIter<T>),
}

impl<T> Elements<T> {
    fn one(element: Option<T>) -> Self {
        Self(Inner::One(element))
    }

    fn all(elements: Vec<T>) -> Self {
        Self(Inner::All(elements.into_iter()))
    }

    /// Those that weren't taken yet.
    pub fn as_slice(&self) -> &[T] {
        match &self.0 {
            Inner::One(element) => element.as_slice(),
            Inner::All(elements) => elements.as_slice(),
        }
    }
}

impl<T> Iterator for Elements<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Inner::One(element) => element.take(),
            Inner::All(elements) => elements.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.as_slice().len();
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Elements<T> {}

/// Gathers by an [`AggregateFunction`].
#[derive(Debug)]
pub struct Aggregating<A>(Arc<A>);

impl<A> Aggregating<A> {
    /// Gathers by `function`.
    pub fn new(function: Arc<A>) -> Self {
        Self(function)
    }
}

impl<T: 'static, A: AggregateFunction<T>> Gather<T> for Aggregating<A> {
    type Accumulator = A::Accumulator;
    type Element = A::Output;

    #[inline]
    fn create_accumulator(&self) -> A::Accumulator {
        self.0.create_accumulator()
    }

    #[inline]
    fn add(&self, value: T, accumulator: &mut A::Accumulator) {
        self.0.add(&value, accumulator);
    }

    #[inline]
    fn merge(&self, accumulator: &mut A::Accumulator, other: &A::Accumulator) {
        self.0.merge(accumulator, other);
    }

    #[inline]
    fn elements(&self, accumulator: A::Accumulator) -> Elements<A::Output> {
        Elements::one(Some(self.0.get_result(&accumulator)))
    }
}

/// Gathers by a function of two rows, which must be associative.
#[derive(Debug)]
pub struct Reducing<F>(Arc<F>);

impl<F> Reducing<F> {
    /// Gathers by `function(so far, next)`.
    pub fn new(function: Arc<F>) -> Self {
        Self(function)
    }
}

impl<F> Reducing<F> {
    #[inline]
    fn combine<T>(&self, accumulator: &mut Option<T>, next: T)
    where
        F: Fn(T, T) -> T,
    {
        *accumulator = Some(match accumulator.take() {
            Some(so_far) => (self.0)(so_far, next),
            None => next,
        });
    }
}

impl<T: Record, F: Fn(T, T) -> T + Send + Sync + 'static> Gather<T> for Reducing<F> {
    type Accumulator = Option<T>;
    type Element = T;

    #[inline]
    fn create_accumulator(&self) -> Option<T> {
        None
    }

    #[inline]
    fn add(&self, value: T, accumulator: &mut Option<T>) {
        self.combine(accumulator, value);
    }

    #[inline]
    fn merge(&self, accumulator: &mut Option<T>, other: &Option<T>) {
        if let Some(other) = other {
            self.combine(accumulator, other.clone());
        }
    }

    #[inline]
    fn elements(&self, accumulator: Option<T>) -> Elements<T> {
        Elements::one(accumulator)
    }
}

/// Keeps all rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Buffering;

impl<T: Record> Gather<T> for Buffering {
    type Accumulator = BufferedRows<T>;
    type Element = T;

    #[inline]
    fn create_accumulator(&self) -> BufferedRows<T> {
        BufferedRows::of(Vec::new())
    }

    #[inline]
    fn add(&self, value: T, accumulator: &mut BufferedRows<T>) {
        accumulator.push(value);
    }

    #[inline]
    fn merge(&self, accumulator: &mut BufferedRows<T>, other: &BufferedRows<T>) {
        accumulator.extend(other);
    }

    #[inline]
    fn elements(&self, accumulator: BufferedRows<T>) -> Elements<T> {
        Elements::all(accumulator.into_vec())
    }
}
