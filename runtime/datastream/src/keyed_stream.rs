//! A stream partitioned by a key: what needs state and timers per key.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::job_graph::ShipStrategy;
use thalweg_core::{Key, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::functions::{
    KeyHashes, KeySelector, KeyedOpen, KeyedProcess, KeyedProcessFunction, MakeKeyed, Reduce,
};
use thalweg_operators::windows::WindowAssigner;

use crate::connected_streams::KeyedConnectedStreams;
use crate::data_stream::DataStream;
use crate::stream_graph::Partition;
use crate::windowed_stream::WindowedStream;

/// A stream of rows `T`, partitioned by a key `K` that `S` selects.
#[derive(Debug)]
pub struct KeyedStream<K, T, S> {
    pub(crate) stream: DataStream<T>,
    pub(crate) key: Arc<S>,
    keys: PhantomData<fn() -> K>,
}

impl<K, T: Record, S> Clone for KeyedStream<K, T, S> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), key: self.key.clone(), keys: PhantomData }
    }
}

impl<K: Key, T: Record, S: KeySelector<T, K>> KeyedStream<K, T, S> {
    pub(crate) fn new(stream: &DataStream<T>, key: Arc<S>) -> Self {
        let mut partition = Partition::plain(ShipStrategy::Hash);
        partition.keys = Some(<dyn KeyHashes>::of::<T, K, S>(key.clone()));
        Self { stream: stream.partitioned(partition), key, keys: PhantomData }
    }

    /// For each row the combination of all rows of its key so far.
    ///
    /// See [`DataStream::key_by`] for an example.
    pub fn reduce(&self, function: impl Fn(T, T) -> T + Send + Sync + 'static) -> DataStream<T> {
        let (key, function) = (self.key.clone(), Arc::new(function));
        self.stream.transform("Reduce", true, move || {
            Reduce::<K, T, S, _>::new(key.clone(), function.clone())
        })
    }

    /// A [`KeyedProcessFunction`]: state and timers per key. `make` makes one per subtask and
    /// declares its states.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// /// Counts the visits of each user.
    /// struct Count(ValueState<u64>);
    ///
    /// impl KeyedProcessFunction<String, String, (String, u64)> for Count {
    ///     fn process(
    ///         &mut self,
    ///         user: String,
    ///         context: &mut KeyedContext<'_, String>,
    ///         out: &mut Collector<'_, (String, u64)>,
    ///     ) -> FunctionResult {
    ///         let mut count = self.0.get_or_insert_with(context, || 0)?;
    ///         *count += 1;
    ///         out.collect((user, *count));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = thalweg::local_environment();
    /// let visits = vec!["ann".to_string(), "ann".to_string()];
    /// let visits = env.from_source(CollectionSource::new(visits), no_watermarks(), "visits");
    /// let counts = visits
    ///     .key_by(String::clone)
    ///     .process(|open| Ok(Count(open.state.value_state("count")?)))
    ///     .uid("count");
    /// assert_eq!(counts.map(|c| c.1).execute_and_collect()?, [1, 2]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// State may expire, each value on its own:
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// /// Passes on the first visit of each user within a day.
    /// struct First(ValueState<bool, TimeToLive>);
    ///
    /// impl KeyedProcessFunction<String, String, String> for First {
    ///     fn process(
    ///         &mut self,
    ///         user: String,
    ///         context: &mut KeyedContext<'_, String>,
    ///         out: &mut Collector<'_, String>,
    ///     ) -> FunctionResult {
    ///         if self.0.get(context)?.is_none() {
    ///             self.0.set(context, true)?;
    ///             out.collect(user);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # let env = thalweg::local_environment();
    /// # let visits = vec!["ann".to_string(), "ann".to_string()];
    /// # let visits = env.from_source(CollectionSource::new(visits), no_watermarks(), "visits");
    /// let day = StateTtlConfig::new(Duration::from_secs(24 * 60 * 60));
    /// let first = visits
    ///     .key_by(String::clone)
    ///     .process(move |open| {
    ///         Ok(First(open.state.with_time_to_live(day).value_state("seen")?))
    ///     })
    ///     .uid("first");
    /// assert_eq!(first.execute_and_collect()?, ["ann"]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn process<O: Record, F: KeyedProcessFunction<K, T, O> + 'static>(
        &self,
        make: impl Fn(&mut KeyedOpen<'_, K>) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<O> {
        let key = self.key.clone();
        let make: MakeKeyed<K, F> = Arc::new(make);
        self.stream.transform("KeyedProcess", true, move || {
            KeyedProcess::<K, T, O, S, F>::new(key.clone(), make.clone())
        })
    }

    /// Groups the rows of each key by windows of event time.
    ///
    /// See [`WindowedStream`] for examples.
    pub fn window(&self, assigner: WindowAssigner) -> WindowedStream<K, T, S> {
        WindowedStream::new(self.clone(), assigner)
    }

    /// This stream and another one with the same key as the two inputs of one operator.
    ///
    /// See [`KeyedConnectedStreams`] for an example.
    pub fn connect<B: Record, S2: KeySelector<B, K>>(
        &self,
        other: &KeyedStream<K, B, S2>,
    ) -> KeyedConnectedStreams<K, T, B, S, S2> {
        KeyedConnectedStreams::new(self.clone(), other.clone())
    }
}
