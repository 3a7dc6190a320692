//! Two inputs of different types with the same key: they share that key's state and timers.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Key, Record};
use thalweg_state::{EncodingBudget, RunWriter};

use super::KeySelector;
use super::keyed_context::{KeyedContext, TimeDomain};
use super::keyed_run::{KeyedRun, MakeKeyed};
use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, Progress, RunContext,
    SnapshotContext,
};

/// A function of two streams of rows with the same key.
pub trait KeyedCoProcessFunction<K: Key, A, B, O>: Send {
    /// Called for each row of the first input.
    fn process_first(
        &mut self,
        value: A,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called for each row of the second input.
    fn process_second(
        &mut self,
        value: B,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called for each timer that is due, with the timer's key.
    fn on_timer(
        &mut self,
        time: i64,
        domain: TimeDomain,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult {
        let _ = (time, domain, context, out);
        Ok(())
    }
}

/// Runs a [`KeyedCoProcessFunction`].
pub struct KeyedCoProcess<K: Key, A, B, O, S1, S2, F> {
    first_key: Arc<S1>,
    second_key: Arc<S2>,
    run: KeyedRun<K, O, F>,
    rows: PhantomData<fn(A, B)>,
}

impl<K: Key, A, B, O: Record, S1, S2, F> KeyedCoProcess<K, A, B, O, S1, S2, F> {
    /// Runs the function that `make` makes, once per subtask.
    pub fn new(first_key: Arc<S1>, second_key: Arc<S2>, make: MakeKeyed<K, F>) -> Self {
        Self { first_key, second_key, run: KeyedRun::new(make), rows: PhantomData }
    }
}

impl<K, A, B, O, S1, S2, F> Operator for KeyedCoProcess<K, A, B, O, S1, S2, F>
where
    K: Key,
    A: Record,
    B: Record,
    O: Record,
    S1: KeySelector<A, K>,
    S2: KeySelector<B, K>,
    F: KeyedCoProcessFunction<K, A, B, O>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        self.run.open(context)
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        if input == 0 {
            self.run.rows(&*self.first_key, batch, context, output, F::process_first)
        } else {
            self.run.rows(&*self.second_key, batch, context, output, F::process_second)
        }
    }

    fn watermark(
        &mut self,
        watermark: Watermark,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.run.fire(TimeDomain::EventTime, watermark, context, output, F::on_timer)
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.run.next_processing_time()
    }

    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let now = context.processing_time;
        self.run.fire(TimeDomain::ProcessingTime, now, context, output, F::on_timer)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.run.snapshot(context, writer)
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        self.run.encode(writer, budget)
    }

    fn abort_snapshot(&mut self) {
        self.run.abort_snapshot();
    }

    fn state_bytes(&self) -> usize {
        self.run.state_bytes()
    }
}
