//! A stream of rows, and what can be done with each row by itself.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Key, Record, RowType};
use thalweg_operators::functions::{
    Collect, Filter, FlatMap, KeySelector, Map, Process, ProcessFunction, ProcessOpen,
};
use thalweg_operators::time::{AssignTimestamps, WatermarkStrategy};
use thalweg_operators::{FunctionResult, Operator, OperatorInstance, OutputTag};

use crate::broadcast_stream::BroadcastStream;
use crate::connected_streams::ConnectedStreams;
use crate::environment::StreamExecutionEnvironment;
use crate::executor::{Collected, ExecuteError};
use crate::keyed_stream::KeyedStream;
use crate::stream_graph::{ChainingStrategy, StreamNode, Upstream};

/// A stream of rows of one type.
///
/// Every transformation gives a new stream; the old one can be used again. Settings (`name`,
/// `uid`, `set_parallelism`, ...) are those of the operator that this stream came out of.
#[derive(Debug)]
pub struct DataStream<T> {
    pub(crate) env: StreamExecutionEnvironment,
    pub(crate) upstream: Vec<Upstream>,
    row: PhantomData<fn() -> T>,
}

impl<T> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        Self { env: self.env.clone(), upstream: self.upstream.clone(), row: PhantomData }
    }
}

impl<T: Record> DataStream<T> {
    pub(crate) fn from_node(env: StreamExecutionEnvironment, node: usize) -> Self {
        let generation = env.generation();
        let upstream = Upstream { generation, node, tag: None, partition: None };
        Self::from_upstream(env, vec![upstream])
    }

    pub(crate) fn from_upstream(env: StreamExecutionEnvironment, upstream: Vec<Upstream>) -> Self {
        Self { env, upstream, row: PhantomData }
    }

    /// Adds an operator with this stream as its only input.
    pub(crate) fn transform<O: Record, P: Operator + 'static>(
        &self,
        name: &str,
        stateful: bool,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> DataStream<O> {
        self.add(name, stateful, move || OperatorInstance::Operator(Box::new(make())))
    }

    /// Adds an operator with this stream as its only input.
    pub(crate) fn add<O: Record>(
        &self,
        name: &str,
        stateful: bool,
        make: impl Fn() -> OperatorInstance + Send + Sync + 'static,
    ) -> DataStream<O> {
        let node = StreamNode::new(name, stateful, Arc::new(make));
        let node = self.env.add(node, &[(0, &self.upstream, RowType::of::<T>())]);
        DataStream::from_node(self.env.clone(), node)
    }

