//! Two streams of different types as the inputs of one operator.

use std::sync::Arc;

use thalweg_core::{Key, Record, RowType};
use thalweg_operators::functions::{
    CoProcess, CoProcessFunction, KeySelector, KeyedCoProcess, KeyedCoProcessFunction, KeyedOpen,
    MakeKeyed, ProcessOpen,
};
use thalweg_operators::{FunctionResult, Operator, OperatorInstance};

use crate::data_stream::DataStream;
use crate::keyed_stream::KeyedStream;
use crate::stream_graph::StreamNode;

/// Two streams without a key.
///
/// ```
/// # use thalweg::prelude::*;
/// struct Both;
///
/// impl CoProcessFunction<u64, String, String> for Both {
///     fn process_first(
///         &mut self,
///         number: u64,
///         _: &mut ProcessContext<'_>,
///         out: &mut Collector<'_, String>,
///     ) -> FunctionResult {
///         out.collect(number.to_string());
///         Ok(())
///     }
///     fn process_second(
///         &mut self,
///         text: String,
///         _: &mut ProcessContext<'_>,
///         out: &mut Collector<'_, String>,
///     ) -> FunctionResult {
///         out.collect(text);
///         Ok(())
///     }
/// }
///
/// # let env = thalweg::local_environment();
/// let numbers = env.from_source(CollectionSource::new(vec![1u64]), no_watermarks(), "numbers");
/// let texts = env.from_source(CollectionSource::new(vec!["a".to_string()]), no_watermarks(), "t");
/// let mut all = numbers.connect(&texts).process(|_| Ok(Both)).execute_and_collect()?;
/// all.sort();
/// assert_eq!(all, ["1", "a"]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct ConnectedStreams<A, B> {
    first: DataStream<A>,
    second: DataStream<B>,
}

/// Adds an operator with two inputs.
pub(crate) fn two_inputs<A: Record, B: Record, O: Record, P: Operator + 'static>(
    first: &DataStream<A>,
    second: &DataStream<B>,
    name: &str,
    make: impl Fn() -> P + Send + Sync + 'static,
) -> DataStream<O> {
    let factory = Arc::new(move || OperatorInstance::Operator(Box::new(make())));
    let node = StreamNode::new(name, true, factory);
    let inputs = [
        (0, first.upstream.as_slice(), RowType::of::<A>()),
        (1, second.upstream.as_slice(), RowType::of::<B>()),
    ];
    let node = first.env.add(node, &inputs);
    DataStream::from_node(first.env.clone(), node)
}

impl<A: Record, B: Record> ConnectedStreams<A, B> {
    pub(crate) fn new(first: &DataStream<A>, second: &DataStream<B>) -> Self {
        Self { first: first.clone(), second: second.clone() }
    }

    /// A [`CoProcessFunction`]; `make` makes one per subtask and declares its state.
    pub fn process<O: Record, F: CoProcessFunction<A, B, O> + 'static>(
        &self,
        make: impl Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<O> {
        let make = Arc::new(make);
        two_inputs(&self.first, &self.second, "CoProcess", move || {
            CoProcess::<A, B, O, F>::new(make.clone())
        })
    }

    /// Partitions both streams by the same key.
    ///
    /// See [`KeyedConnectedStreams`] for an example.
    pub fn key_by<K: Key, S1: KeySelector<A, K>, S2: KeySelector<B, K>>(
        &self,
        first: S1,
        second: S2,
    ) -> KeyedConnectedStreams<K, A, B, S1, S2> {
        KeyedConnectedStreams::new(self.first.key_by(first), self.second.key_by(second))
    }
}

/// Two streams with the same key.
///
/// ```
/// # use thalweg::prelude::*;
/// /// Joins a price with the orders that come after it.
/// struct Join(ValueState<u64>);
///
/// impl KeyedCoProcessFunction<u32, (u32, u64), u32, u64> for Join {
///     fn process_first(
///         &mut self,
///         price: (u32, u64),
///         context: &mut KeyedContext<'_, u32>,
///         _: &mut Collector<'_, u64>,
///     ) -> FunctionResult {
///         self.0.set(context, price.1)?;
///         context.register_event_time_timer(0)?;
///         Ok(())
///     }
///     fn process_second(
///         &mut self,
///         _order: u32,
///         _: &mut KeyedContext<'_, u32>,
///         _: &mut Collector<'_, u64>,
///     ) -> FunctionResult {
///         Ok(())
///     }
///     fn on_timer(
///         &mut self,
///         _time: i64,
///         _: TimeDomain,
///         context: &mut KeyedContext<'_, u32>,
///         out: &mut Collector<'_, u64>,
///     ) -> FunctionResult {
///         out.collect(self.0.get(context)?.copied().unwrap_or(0));
///         Ok(())
///     }
/// }
///
/// # let env = thalweg::local_environment();
/// let prices = env.from_source(CollectionSource::new(vec![(7u32, 100u64)]), no_watermarks(), "p");
/// let orders = env.from_source(CollectionSource::new(vec![7u32]), no_watermarks(), "orders");
/// let joined = prices
///     .connect(&orders)
///     .key_by(|price| price.0, |order| *order)
///     .process(|open| Ok(Join(open.state.value_state("price")?)));
/// assert_eq!(joined.execute_and_collect()?, [100]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct KeyedConnectedStreams<K, A, B, S1, S2> {
    first: KeyedStream<K, A, S1>,
    second: KeyedStream<K, B, S2>,
}

impl<K, A, B, S1, S2> KeyedConnectedStreams<K, A, B, S1, S2>
where
    K: Key,
    A: Record,
    B: Record,
    S1: KeySelector<A, K>,
    S2: KeySelector<B, K>,
{
    pub(crate) fn new(first: KeyedStream<K, A, S1>, second: KeyedStream<K, B, S2>) -> Self {
        Self { first, second }
    }

    /// A [`KeyedCoProcessFunction`]; `make` makes one per subtask and declares its states.
    pub fn process<O: Record, F: KeyedCoProcessFunction<K, A, B, O> + 'static>(
        &self,
        make: impl Fn(&mut KeyedOpen<'_, K>) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<O> {
        let keys = (self.first.key.clone(), self.second.key.clone());
        let make: MakeKeyed<K, F> = Arc::new(make);
        two_inputs(&self.first.stream, &self.second.stream, "KeyedCoProcess", move || {
            let (first, second) = keys.clone();
            KeyedCoProcess::<K, A, B, O, S1, S2, F>::new(first, second, make.clone())
        })
    }
}
