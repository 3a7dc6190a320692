//! How a job's checkpoints went, in the form that REST reads. Bounded by the history's length.

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_core::element::SnapshotKind;
use thalweg_core::ids::CheckpointId;
use thalweg_rpc::message::CheckpointMeasures;

use super::options::CheckpointOptions;
use crate::job_master::execution_graph::{ExecutionGraph, TaskIndex};
use crate::moment::Moment;
use crate::rest::model::{
    CheckpointConfigurationFacts, CheckpointCounts, CheckpointFacts, CheckpointKind,
    CheckpointOutcome, CheckpointStatistics, CheckpointSummary, RestoredCheckpointFacts,
    SubtaskCheckpointStatistics, TaskCheckpointStatistics,
};

/// The latest checkpoints and sums over all.
#[derive(Debug, Clone)]
pub struct CheckpointHistory {
    options: CheckpointOptions,
    counts: CheckpointCounts,
    summary: CheckpointSummary,
    /// The one under way.
    current: Option<CheckpointStatistics>,
    /// Ended ones, newest first.
    ended: VecDeque<Arc<CheckpointStatistics>>,
    latest_completed: Option<Arc<CheckpointStatistics>>,
    latest_savepoint: Option<Arc<CheckpointStatistics>>,
    latest_failed: Option<Arc<CheckpointStatistics>>,
    restored: Option<RestoredCheckpointFacts>,
}

impl CheckpointHistory {
    pub(super) fn new(options: CheckpointOptions) -> Self {
        Self {
            options,
            counts: CheckpointCounts::default(),
            summary: CheckpointSummary::default(),
            current: None,
            ended: VecDeque::new(),
            latest_completed: None,
            latest_savepoint: None,
            latest_failed: None,
            restored: None,
        }
    }

    pub(super) fn triggered(
        &mut self,
        id: CheckpointId,
        kind: &SnapshotKind,
        graph: &ExecutionGraph,
        now: Moment,
    ) {
        let task = |vertex: &thalweg_core::job_graph::JobVertex| TaskCheckpointStatistics {
            vertex_id: vertex.id.to_string(),
            subtasks: vec![None; vertex.parallelism as usize],
        };
        self.counts.in_progress = 1;
        self.current = Some(CheckpointStatistics {
            id: id.0,
            kind: match kind.savepoint() {
                None => CheckpointKind::Checkpoint,
                Some(savepoint) if savepoint.stop => CheckpointKind::SyncSavepoint,
                Some(_) => CheckpointKind::Savepoint,
            },
            savepoint_format: kind.savepoint().map(|_| "CANONICAL".to_owned()),
            trigger_ms: now.wall_ms,
            outcome: CheckpointOutcome::InProgress,
            metadata_size: 0,
            tasks: graph.graph.vertices.iter().map(task).collect(),
        });
    }

    pub(super) fn acknowledged(
        &mut self,
        task: TaskIndex,
        measures: CheckpointMeasures,
        now: Moment,
    ) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let Some(current) = &mut self.current else { return };
        current.tasks[task.vertex].subtasks[task.subtask as usize] =
            Some(SubtaskCheckpointStatistics {
                acknowledged_ms: now.wall_ms,
                checkpointed_size: signed(measures.checkpointed_bytes),
                state_size: signed(measures.state_bytes),
                sync_ms: signed(measures.synchronous_ms),
                async_ms: signed(measures.asynchronous_ms),
                processed_data: signed(measures.processed_bytes),
                persisted_data: 0,
                alignment_ms: signed(measures.alignment_ms),
                start_delay_ms: signed(measures.start_delay_ms),
                unaligned: false,
            });
    }

    pub(super) fn completed(&mut self, external_path: String, bytes: u64) {
        let Some(mut current) = self.current.take() else { return };
        current.metadata_size = i64::try_from(bytes).unwrap_or(i64::MAX);
        current.outcome = CheckpointOutcome::Completed { external_path, discarded: false };
        self.summary.add(&current);
        self.counts.completed += 1;
        let current = Arc::new(current);
        match current.kind {
            CheckpointKind::Checkpoint => self.latest_completed = Some(Arc::clone(&current)),
            CheckpointKind::Savepoint | CheckpointKind::SyncSavepoint => {
                self.latest_savepoint = Some(Arc::clone(&current));
            }
        }
        self.remember(current);
    }

    pub(super) fn failed(&mut self, message: String, now: Moment) {
        let Some(mut current) = self.current.take() else { return };
        current.outcome = CheckpointOutcome::Failed { at_ms: now.wall_ms, message };
        self.counts.failed += 1;
        let current = Arc::new(current);
        self.latest_failed = Some(Arc::clone(&current));
        self.remember(current);
    }

    fn remember(&mut self, ended: Arc<CheckpointStatistics>) {
        self.counts.in_progress = 0;
        self.ended.push_front(ended);
        self.ended.truncate(self.options.history);
    }

    pub(super) fn discarded(&mut self, id: CheckpointId) {
        let of_it = |statistics: &&mut Arc<CheckpointStatistics>| statistics.id == id.0;
        let statistics = self.ended.iter_mut().find(of_it).map(Arc::make_mut);
        if let Some(CheckpointOutcome::Completed { discarded, .. }) =
            statistics.map(|statistics| &mut statistics.outcome)
        {
            *discarded = true;
        }
    }

    pub(super) fn restored(&mut self, id: CheckpointId, directory: Option<&str>, now: Moment) {
        self.counts.restored += 1;
        let of_it = |s: &&Arc<CheckpointStatistics>| s.id == id.0;
        let path =
            self.ended.iter().chain(&self.latest_completed).find(of_it).and_then(|s| {
                match &s.outcome {
                    CheckpointOutcome::Completed { external_path, .. } => {
                        Some(external_path.clone())
                    }
                    CheckpointOutcome::InProgress | CheckpointOutcome::Failed { .. } => None,
                }
            });
        self.restored = Some(RestoredCheckpointFacts {
            id: id.0,
            restore_ms: now.wall_ms,
            is_savepoint: directory.is_some(),
            external_path: directory.map(str::to_owned).or(path),
        });
    }

    /// All of it, for REST; how checkpoints are stored is the caller's to say.
    pub fn facts(&self, state_backend: &str, checkpoint_storage: &str) -> CheckpointFacts {
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let current = self.current.iter().map(|current| Arc::new(current.clone()));
        CheckpointFacts {
            counts: self.counts,
            summary: self.summary.clone(),
            latest_completed: self.latest_completed.clone(),
            latest_savepoint: self.latest_savepoint.clone(),
            latest_failed: self.latest_failed.clone(),
            latest_restored: self.restored.clone(),
            history: current.chain(self.ended.iter().cloned()).collect(),
            configuration: CheckpointConfigurationFacts {
                exactly_once: true,
                interval_ms: self.options.interval.map_or(0, millis),
                timeout_ms: millis(self.options.timeout),
                min_pause_ms: millis(self.options.min_pause),
                max_concurrent: 1,
                externalized: true,
                delete_on_cancellation: false,
                state_backend: state_backend.to_owned(),
                checkpoint_storage: checkpoint_storage.to_owned(),
                unaligned: false,
                tolerable_failed: self.options.tolerable_failures,
                aligned_timeout_ms: 0,
                after_tasks_finish: true,
            },
        }
    }
}
