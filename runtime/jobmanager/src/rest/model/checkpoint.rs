//! A job's checkpoints: how they are taken, how they went.
//!
//! Statistics only. The manifests and the decision to trigger are the checkpoint coordinator's.

use std::sync::Arc;

use super::StatisticsSummary;

/// What is known of a job's checkpoints.
#[derive(Debug, Clone, Default)]
pub struct CheckpointFacts {
    /// How many there were.
    pub counts: CheckpointCounts,
    /// Statistics over the completed ones.
    pub summary: CheckpointSummary,
    /// The latest completed checkpoint that isn't a savepoint.
    pub latest_completed: Option<Arc<CheckpointStatistics>>,
    /// The latest completed savepoint.
    pub latest_savepoint: Option<Arc<CheckpointStatistics>>,
    /// The latest failed one.
    pub latest_failed: Option<Arc<CheckpointStatistics>>,
    /// The one that the job was last restored from.
    pub latest_restored: Option<RestoredCheckpointFacts>,
    /// The latest ones, newest first, bounded by the coordinator (`web.checkpoints.history`).
    pub history: Vec<Arc<CheckpointStatistics>>,
    /// How they are taken.
    pub configuration: CheckpointConfigurationFacts,
}

impl CheckpointFacts {
    /// The checkpoint with this id, as far as it is still remembered.
    pub fn find(&self, id: u64) -> Option<&CheckpointStatistics> {
        let latest = [&self.latest_completed, &self.latest_savepoint, &self.latest_failed];
        let latest = latest.into_iter().flatten();
        self.history.iter().chain(latest).map(Arc::as_ref).find(|statistics| statistics.id == id)
    }
}

/// How many checkpoints there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckpointCounts {
    /// Restores from one.
    pub restored: u64,
    /// Under way.
    pub in_progress: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
}

impl CheckpointCounts {
    /// All that were begun, and all restores.
    pub fn total(&self) -> u64 {
        self.restored + self.in_progress + self.completed + self.failed
    }
}

/// Statistics over completed checkpoints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckpointSummary {
    /// Bytes written.
    pub checkpointed_size: StatisticsSummary,
    /// Bytes that the whole state has.
    pub state_size: StatisticsSummary,
    /// ms from trigger to last acknowledgement.
    pub end_to_end_duration: StatisticsSummary,
    /// Bytes processed during alignment.
    pub processed_data: StatisticsSummary,
    /// Bytes in flight that were persisted.
    pub persisted_data: StatisticsSummary,
}

impl CheckpointSummary {
    /// Adds a completed checkpoint.
    pub fn add(&mut self, completed: &CheckpointStatistics) {
        self.checkpointed_size.add(completed.sum(|subtask| subtask.checkpointed_size));
        self.state_size.add(completed.sum(|subtask| subtask.state_size));
        self.end_to_end_duration.add(completed.end_to_end_ms().unwrap_or(-1));
        self.processed_data.add(completed.sum(|subtask| subtask.processed_data));
        self.persisted_data.add(completed.sum(|subtask| subtask.persisted_data));
    }
}

/// One checkpoint or savepoint.
#[derive(Debug, Clone)]
pub struct CheckpointStatistics {
    /// Its id.
    pub id: u64,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// A savepoint's format (`CANONICAL`, `NATIVE`); none for a checkpoint.
    pub savepoint_format: Option<String>,
    /// When it was triggered.
    pub trigger_ms: i64,
    /// How it went so far.
    pub outcome: CheckpointOutcome,
    /// Bytes of its manifest.
    pub metadata_size: i64,
    /// What each vertex did, in the job's order.
    pub tasks: Vec<TaskCheckpointStatistics>,
}

/// How a checkpoint went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointOutcome {
    /// Not yet acknowledged by all.
    InProgress,
    /// Published.
    Completed {
        /// Where it is.
        external_path: String,
        /// Whether its files are gone meanwhile.
        discarded: bool,
    },
    /// Given up.
    Failed {
        /// When.
        at_ms: i64,
        /// Why.
        message: String,
    },
}

