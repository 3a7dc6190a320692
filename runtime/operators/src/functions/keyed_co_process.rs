//! Two inputs of different types with the same key: they share that key's state and timers.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Key, Record};
use thalweg_state::run::RunWriter;

use super::KeySelector;
use super::keyed_process::{Keyed, KeyedContext, KeyedOpen, MakeKeyed, TimeDomain};
use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, Progress, RowBuffer,
    RunContext, SnapshotContext,
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
    make: MakeKeyed<K, F>,
    opened: Option<(F, Keyed<K>)>,
    buffer: RowBuffer<O>,
    rows: PhantomData<fn(A, B)>,
}

impl<K: Key, A, B, O: Record, S1, S2, F> KeyedCoProcess<K, A, B, O, S1, S2, F> {
    /// Runs the function that `make` makes, once per subtask.
    pub fn new(first_key: Arc<S1>, second_key: Arc<S2>, make: MakeKeyed<K, F>) -> Self {
        let buffer = RowBuffer::default();
        Self { first_key, second_key, make, opened: None, buffer, rows: PhantomData }
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
        let mut keyed = Keyed::open(context)?;
        let mut open = KeyedOpen { state: &mut keyed.state, subtask: context.subtask };
        let function = (self.make)(&mut open).map_err(OperatorError::Function)?;
        self.opened = Some((function, keyed));
        Ok(())
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(()) };
        let buffer = &mut self.buffer;
        if input == 0 {
            let mut rows = batch.rows::<A>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                let key = (self.first_key)(&row.value);
                let hash = row.hash.unwrap_or_else(|| key.key_hash());
                keyed.state.set_current_key(key, hash);
                let mut call = keyed.context(row.timestamp, context);
                let mut out = Collector::new(buffer, output, row.timestamp);
                let done = function.process_first(row.value, &mut call, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        } else {
            let mut rows = batch.rows::<B>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                let key = (self.second_key)(&row.value);
                let hash = row.hash.unwrap_or_else(|| key.key_hash());
                keyed.state.set_current_key(key, hash);
                let mut call = keyed.context(row.timestamp, context);
                let mut out = Collector::new(buffer, output, row.timestamp);
                let done = function.process_second(row.value, &mut call, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        }
        buffer.flush(output);
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Watermark,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(Progress::Done) };
        let domain = TimeDomain::EventTime;
        keyed.fire(domain, watermark, context, &mut self.buffer, output, |time, call, out| {
            function.on_timer(time, domain, call, out)
        })
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.opened.as_ref().and_then(|(_, keyed)| keyed.timers.next_processing_time())
    }

    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(Progress::Done) };
        let domain = TimeDomain::ProcessingTime;
        let now = context.processing_time;
        keyed.fire(domain, now, context, &mut self.buffer, output, |time, call, out| {
            function.on_timer(time, domain, call, out)
        })
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.opened.as_mut().map_or(Ok(()), |(_, keyed)| keyed.snapshot(writer))
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |(_, keyed)| keyed.bytes())
    }
}
