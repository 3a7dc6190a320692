//! What a sink remembers in a snapshot: the committables that wait for their checkpoints.

use thalweg_core::Record;
use thalweg_core::ids::CheckpointId;
use thalweg_state::{OperatorListState, OperatorState, RunWriter, StateError};

use super::Committable;
use crate::contract::OpenContext;

/// Committables of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
pub(super) struct PendingCommit {
    pub(super) checkpoint: u64,
    pub(super) committables: Vec<Committable>,
}

/// The states of a sink. At another parallelism the commits are dealt out one by one; which
/// checkpoint it is, all are told.
pub(super) struct SinkState {
    state: OperatorState,
    pending: OperatorListState<PendingCommit>,
    checkpoint: OperatorListState<u64>,
}

impl SinkState {
    /// What was remembered; nothing, when the sink starts new.
    pub(super) fn open(context: &OpenContext<'_>) -> Result<Self, StateError> {
        let (restored, budget) = (context.restored.clone(), &context.state_budget);
        let mut state = OperatorState::with_budget(restored, budget);
        let pending = state.list_state("pending-commits")?;
        let checkpoint = state.union_list_state("checkpoint")?;
        Ok(Self { state, pending, checkpoint })
    }

    /// The checkpoint that it was restored from.
    pub(super) fn restored_from(&self) -> Result<Option<CheckpointId>, StateError> {
        Ok(self.checkpoint.get(&self.state)?.iter().copied().max().map(CheckpointId))
    }

    /// Takes out the commits that were remembered, oldest first.
    pub(super) fn take(&mut self) -> Result<Vec<PendingCommit>, StateError> {
        let mut pending = std::mem::take(&mut *self.pending.get_mut(&mut self.state)?);
        pending.sort_by_key(|commit| commit.checkpoint);
        Ok(pending)
    }

    /// Writes these for a checkpoint.
    pub(super) fn write(
        &mut self,
        pending: Vec<PendingCommit>,
        checkpoint: CheckpointId,
        writer: &mut RunWriter,
    ) -> Result<(), StateError> {
        self.pending.update(&mut self.state, pending)?;
        self.checkpoint.update(&mut self.state, vec![checkpoint.0])?;
        Ok(self.state.snapshot(writer)?)
    }
}
