//! The keyed process function: state and timers per key.

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

/// A function of rows with a key. It sees one key at a time, with that key's state and timers.
pub trait KeyedProcessFunction<K: Key, I, O>: Send {
    /// Called for each row.
    fn process(
        &mut self,
        value: I,
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

/// Runs a [`KeyedProcessFunction`].
pub struct KeyedProcess<K: Key, I, O, S, F> {
    key: Arc<S>,
    run: KeyedRun<K, O, F>,
    rows: PhantomData<fn(I)>,
}

impl<K: Key, I, O: Record, S, F> KeyedProcess<K, I, O, S, F> {
    /// Runs the function that `make` makes, once per subtask, on rows keyed by `key`.
    pub fn new(key: Arc<S>, make: MakeKeyed<K, F>) -> Self {
        Self { key, run: KeyedRun::new(make), rows: PhantomData }
    }
}

impl<K, I, O, S, F> Operator for KeyedProcess<K, I, O, S, F>
where
    K: Key,
    I: Record,
    O: Record,
    S: KeySelector<I, K>,
    F: KeyedProcessFunction<K, I, O>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        self.run.open(context)
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.run.rows(&*self.key, batch, context, output, F::process)
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
