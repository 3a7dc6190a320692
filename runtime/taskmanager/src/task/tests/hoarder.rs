//! An operator with much state: a row n gives n keys the value n, and is passed on.

use thalweg_core::Batch;
use thalweg_core::record::Key;
use thalweg_operators::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RunContext, SnapshotContext,
};
use thalweg_state::run::RunWriter;
use thalweg_state::{EncodingBudget, KeyedState, ValueState};

#[derive(Default)]
pub(super) struct Hoarder(Option<(KeyedState<i64>, ValueState<i64>)>);

impl Operator for Hoarder {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let groups = context.subtask.key_groups;
        let mut state = KeyedState::new(groups, 128, context.restored.clone())?;
        let values = state.value_state("values")?;
        self.0 = Some((state, values));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (rows, columns) = batch.take_parts::<i64>()?;
        if let Some((state, values)) = &mut self.0 {
            for row in &rows {
                for key in 0..*row {
                    state.set_current_key(key, key.key_hash());
                    values.set(state, *row)?;
                }
            }
        }
        output.emit_rows(rows, columns);
        Ok(())
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        match &mut self.0 {
            Some((state, _)) => Ok(state.snapshot(writer)?),
            None => Ok(()),
        }
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let Some((state, _)) = &mut self.0 else { return Ok(Progress::Done) };
        Ok(match state.encode(writer, budget)? {
            true => Progress::Done,
            false => Progress::More,
        })
    }

    fn abort_snapshot(&mut self) {
        if let Some((state, _)) = &mut self.0 {
            state.abort_snapshot();
        }
    }
}
