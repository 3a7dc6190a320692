//! A stream with a second one that every subtask sees whole: rules, prices, settings.

use std::sync::Arc;

use thalweg_core::{Key, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::functions::{BroadcastProcess, BroadcastProcessFunction, ProcessOpen};

use crate::connected_streams::two_inputs;
use crate::data_stream::DataStream;

/// A stream whose every row goes to every subtask.
#[derive(Debug, Clone)]
pub struct BroadcastStream<T> {
    stream: DataStream<T>,
}

impl<T: Record> BroadcastStream<T> {
    pub(crate) fn new(stream: DataStream<T>) -> Self {
        Self { stream }
    }

    /// The stream itself: each subtask of what follows gets every row.
    pub fn stream(&self) -> &DataStream<T> {
        &self.stream
    }
}

/// A stream and a broadcast one that is kept as a map, the same in every subtask.
///
/// ```
/// # use thalweg::prelude::*;
/// /// Rules are (name, limit).
/// struct Limits;
///
/// impl BroadcastProcessFunction<u64, (String, u64), String, u64, u64> for Limits {
///     fn process(
///         &mut self,
///         amount: u64,
///         limits: &BroadcastView<'_, String, u64>,
///         out: &mut Collector<'_, u64>,
///     ) -> FunctionResult {
///         if limits.entries()?.all(|(_, limit)| amount <= *limit) {
///             out.collect(amount);
///         }
///         Ok(())
///     }
///     fn process_broadcast(
///         &mut self,
///         rule: (String, u64),
///         limits: &mut BroadcastContext<'_, String, u64>,
///         _: &mut Collector<'_, u64>,
///     ) -> FunctionResult {
///         limits.put(rule.0, rule.1)?;
///         Ok(())
///     }
/// }
///
/// # let env = thalweg::local_environment();
/// let rules = vec![("limit".to_string(), 1_000u64)];
/// let rules = env.from_source(CollectionSource::new(rules), no_watermarks(), "rules").broadcast();
/// let amounts = env.from_source(CollectionSource::new(vec![5u64]), no_watermarks(), "amounts");
/// let allowed = amounts.connect_broadcast(&rules).process(|_| Ok(Limits));
/// assert_eq!(allowed.execute_and_collect()?, [5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct BroadcastConnectedStream<A, B> {
    stream: DataStream<A>,
    broadcast: BroadcastStream<B>,
}

impl<A: Record, B: Record> BroadcastConnectedStream<A, B> {
    pub(crate) fn new(stream: &DataStream<A>, broadcast: &BroadcastStream<B>) -> Self {
        Self { stream: stream.clone(), broadcast: broadcast.clone() }
    }

    /// A [`BroadcastProcessFunction`]; `make` makes one per subtask.
    pub fn process<MK, MV, O, F>(
        &self,
        make: impl Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync + 'static,
    ) -> DataStream<O>
    where
        MK: Key,
        MV: Record,
        O: Record,
        F: BroadcastProcessFunction<A, B, MK, MV, O> + 'static,
    {
        let make = Arc::new(make);
        two_inputs(&self.stream, &self.broadcast.stream, "BroadcastProcess", move || {
            BroadcastProcess::<A, B, MK, MV, O, F>::new(make.clone())
        })
    }
}
