//! Rows of one key grouped by windows of event time.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::{Batch, Key, Record};
use thalweg_operators::contract::SubtaskInfo;
use thalweg_operators::functions::KeySelector;
use thalweg_operators::windows::{
    Aggregating, Buffering, EmitWindow, Gather, MakeWindowFunction, ProcessWindow,
    ProcessWindowFunction, Reducing, WindowAssigner, WindowError, WindowFunction, WindowOptions,
    window_operator,
};
use thalweg_operators::{
    FunctionResult, OpenContext, Operator, OperatorError, OperatorInstance, Output, OutputTag,
    RunContext,
};
use thalweg_state::AggregateFunction;

use crate::data_stream::DataStream;
use crate::generate::GraphError;
use crate::keyed_stream::KeyedStream;

/// A keyed stream, grouped by windows.
///
/// A window [start, end) is emitted when event time has passed its end, with the timestamp
/// end - 1 ms.
///
/// ```
/// # use thalweg::prelude::*;
/// # let env = thalweg::local_environment();
/// let sales = vec![(1_000i64, 5u64), (9_000, 6), (11_000, 7)];
/// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|s: &(i64, u64)| s.0);
/// let sales = env.from_source(CollectionSource::new(sales), time, "sales");
/// let totals = sales
///     .key_by(|_| ())
///     .window(WindowAssigner::tumbling(10_000))
///     .reduce(|a, b| (a.0, a.1 + b.1));
/// assert_eq!(totals.map(|t| t.1).execute_and_collect()?, [11, 7]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct WindowedStream<K, T, S> {
    keyed: KeyedStream<K, T, S>,
    options: WindowOptions<T>,
}

/// Takes the place of a window operator that can't be made: the graph is refused before it runs.
struct Refused(WindowError);

impl Operator for Refused {
    fn open(&mut self, _context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        Err(OperatorError::Function(Box::new(self.0.clone())))
    }

    fn process(
        &mut self,
        _input: usize,
        _batch: &mut Batch,
        _context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        Err(OperatorError::Function(Box::new(self.0.clone())))
    }
}

impl<K: Key, T: Record, S: KeySelector<T, K>> WindowedStream<K, T, S> {
    pub(crate) fn new(keyed: KeyedStream<K, T, S>, assigner: WindowAssigner) -> Self {
        Self { keyed, options: WindowOptions::new(assigner) }
    }

