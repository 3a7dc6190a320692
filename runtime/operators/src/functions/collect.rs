//! Hands its rows to the caller of `execute`, when the job has finished.

use std::marker::PhantomData;

use thalweg_core::{Batch, Record};
use thalweg_state::run::RunWriter;
use thalweg_state::{OperatorListState, OperatorState};

use crate::contract::{OpenContext, Operator, OperatorError, Output, RunContext, SnapshotContext};

/// The most that one subtask hands over. It travels in one message, so it has to stay small.
pub const COLLECT_BYTES: usize = 8 << 20;

/// More rows than can be handed to the caller.
#[derive(Debug, thiserror::Error)]
#[error(
    "a subtask has collected more than {COLLECT_BYTES} bytes for the caller of execute: write \
     them to a sink, or collect fewer"
)]
struct TooMuch;

/// Keeps all rows, encoded, and hands them over at the end. They are part of the snapshot, so
/// each is handed over once.
pub struct Collect<T> {
    name: String,
    rows: Vec<u8>,
    opened: Option<(OperatorState, OperatorListState<Vec<u8>>)>,
    row: PhantomData<fn(T)>,
}

impl<T> Collect<T> {
    /// Hands over under `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), rows: Vec::new(), opened: None, row: PhantomData }
    }
}

impl<T: Record> Operator for Collect<T> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let collected = state.list_state::<Vec<u8>>("collected")?;
        for piece in collected.get(&state)? {
            self.rows.extend_from_slice(piece);
        }
        self.opened = Some((state, collected));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        for value in batch.take_parts::<T>()?.0 {
            value.encode(&mut self.rows);
        }
        if self.rows.len() > COLLECT_BYTES {
            return Err(OperatorError::Sink(Box::new(TooMuch)));
        }
        Ok(())
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        if let Some((state, collected)) = &mut self.opened {
            collected.update(state, vec![self.rows.clone()])?;
            state.snapshot(writer)?;
        }
        Ok(())
    }

    fn results(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![(self.name.clone(), std::mem::take(&mut self.rows))]
    }

    fn state_bytes(&self) -> usize {
        self.rows.len()
    }
}