    /// One row out for each row in.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let numbers = CollectionSource::new(vec![1u64, 2, 3]);
    /// let numbers = env.from_source(numbers, no_watermarks(), "numbers");
    /// assert_eq!(numbers.map(|n| n * 10).execute_and_collect()?, [10, 20, 30]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn map<O: Record>(
        &self,
        function: impl Fn(T) -> O + Send + Sync + 'static,
    ) -> DataStream<O> {
        let function = Arc::new(function);
        self.transform("Map", false, move || Map::new(function.clone()))
    }

    /// Only the rows for which `predicate` is true.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let numbers = CollectionSource::new(vec![1u64, 2, 3]);
    /// let numbers = env.from_source(numbers, no_watermarks(), "numbers");
    /// assert_eq!(numbers.filter(|n| n % 2 == 1).execute_and_collect()?, [1, 3]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn filter(&self, predicate: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        let predicate = Arc::new(predicate);
        self.transform("Filter", false, move || Filter::<T, _>::new(predicate.clone()))
    }

    /// Any number of rows out for each row in.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let lines = vec!["to be or".to_string(), "not to be".to_string()];
    /// let lines = env.from_source(CollectionSource::new(lines), no_watermarks(), "lines");
    /// let words = lines.flat_map(|line| {
    ///     line.split(' ').map(str::to_string).collect::<Vec<_>>()
    /// });
    /// assert_eq!(words.execute_and_collect()?, ["to", "be", "or", "not", "to", "be"]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn flat_map<O, R>(&self, function: impl Fn(T) -> R + Send + Sync + 'static) -> DataStream<O>
    where
        O: Record,
        R: IntoIterator<Item = O> + 'static,
        R::IntoIter: Send,
    {
        let function = Arc::new(function);
        self.transform("FlatMap", false, move || FlatMap::<T, O, R, _>::new(function.clone()))
    }

    /// A [`ProcessFunction`]: any output, side outputs, operator state. `make` makes one per
    /// subtask and declares its state.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let odd = OutputTag::<u64>::new("odd");
    /// let to_odd = odd.clone();
    /// let numbers = CollectionSource::new(vec![1u64, 2, 3]);
    /// let numbers = env.from_source(numbers, no_watermarks(), "numbers");
    /// let halves = numbers.process(move |_open| {
    ///     let odd = to_odd.clone();
    ///     Ok(move |n: u64, _: &mut ProcessContext<'_>, out: &mut Collector<'_, u64>| {
    ///         if n % 2 == 0 { out.collect(n / 2) } else { out.side(&odd, n) }
    ///         Ok(())
    ///     })
    /// });
    /// assert_eq!(halves.side_output(&odd).execute_and_collect()?, [1, 3]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn process<O: Record, F: ProcessFunction<T, O> + 'static>(
        &self,
        make: impl Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<O> {
        let make = Arc::new(make);
        self.transform("Process", true, move || Process::<T, O, F>::new(make.clone()))
    }

    /// Timestamps and watermarks from here on, in place of those that the rows have.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = env.from_source(CollectionSource::new(vec![5i64, 6]), no_watermarks(), "rows");
    /// let timed = rows.assign_timestamps_and_watermarks(
    ///     WatermarkStrategy::monotonous_timestamps().with_timestamps(|row| *row),
    /// );
    /// assert_eq!(timed.execute_and_collect()?, [5, 6]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn assign_timestamps_and_watermarks(&self, strategy: WatermarkStrategy<T>) -> Self {
        self.transform("Timestamps/Watermarks", true, move || {
            AssignTimestamps::new(strategy.clone())
        })
    }

    /// Partitions the stream by a key: rows of one key go to one subtask, in the order in which
    /// each producer has emitted them.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let sales = vec![("tea".to_string(), 2u64), ("tea".to_string(), 3)];
    /// let sales = env.from_source(CollectionSource::new(sales), no_watermarks(), "sales");
    /// let totals = sales.key_by(|sale| sale.0.clone()).reduce(|a, b| (a.0, a.1 + b.1));
    /// let totals: Vec<u64> = totals.map(|sale| sale.1).execute_and_collect()?;
    /// assert_eq!(totals, [2, 5]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn key_by<K: Key, S: KeySelector<T, K>>(&self, key: S) -> KeyedStream<K, T, S> {
        KeyedStream::new(self, Arc::new(key))
    }

    /// All rows of this stream and of the others.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let a = env.from_source(CollectionSource::new(vec![1u64]), no_watermarks(), "a");
    /// let b = env.from_source(CollectionSource::new(vec![2u64]), no_watermarks(), "b");
    /// let mut all = a.union(&[&b]).execute_and_collect()?;
    /// all.sort();
    /// assert_eq!(all, [1, 2]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn union(&self, others: &[&DataStream<T>]) -> Self {
        let mut upstream = self.upstream.clone();
        for other in others {
            upstream.extend(other.upstream.iter().cloned());
        }
        Self::from_upstream(self.env.clone(), upstream)
    }

    /// This stream and another one, of any type, as the two inputs of one operator.
    ///
    /// See [`ConnectedStreams`] for an example.
    pub fn connect<B: Record>(&self, other: &DataStream<B>) -> ConnectedStreams<T, B> {
        ConnectedStreams::new(self, other)
    }

    /// This stream and a broadcast one.
    ///
    /// See [`crate::BroadcastConnectedStream`] for an example.
    pub fn connect_broadcast<B: Record>(
        &self,
        rules: &BroadcastStream<B>,
    ) -> crate::BroadcastConnectedStream<T, B> {
        crate::BroadcastConnectedStream::new(self, rules)
    }

    /// The rows that the operator before this stream emits at a side output.
    ///
    /// See [`DataStream::process`] for an example.
    pub fn side_output<S: Record>(&self, side: &OutputTag<S>) -> DataStream<S> {
        let at = |u: &Upstream| Upstream {
            generation: u.generation,
            node: u.node,
            tag: Some(side.name().clone()),
            partition: None,
        };
        DataStream::from_upstream(self.env.clone(), self.upstream.iter().map(at).collect())
    }

    /// The rows as a result of the job. For small results: at most 8 MiB a subtask.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = env.from_source(CollectionSource::new(vec![1u64, 2]), no_watermarks(), "rows");
    /// let collected = rows.collect();
    /// let result = env.execute("small")?;
    /// assert_eq!(result.collected(&collected)?, [1, 2]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn collect(&self) -> Collected<T> {
        let collected = self.env.next_collected();
        let name = collected.name.clone();
        // One subtask, so that a stream's order is the result's.
        let sink: DataStream<()> =
            self.transform("Collect", true, move || Collect::<T>::new(&name)).set_parallelism(1);
        drop(sink.uid(&collected.name));
        collected
    }

    /// Runs the job and gives the rows of this stream. For small results: at most 8 MiB a subtask.
    ///
    /// See [`DataStream::map`] for an example.
    ///
    /// # Errors
    /// The job doesn't finish.
    pub fn execute_and_collect(&self) -> Result<Vec<T>, ExecuteError> {
        let collected = self.collect();
        self.env.execute("Collect")?.collected(&collected)
    }

    /// Names the operator, for people.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # let env = thalweg::local_environment();
    /// let rows = env.from_source(CollectionSource::new(vec![1u64]), no_watermarks(), "rows");
    /// let named = rows.map(|n| n + 1).name("plus one").uid("plus-one").set_parallelism(1);
    /// assert_eq!(named.execute_and_collect()?, [2]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.change(|node| node.name = name.into())
    }

    /// Gives the operator an identity that outlives changes of the program: its state is found
    /// again by it. Unique in the job.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.change(|node| node.uid = Some(uid.into()))
    }

    /// How many subtasks the operator has.
    #[must_use]
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        self.change(|node| node.parallelism = Some(parallelism))
    }

    /// How many key groups the operator's state is kept in.
    #[must_use]
    pub fn set_max_parallelism(self, max_parallelism: u32) -> Self {
        self.change(|node| node.max_parallelism = Some(max_parallelism))
    }

    /// Operators of different groups never share a slot. Inherited from the inputs when unset.
    #[must_use]
    pub fn slot_sharing_group(self, group: &str) -> Self {
        self.change(|node| node.slot_sharing_group = Some(group.into()))
    }

    /// The operator begins a task of its own; what follows may share it.
    #[must_use]
    pub fn start_new_chain(self) -> Self {
        self.change(|node| node.chaining = ChainingStrategy::Head)
    }

    /// The operator has a task for itself.
    #[must_use]
    pub fn disable_chaining(self) -> Self {
        self.change(|node| node.chaining = ChainingStrategy::Never)
    }

    fn change(self, change: impl Fn(&mut StreamNode)) -> Self {
        for upstream in self.upstream.iter().filter(|u| u.generation == self.env.generation()) {
            self.env.node(upstream.node, &change);
        }
        self
    }
}
