//! What is done with the rows of a window: how they are gathered until it fires, and what comes
//! out then. Not here: which rows those are, and when it fires.

use std::marker::PhantomData;

use thalweg_core::element::Watermark;
use thalweg_core::{Key, Record};

use super::TimeWindow;
use super::gather::{Elements, Gather};
use crate::contract::{Collector, FunctionResult};

/// What a window operator does with the rows of one key and window. The operators know no more
/// than this; made of a [`Gather`] by [`EmitWindow`] and [`ProcessWindow`].
pub trait WindowFunction<K, T>: Send + 'static {
    /// What is kept of the rows. Part of snapshots.
    type Accumulator: Record;
    /// What comes out.
    type Output: Record;

    /// An accumulator of no rows.
    fn create_accumulator(&self) -> Self::Accumulator;

    /// Adds a row.
    fn add(&self, value: T, accumulator: &mut Self::Accumulator);

    /// Adds the rows of `other`.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: &Self::Accumulator);

    /// The window fires.
    fn fire(
        &mut self,
        key: &K,
        context: &WindowContext,
        accumulator: Self::Accumulator,
        out: &mut Collector<'_, Self::Output>,
    ) -> FunctionResult;
}

/// What a window function sees beside the key and the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowContext {
    pub(super) window: TimeWindow,
    pub(super) watermark: Watermark,
    pub(super) processing_time: i64,
}

impl WindowContext {
    /// The window that fires.
    pub fn window(&self) -> TimeWindow {
        self.window
    }

    /// Event time at this operator, which is what made the window fire.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of day in ms since 1970.
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }
}

/// A function of a window's elements: of all rows, or of the one result of an aggregate or
/// reduce function. Rows that it emits have the window's last millisecond as their timestamp.
///
/// A closure is one, once the types of its arguments are said:
///
/// ```
/// use std::sync::Arc;
/// use thalweg_operators::Collector;
/// use thalweg_operators::contract::OperatorInstance;
/// use thalweg_operators::harness::OperatorHarness;
/// use thalweg_operators::windows::*;
///
/// # fn main() -> Result<(), thalweg_operators::harness::HarnessError> {
/// type Payment = (String, i64);
/// let account = |payment: &Payment| payment.0.clone();
/// let largest = |account: &String,
///                context: &WindowContext,
///                payments: Elements<Payment>,
///                out: &mut Collector<'_, (String, i64, i64)>| {
///     let largest = payments.map(|payment| payment.1).max().unwrap_or(0);
///     out.collect((account.clone(), context.window().end, largest));
///     Ok(())
/// };
/// let make: MakeWindowFunction<_> =
///     Arc::new(move |_| Ok(ProcessWindow::new(Buffering, largest)));
/// let mut harness = OperatorHarness::builder(move || {
///     let options = WindowOptions::new(WindowAssigner::tumbling(60_000));
///     let operator = window_operator(Arc::new(account), options, make.clone()).unwrap();
///     OperatorInstance::Operator(operator)
/// })
/// .keyed_by(0, account)
/// .open()?;
/// harness.push_rows([(("a".to_owned(), 5_i64), 1_000), (("a".to_owned(), 7), 59_999)])?;
/// harness.watermark(59_999)?;
/// assert_eq!(harness.output()?, [(("a".to_owned(), 60_000_i64, 7_i64), Some(59_999))]);
/// # Ok(())
/// # }
/// ```
pub trait ProcessWindowFunction<K, In, Out>: Send + 'static {
    /// Called for each key and window that fires, and again when a late row changes a window
    /// that has fired.
    fn process(
        &mut self,
        key: &K,
        context: &WindowContext,
        elements: Elements<In>,
        out: &mut Collector<'_, Out>,
    ) -> FunctionResult;
}

impl<K, In, Out, F> ProcessWindowFunction<K, In, Out> for F
where
    F: FnMut(&K, &WindowContext, Elements<In>, &mut Collector<'_, Out>) -> FunctionResult
        + Send
        + 'static,
{
    fn process(
        &mut self,
        key: &K,
        context: &WindowContext,
        elements: Elements<In>,
        out: &mut Collector<'_, Out>,
    ) -> FunctionResult {
        self(key, context, elements, out)
    }
}

/// Emits what was gathered: the result of an aggregate or reduce function.
#[derive(Debug, Clone)]
pub struct EmitWindow<G>(G);

impl<G> EmitWindow<G> {
    /// Emits what `gather` gathers.
    pub fn new(gather: G) -> Self {
        Self(gather)
    }
}

impl<K: Key, T, G: Gather<T>> WindowFunction<K, T> for EmitWindow<G>
where
    G::Element: Record,
{
    type Accumulator = G::Accumulator;
    type Output = G::Element;

    #[inline]
    fn create_accumulator(&self) -> G::Accumulator {
        self.0.create_accumulator()
    }

    #[inline]
    fn add(&self, value: T, accumulator: &mut G::Accumulator) {
        self.0.add(value, accumulator);
    }

    #[inline]
    fn merge(&self, accumulator: &mut G::Accumulator, other: &G::Accumulator) {
        self.0.merge(accumulator, other);
    }

    #[inline]
    fn fire(
        &mut self,
        _key: &K,
        _context: &WindowContext,
        accumulator: G::Accumulator,
        out: &mut Collector<'_, G::Element>,
    ) -> FunctionResult {
        self.0.elements(accumulator).for_each(|element| out.collect(element));
        Ok(())
    }
}

/// Calls a [`ProcessWindowFunction`] with what was gathered.
pub struct ProcessWindow<G, P, O> {
    gather: G,
    function: P,
    output: PhantomData<fn() -> O>,
}

impl<G, P, O> ProcessWindow<G, P, O> {
    /// Calls `function` with what `gather` gathers.
    pub fn new(gather: G, function: P) -> Self {
        Self { gather, function, output: PhantomData }
    }
}

impl<G: std::fmt::Debug, P, O> std::fmt::Debug for ProcessWindow<G, P, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProcessWindow({:?})", self.gather)
    }
}

impl<K, T, O, G, P> WindowFunction<K, T> for ProcessWindow<G, P, O>
where
    K: Key,
    O: Record,
    G: Gather<T>,
    P: ProcessWindowFunction<K, G::Element, O>,
{
    type Accumulator = G::Accumulator;
    type Output = O;

    #[inline]
    fn create_accumulator(&self) -> G::Accumulator {
        self.gather.create_accumulator()
    }

    #[inline]
    fn add(&self, value: T, accumulator: &mut G::Accumulator) {
        self.gather.add(value, accumulator);
    }

    #[inline]
    fn merge(&self, accumulator: &mut G::Accumulator, other: &G::Accumulator) {
        self.gather.merge(accumulator, other);
    }

    fn fire(
        &mut self,
        key: &K,
        context: &WindowContext,
        accumulator: G::Accumulator,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult {
        self.function.process(key, context, self.gather.elements(accumulator), out)
    }
}
