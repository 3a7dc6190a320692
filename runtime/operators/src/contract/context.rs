//! What an operator is told about where it runs.

use std::sync::Arc;

use thalweg_core::clock::Clock;
use thalweg_core::element::Watermark;
use thalweg_core::ids::{Epoch, JobId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_state::{MemoryBudget, RestoredOperator};
use thalweg_storage::BlobStoreOpener;

use super::OperatorMetrics;

/// Wakes the task, from any thread. For sources and sinks that wait for something outside.
pub type WakeHandle = Arc<dyn Fn() + Send + Sync>;

/// The job that an operator belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// The JobManager's epoch that deployed this attempt.
    pub epoch: Epoch,
}

/// Which subtask of the operator this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtaskInfo {
    /// From 0.
    pub index: u32,
    /// Number of subtasks.
    pub parallelism: u32,
    /// Number of key groups.
    pub max_parallelism: u32,
    /// How often this subtask was started before, from 0.
    pub attempt: u32,
    /// The key groups it owns.
    pub key_groups: KeyGroupRange,
}

/// What an operator is given when it opens.
pub struct OpenContext<'a> {
    /// The job.
    pub job: &'a JobInfo,
    /// The operator's id.
    pub operator: OperatorId,
    /// The operator's name, for messages.
    pub name: &'a str,
    /// The subtask.
    pub subtask: SubtaskInfo,
    /// What it remembered in the checkpoint that the job starts from. None: it starts new.
    pub restored: Option<Arc<RestoredOperator>>,
    /// Splits that a source starts with, when it starts new.
    pub splits: Vec<crate::source::SourceSplit>,
    /// Whether checkpoints are taken.
    pub checkpointing: bool,
    /// What its state may take: shared by all operators of the slot.
    pub state_budget: MemoryBudget,
    /// Opens stores that output goes to.
    pub stores: Arc<dyn BlobStoreOpener>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Wakes this task.
    pub wake: WakeHandle,
    /// Counters that others read.
    pub metrics: Arc<OperatorMetrics>,
}

impl std::fmt::Debug for OpenContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenContext({} {}, {:?})", self.operator, self.name, self.subtask)
    }
}

/// What an operator is given with every call.
#[derive(Debug)]
pub struct RunContext<'a> {
    /// The time of day: ms since 1970. Read once per step of the task.
    pub processing_time: i64,
    /// Event time at this operator: the last watermark that was fired completely.
    pub watermark: Watermark,
    /// Counters that others read.
    pub metrics: &'a OperatorMetrics,
}