    /// For how long after it was emitted a window still takes rows; each emits it again, for its
    /// key, with all rows.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = vec![(0i64, 1u64), (20_000, 2), (1, 3)];
    /// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|r: &(i64, u64)| r.0);
    /// let rows = env.from_source(CollectionSource::new(rows), time, "rows");
    /// let late = OutputTag::new("late");
    /// let sums = rows
    ///     .key_by(|_| ())
    ///     .window(WindowAssigner::tumbling(10_000))
    ///     .allowed_lateness(Duration::from_secs(60))
    ///     .side_output_late_data(&late)
    ///     .reduce(|a, b| (a.0, a.1 + b.1));
    /// let mut sums = sums.map(|s| s.1).execute_and_collect()?;
    /// sums.sort();
    /// // One batch is read before event time moves: the late row is in its window in time.
    /// assert_eq!(sums, [2, 4]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.options.allowed_lateness_ms = i64::try_from(lateness.as_millis()).unwrap_or(i64::MAX);
        self
    }

    /// Rows that come too late for all their windows go there: `side_output` of the result.
    ///
    /// See [`WindowedStream::allowed_lateness`] for an example.
    #[must_use]
    pub fn side_output_late_data(mut self, late: &OutputTag<T>) -> Self {
        self.options.late = Some(late.clone());
        self
    }

    /// One result per key and window, computed row by row by an [`AggregateFunction`].
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// struct Count;
    ///
    /// impl AggregateFunction<i64> for Count {
    ///     type Accumulator = u64;
    ///     type Output = u64;
    ///     fn create_accumulator(&self) -> u64 { 0 }
    ///     fn add(&self, _: &i64, count: &mut u64) { *count += 1 }
    ///     fn get_result(&self, count: &u64) -> u64 { *count }
    ///     fn merge(&self, count: &mut u64, other: &u64) { *count += other }
    /// }
    ///
    /// # let env = thalweg::local_environment();
    /// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|t: &i64| *t);
    /// let visits = env.from_source(CollectionSource::new(vec![1i64, 2, 9, 30]), time, "visits");
    /// let sessions = visits.key_by(|_| ()).window(WindowAssigner::session(10)).aggregate(Count);
    /// assert_eq!(sessions.execute_and_collect()?, [3, 1]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn aggregate<A: AggregateFunction<T>>(&self, function: A) -> DataStream<A::Output>
    where
        A::Output: Record,
    {
        let function = Arc::new(function);
        self.windowed("Aggregate", move |_| Ok(EmitWindow::new(Aggregating::new(function.clone()))))
    }

    /// An [`AggregateFunction`] whose one result goes through a [`ProcessWindowFunction`], which
    /// sees the key and the window. `make` makes one per subtask.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # struct Count;
    /// # impl AggregateFunction<i64> for Count {
    /// #     type Accumulator = u64;
    /// #     type Output = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, _: &i64, count: &mut u64) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: &u64) { *count += other }
    /// # }
    /// # let env = thalweg::local_environment();
    /// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|t: &i64| *t);
    /// let visits = env.from_source(CollectionSource::new(vec![1i64, 2, 15]), time, "visits");
    /// let counts = visits.key_by(|_| ()).window(WindowAssigner::tumbling(10)).aggregate_with(
    ///     Count,
    ///     |_| Ok(|_key: &(), window: &WindowContext, counts: Elements<u64>,
    ///             out: &mut Collector<'_, (i64, u64)>| {
    ///         for count in counts {
    ///             out.collect((window.window().end, count));
    ///         }
    ///         Ok(())
    ///     }),
    /// );
    /// assert_eq!(counts.execute_and_collect()?, [(10, 2), (20, 1)]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn aggregate_with<A, O, P>(
        &self,
        function: A,
        make: impl Fn(&SubtaskInfo) -> FunctionResult<P> + Send + Sync + 'static,
    ) -> DataStream<O>
    where
        A: AggregateFunction<T>,
        O: Record,
        P: ProcessWindowFunction<K, A::Output, O>,
    {
        let function = Arc::new(function);
        self.gathered("Aggregate", move || Aggregating::new(function.clone()), make)
    }

    /// One row per key and window, combined of all its rows; `function` must be associative.
    ///
    /// See [`WindowedStream`] for an example.
    pub fn reduce(&self, function: impl Fn(T, T) -> T + Send + Sync + 'static) -> DataStream<T> {
        let function = Arc::new(function);
        self.windowed("Reduce", move |_| Ok(EmitWindow::new(Reducing::new(function.clone()))))
    }

    /// [`WindowedStream::reduce`] whose one row goes through a [`ProcessWindowFunction`].
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|t: &i64| *t);
    /// let rows = env.from_source(CollectionSource::new(vec![1i64, 2, 15]), time, "rows");
    /// let last = rows.key_by(|_| ()).window(WindowAssigner::tumbling(10)).reduce_with(
    ///     |_, row| row,
    ///     |_| Ok(|_key: &(), window: &WindowContext, rows: Elements<i64>,
    ///             out: &mut Collector<'_, (i64, i64)>| {
    ///         rows.for_each(|row| out.collect((window.window().start, row)));
    ///         Ok(())
    ///     }),
    /// );
    /// assert_eq!(last.execute_and_collect()?, [(0, 2), (10, 15)]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn reduce_with<O: Record, P: ProcessWindowFunction<K, T, O>>(
        &self,
        function: impl Fn(T, T) -> T + Send + Sync + 'static,
        make: impl Fn(&SubtaskInfo) -> FunctionResult<P> + Send + Sync + 'static,
    ) -> DataStream<O> {
        let function = Arc::new(function);
        self.gathered("Reduce", move || Reducing::new(function.clone()), make)
    }

    /// A [`ProcessWindowFunction`] of all rows of a key and window. They are kept until the
    /// window's end: where an aggregate function will do, it needs far less state.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let time = WatermarkStrategy::monotonous_timestamps().with_timestamps(|t: &i64| *t);
    /// let rows = env.from_source(CollectionSource::new(vec![1i64, 2, 15]), time, "rows");
    /// let spans = rows.key_by(|_| ()).window(WindowAssigner::tumbling(10)).process(|_| {
    ///     Ok(|_key: &(), _: &WindowContext, rows: Elements<i64>,
    ///         out: &mut Collector<'_, u64>| {
    ///         out.collect(rows.count() as u64);
    ///         Ok(())
    ///     })
    /// });
    /// assert_eq!(spans.execute_and_collect()?, [2, 1]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn process<O: Record, P: ProcessWindowFunction<K, T, O>>(
        &self,
        make: impl Fn(&SubtaskInfo) -> FunctionResult<P> + Send + Sync + 'static,
    ) -> DataStream<O> {
        self.gathered("Process", || Buffering, make)
    }

    fn gathered<G, O, P>(
        &self,
        name: &str,
        gather: impl Fn() -> G + Send + Sync + 'static,
        make: impl Fn(&SubtaskInfo) -> FunctionResult<P> + Send + Sync + 'static,
    ) -> DataStream<O>
    where
        G: Gather<T>,
        O: Record,
        P: ProcessWindowFunction<K, G::Element, O>,
    {
        self.windowed(name, move |subtask| {
            Ok(ProcessWindow::<G, P, O>::new(gather(), make(subtask)?))
        })
    }

    fn windowed<F: WindowFunction<K, T>>(
        &self,
        name: &str,
        make: impl Fn(&SubtaskInfo) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<F::Output> {
        let kind = match self.options.assigner {
            WindowAssigner::Tumbling { .. } => "TumblingWindow",
            WindowAssigner::Sliding { .. } => "SlidingWindow",
            WindowAssigner::Session { .. } => "SessionWindow",
        };
        let name = format!("{kind}({name})");
        if let Err(error) = self.options.validate() {
            let operator = name.clone();
            self.keyed
                .stream
                .env
                .refuse(GraphError::Window { operator, reason: error.to_string() });
        }
        let (key, options) = (self.keyed.key.clone(), self.options.clone());
        let make: MakeWindowFunction<F> = Arc::new(make);
        self.keyed.stream.add(&name, true, move || {
            let operator =
                window_operator::<K, T, S, F>(key.clone(), options.clone(), make.clone());
            OperatorInstance::Operator(operator.unwrap_or_else(|e| Box::new(Refused(e))))
        })
    }
}
