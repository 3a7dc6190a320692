//! What a source remembers of its splits in a snapshot. Finished ones aren't remembered: a source
//! that is restored reads what it remembers and nothing else.

use thalweg_core::Record;
use thalweg_state::{OperatorListState, OperatorState, RunWriter, StateError};

use super::SourceSplit;
use crate::contract::OpenContext;

/// A split that isn't read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
pub(super) struct SplitState {
    pub(super) id: String,
    pub(super) weight: u64,
    pub(super) bytes: Vec<u8>,
    /// Of the whole source, this one included.
    pub(super) total: u32,
    /// Where to go on; none: it wasn't opened yet.
    pub(super) position: Option<Vec<u8>>,
    /// Of the rows before the position; `i64::MIN`: none had one.
    pub(super) highest_timestamp: i64,
}

impl From<SourceSplit> for SplitState {
    fn from(split: SourceSplit) -> Self {
        let SourceSplit { id, weight, bytes, total } = split;
        Self { id, weight, bytes, total, position: None, highest_timestamp: i64::MIN }
    }
}

/// The list state of a source's splits. At another parallelism they are dealt out one by one.
pub(super) struct SplitStates {
    state: OperatorState,
    list: OperatorListState<SplitState>,
}

impl SplitStates {
    /// What was remembered; nothing, when the source starts new.
    pub(super) fn open(context: &OpenContext<'_>) -> Result<Self, StateError> {
        let (restored, budget) = (context.restored.clone(), &context.state_budget);
        let mut state = OperatorState::with_budget(restored, budget);
        let list = state.list_state("splits")?;
        Ok(Self { state, list })
    }

    /// Takes out what was remembered.
    pub(super) fn take(&mut self) -> Result<Vec<SplitState>, StateError> {
        Ok(std::mem::take(&mut *self.list.get_mut(&mut self.state)?))
    }

    /// Writes these.
    pub(super) fn write(
        &mut self,
        states: Vec<SplitState>,
        writer: &mut RunWriter,
    ) -> Result<(), StateError> {
        self.list.update(&mut self.state, states)?;
        Ok(self.state.snapshot(writer)?)
    }
}
