//! Rolling reduce: each row is combined with what came before it for its key.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Key, Record};
use thalweg_state::run::RunWriter;
use thalweg_state::{EncodingBudget, KeyedState, ValueState};

use super::KeySelector;
use super::look_ahead::LookAhead;
use crate::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RowBuffer, RunContext, SnapshotContext,
};

/// Emits, for each row, the combination of all rows of its key so far.
pub struct Reduce<K: Key, T, S, F> {
    key: Arc<S>,
    function: Arc<F>,
    opened: Option<(KeyedState<K>, ValueState<T>)>,
    buffer: RowBuffer<T>,
    rows: PhantomData<fn(K)>,
}

impl<K: Key, T: Record, S, F> Reduce<K, T, S, F> {
    /// Combines with `function(so far, next)`.
    pub fn new(key: Arc<S>, function: Arc<F>) -> Self {
        Self { key, function, opened: None, buffer: RowBuffer::default(), rows: PhantomData }
    }
}

impl<K, T, S, F> Operator for Reduce<K, T, S, F>
where
    K: Key,
    T: Record,
    S: KeySelector<T, K>,
    F: Fn(T, T) -> T + Send + Sync,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let subtask = context.subtask;
        let restored = context.restored.clone();
        let mut state = KeyedState::new(subtask.key_groups, subtask.max_parallelism, restored)?;
        state.set_budget(&context.state_budget)?;
        let reduced = state.value_state("reduced")?;
        self.opened = Some((state, reduced));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some((state, reduced)) = &mut self.opened else { return Ok(()) };
        let mut ahead = LookAhead::new(batch, &*self.key, state)?;
        let mut rows = batch.rows::<T>()?;
        while !self.buffer.fills(output) {
            ahead.next(&rows, state);
            let Some(row) = rows.next() else { break };
            let key = (self.key)(&row.value);
            let hash = row.hash.unwrap_or_else(|| key.key_hash());
            state.set_current_key(key, hash);
            let combined = match reduced.get(state)? {
                Some(so_far) => (self.function)(so_far.clone(), row.value),
                None => row.value,
            };
            reduced.set(state, combined.clone())?;
            self.buffer.push(combined, row.timestamp);
        }
        self.buffer.flush(output);
        Ok(())
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        match &mut self.opened {
            Some((state, _)) => Ok(state.snapshot(writer)?),
            None => Ok(()),
        }
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        match &mut self.opened {
            Some((state, _)) => Ok(Progress::of(state.encode(writer, budget)?)),
            None => Ok(Progress::Done),
        }
    }

    fn abort_snapshot(&mut self) {
        if let Some((state, _)) = &mut self.opened {
            state.abort_snapshot();
        }
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |(state, _)| state.bytes())
    }
}
