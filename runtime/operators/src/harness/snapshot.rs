//! A snapshot of an operator under test.

use std::sync::Arc;

use thalweg_core::ids::CheckpointId;

use super::HarnessBuilder;
use super::builder::Setup;

/// What all subtasks of an operator remembered.
#[derive(Clone)]
pub struct HarnessSnapshot {
    setup: Setup,
    checkpoint: CheckpointId,
    now_ms: i64,
    runs: Arc<[Arc<Vec<u8>>]>,
}

impl std::fmt::Debug for HarnessSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<_> = self.runs.iter().map(|run| run.len()).collect();
        write!(f, "HarnessSnapshot({:?}, runs of {bytes:?} bytes)", self.checkpoint)
    }
}

impl HarnessSnapshot {
    pub(super) fn new(
        setup: Setup,
        checkpoint: CheckpointId,
        now_ms: i64,
        runs: Vec<Arc<Vec<u8>>>,
    ) -> Self {
        Self { setup, checkpoint, now_ms, runs: runs.into() }
    }

    /// The checkpoint's id.
    pub fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// The runs, one of each subtask.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.runs.iter().map(|run| run.as_slice())
    }

    /// Describes a harness of so many subtasks that goes on from here.
    pub fn restore_at(&self, parallelism: u32) -> HarnessBuilder {
        let Self { setup, checkpoint, now_ms, runs } = self;
        HarnessBuilder::restore(setup.clone(), parallelism, *now_ms, *checkpoint, runs.clone())
    }
}
