//! Two inputs of different types, without a key.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Record};
use thalweg_state::OperatorState;
use thalweg_state::run::RunWriter;

use super::process::{ProcessContext, ProcessOpen};
use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, RowBuffer, RunContext,
    SnapshotContext,
};

/// A function of two streams of rows.
pub trait CoProcessFunction<A, B, O>: Send {
    /// Called for each row of the first input.
    fn process_first(
        &mut self,
        value: A,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called for each row of the second input.
    fn process_second(
        &mut self,
        value: B,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;
}

type Make<F> = Arc<dyn Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync>;

/// Runs a [`CoProcessFunction`].
pub struct CoProcess<A, B, O, F> {
    make: Make<F>,
    function: Option<F>,
    state: OperatorState,
    buffer: RowBuffer<O>,
    rows: PhantomData<fn(A, B)>,
}

impl<A, B, O: Record, F> CoProcess<A, B, O, F> {
    /// Runs the function that `make` makes, once per subtask.
    pub fn new(make: Make<F>) -> Self {
        let (state, buffer) = (OperatorState::new(None), RowBuffer::default());
        Self { make, function: None, state, buffer, rows: PhantomData }
    }
}

impl<A, B, O, F> Operator for CoProcess<A, B, O, F>
where
    A: Record,
    B: Record,
    O: Record,
    F: CoProcessFunction<A, B, O>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        self.state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let mut open = ProcessOpen { state: &mut self.state, subtask: context.subtask };
        self.function = Some((self.make)(&mut open).map_err(OperatorError::Function)?);
        Ok(())
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Self { function: Some(function), state, buffer, .. } = self else { return Ok(()) };
        let mut call = ProcessContext {
            state,
            timestamp: None,
            watermark: context.watermark,
            processing_time: context.processing_time,
        };
        if input == 0 {
            let mut rows = batch.rows::<A>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                call.timestamp = row.timestamp;
                let mut out = Collector::new(buffer, output, row.timestamp);
                let done = function.process_first(row.value, &mut call, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        } else {
            let mut rows = batch.rows::<B>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                call.timestamp = row.timestamp;
                let mut out = Collector::new(buffer, output, row.timestamp);
                let done = function.process_second(row.value, &mut call, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        }
        buffer.flush(output);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.state.bytes()
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        Ok(self.state.snapshot(writer)?)
    }
}
