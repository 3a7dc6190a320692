//! The process function: any output, side outputs, operator state; no key, no timers.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Record};
use thalweg_state::OperatorState;
use thalweg_state::run::RunWriter;

use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, Progress, RowBuffer,
    RunContext, SnapshotContext, SubtaskInfo,
};

/// A function of rows without a key.
pub trait ProcessFunction<I, O>: Send {
    /// Called for each row.
    fn process(
        &mut self,
        value: I,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called once when all input has ended.
    fn finish(
        &mut self,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult {
        let _ = (context, out);
        Ok(())
    }
}

impl<I, O, F> ProcessFunction<I, O> for F
where
    F: FnMut(I, &mut ProcessContext<'_>, &mut Collector<'_, O>) -> FunctionResult + Send,
{
    fn process(
        &mut self,
        value: I,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult {
        self(value, context, out)
    }
}

/// What a process function sees beside the row.
pub struct ProcessContext<'a> {
    pub(super) state: &'a mut OperatorState,
    pub(super) timestamp: Option<i64>,
    pub(super) watermark: Watermark,
    pub(super) processing_time: i64,
}

impl ProcessContext<'_> {
    /// The row's event time in ms since 1970.
    pub fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// Event time at this operator.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of day in ms since 1970.
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }

    /// The operator's state, for the handles declared when it opened.
    pub fn state(&mut self) -> &mut OperatorState {
        self.state
    }
}

/// Where a process function declares its operator state.
pub struct ProcessOpen<'a> {
    /// The operator's state.
    pub state: &'a mut OperatorState,
    /// The subtask.
    pub subtask: SubtaskInfo,
}

type Make<F> = Arc<dyn Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync>;

/// Runs a [`ProcessFunction`].
pub struct Process<I, O, F> {
    make: Make<F>,
    function: Option<F>,
    state: OperatorState,
    buffer: RowBuffer<O>,
    rows: PhantomData<fn(I)>,
}

impl<I, O: Record, F> Process<I, O, F> {
    /// Runs the function that `make` makes, once per subtask.
    pub fn new(make: Make<F>) -> Self {
        let (state, buffer) = (OperatorState::new(None), RowBuffer::default());
        Self { make, function: None, state, buffer, rows: PhantomData }
    }
}

impl<I: Record, O: Record, F: ProcessFunction<I, O>> Operator for Process<I, O, F> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        self.state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let mut open = ProcessOpen { state: &mut self.state, subtask: context.subtask };
        self.function = Some((self.make)(&mut open).map_err(OperatorError::Function)?);
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some(function) = &mut self.function else { return Ok(()) };
        let mut rows = batch.rows::<I>()?;
        while !self.buffer.fills(output) {
            let Some(row) = rows.next() else { break };
            let mut call = ProcessContext {
                state: &mut self.state,
                timestamp: row.timestamp,
                watermark: context.watermark,
                processing_time: context.processing_time,
            };
            let mut out = Collector::new(&mut self.buffer, output, row.timestamp);
            function.process(row.value, &mut call, &mut out).map_err(OperatorError::Function)?;
        }
        self.buffer.flush(output);
        Ok(())
    }

    fn end_of_input(
        &mut self,
        _input: usize,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some(function) = &mut self.function else { return Ok(Progress::Done) };
        let mut call = ProcessContext {
            state: &mut self.state,
            timestamp: None,
            watermark: context.watermark,
            processing_time: context.processing_time,
        };
        let mut out = Collector::new(&mut self.buffer, output, None);
        function.finish(&mut call, &mut out).map_err(OperatorError::Function)?;
        self.buffer.flush(output);
        Ok(Progress::Done)
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