/// What a checkpoint was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// To restart from after a failure.
    Checkpoint,
    /// At the user's wish.
    Savepoint,
    /// At the user's wish, and the job ends with it.
    SyncSavepoint,
}

impl CheckpointStatistics {
    /// All subtasks' acknowledgements.
    pub fn acknowledged(&self) -> impl Iterator<Item = &SubtaskCheckpointStatistics> {
        self.tasks.iter().flat_map(TaskCheckpointStatistics::acknowledged)
    }

    /// A number added up over all acknowledgements.
    pub fn sum(&self, of: impl Fn(&SubtaskCheckpointStatistics) -> i64) -> i64 {
        self.acknowledged().map(of).sum()
    }

    /// ms from its trigger to its failure, else to its latest acknowledgement.
    pub fn end_to_end_ms(&self) -> Option<i64> {
        let end = match self.outcome {
            CheckpointOutcome::Failed { at_ms, .. } => Some(at_ms),
            _ => self.acknowledged().map(|subtask| subtask.acknowledged_ms).max(),
        };
        end.map(|end| (end - self.trigger_ms).max(0))
    }
}

/// What one vertex did in a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct TaskCheckpointStatistics {
    /// The vertex.
    pub vertex_id: String,
    /// Each subtask's acknowledgement, by index; none while it is awaited or when it failed.
    pub subtasks: Vec<Option<SubtaskCheckpointStatistics>>,
}

impl TaskCheckpointStatistics {
    /// The acknowledgements that came.
    pub fn acknowledged(&self) -> impl Iterator<Item = &SubtaskCheckpointStatistics> {
        self.subtasks.iter().flatten()
    }
}

/// What one subtask did in a checkpoint. Sizes are bytes, times ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubtaskCheckpointStatistics {
    /// When its acknowledgement came.
    pub acknowledged_ms: i64,
    /// Written for this checkpoint.
    pub checkpointed_size: i64,
    /// Its whole state.
    pub state_size: i64,
    /// How long its thread was stopped.
    pub sync_ms: i64,
    /// How long encoding and uploading went on beside it.
    pub async_ms: i64,
    /// Bytes that it processed during alignment.
    pub processed_data: i64,
    /// Bytes in flight that were persisted.
    pub persisted_data: i64,
    /// From the first to the last barrier.
    pub alignment_ms: i64,
    /// From the trigger to the first barrier.
    pub start_delay_ms: i64,
    /// Whether barriers overtook records.
    pub unaligned: bool,
}

/// The checkpoint that a job was restored from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredCheckpointFacts {
    /// Its id.
    pub id: u64,
    /// When the restore was.
    pub restore_ms: i64,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Where it is.
    pub external_path: Option<String>,
}

/// How checkpoints are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointConfigurationFacts {
    /// Whether each record's effect shows exactly once; else at least once.
    pub exactly_once: bool,
    /// From one trigger to the next.
    pub interval_ms: u64,
    /// When one is given up.
    pub timeout_ms: u64,
    /// From one's end to the next trigger, at least.
    pub min_pause_ms: u64,
    /// How many at a time.
    pub max_concurrent: u32,
    /// Whether they outlive the job.
    pub externalized: bool,
    /// Whether cancelling deletes them.
    pub delete_on_cancellation: bool,
    /// The state backend's name.
    pub state_backend: String,
    /// The checkpoint storage's name.
    pub checkpoint_storage: String,
    /// Whether barriers may overtake records.
    pub unaligned: bool,
    /// How many failures in a row are borne.
    pub tolerable_failed: u32,
    /// After which time an aligned one becomes unaligned; 0 for never.
    pub aligned_timeout_ms: u64,
    /// Whether they go on when some tasks have finished.
    pub after_tasks_finish: bool,
}
