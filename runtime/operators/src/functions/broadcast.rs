//! A stream with a second, small one that every subtask sees whole and keeps as broadcast state.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Key, Record};
use thalweg_state::{BroadcastState, OperatorState, RunWriter, StateError};

use super::process::ProcessOpen;
use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, RowBuffer, RunContext,
    SnapshotContext,
};

/// What the broadcast side changes.
pub struct BroadcastContext<'a, MK, MV> {
    state: &'a mut OperatorState,
    handle: BroadcastState<MK, MV>,
}

impl<MK: Key, MV: Record> BroadcastContext<'_, MK, MV> {
    /// The value at `key`.
    pub fn get(&self, key: &MK) -> Result<Option<&MV>, StateError> {
        self.handle.get(self.state, key)
    }

    /// Sets the value at `key`. Every subtask must do the same for the same row.
    pub fn put(&mut self, key: MK, value: MV) -> Result<(), StateError> {
        self.handle.put(self.state, key, value).map(drop)
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &MK) -> Result<(), StateError> {
        self.handle.remove(self.state, key).map(drop)
    }
}

/// What the other side sees of the broadcast state: it can't change it.
pub struct BroadcastView<'a, MK, MV> {
    state: &'a OperatorState,
    handle: BroadcastState<MK, MV>,
}

impl<MK: Key, MV: Record> BroadcastView<'_, MK, MV> {
    /// The value at `key`.
    pub fn get(&self, key: &MK) -> Result<Option<&MV>, StateError> {
        self.handle.get(self.state, key)
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> Result<impl Iterator<Item = (&MK, &MV)>, StateError> {
        self.handle.entries(self.state)
    }
}

/// A function of a stream `A` and a broadcast stream `B` that is kept as a map.
pub trait BroadcastProcessFunction<A, B, MK: Key, MV: Record, O>: Send {
    /// Called for each row of the stream.
    fn process(
        &mut self,
        value: A,
        broadcast: &BroadcastView<'_, MK, MV>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called for each row of the broadcast stream, in every subtask.
    fn process_broadcast(
        &mut self,
        value: B,
        broadcast: &mut BroadcastContext<'_, MK, MV>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;
}

type Make<F> = Arc<dyn Fn(&mut ProcessOpen<'_>) -> FunctionResult<F> + Send + Sync>;
type Opened<F, MK, MV> = (F, OperatorState, BroadcastState<MK, MV>);

/// Runs a [`BroadcastProcessFunction`].
pub struct BroadcastProcess<A, B, MK, MV, O, F> {
    make: Make<F>,
    opened: Option<Opened<F, MK, MV>>,
    buffer: RowBuffer<O>,
    rows: PhantomData<fn(A, B)>,
}

impl<A, B, MK, MV, O: Record, F> BroadcastProcess<A, B, MK, MV, O, F> {
    /// Runs the function that `make` makes, once per subtask.
    pub fn new(make: Make<F>) -> Self {
        Self { make, opened: None, buffer: RowBuffer::default(), rows: PhantomData }
    }
}

impl<A, B, MK, MV, O, F> Operator for BroadcastProcess<A, B, MK, MV, O, F>
where
    A: Record,
    B: Record,
    MK: Key,
    MV: Record,
    O: Record,
    F: BroadcastProcessFunction<A, B, MK, MV, O>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let handle = state.broadcast_state("broadcast")?;
        let mut open = ProcessOpen { state: &mut state, subtask: context.subtask };
        let function = (self.make)(&mut open).map_err(OperatorError::Function)?;
        self.opened = Some((function, state, handle));
        Ok(())
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some((function, state, handle)) = &mut self.opened else { return Ok(()) };
        let buffer = &mut self.buffer;
        if input == 0 {
            let view = BroadcastView { state, handle: *handle };
            let mut rows = batch.rows::<A>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                let mut out = Collector::new(buffer, output, row.timestamp);
                function.process(row.value, &view, &mut out).map_err(OperatorError::Function)?;
            }
        } else {
            let mut context = BroadcastContext { state, handle: *handle };
            let mut rows = batch.rows::<B>()?;
            while !buffer.fills(output) {
                let Some(row) = rows.next() else { break };
                let mut out = Collector::new(buffer, output, row.timestamp);
                let done = function.process_broadcast(row.value, &mut context, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        }
        buffer.flush(output);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |(_, state, _)| state.bytes())
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        match &mut self.opened {
            Some((_, state, _)) => Ok(state.snapshot(writer)?),
            None => Ok(()),
        }
    }
}
