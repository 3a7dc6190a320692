//! `/jobs/:jobid/checkpoints` and its `details/:checkpointid`: counts, statistics, history, one
//! checkpoint with its tasks.

use std::borrow::Cow;

use serde::Serialize;

use super::statistics::SummaryStatistics;
use crate::rest::json::Entries;
use crate::rest::model::{
    CheckpointCounts, CheckpointFacts, CheckpointKind, CheckpointOutcome, CheckpointStatistics,
    CheckpointSummary, RestoredCheckpointFacts, SubtaskCheckpointStatistics,
    TaskCheckpointStatistics,
};

#[derive(Debug, Serialize)]
pub(crate) struct Checkpoints<'a> {
    counts: Counts,
    summary: Summary,
    latest: Latest<'a>,
    history: Vec<Checkpoint<'a>>,
}

#[derive(Debug, Serialize)]
struct Counts {
    restored: u64,
    total: u64,
    in_progress: u64,
    completed: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct Summary {
    checkpointed_size: SummaryStatistics,
    state_size: SummaryStatistics,
    end_to_end_duration: SummaryStatistics,
    alignment_buffered: SummaryStatistics,
    processed_data: SummaryStatistics,
    persisted_data: SummaryStatistics,
}

#[derive(Debug, Serialize)]
struct Latest<'a> {
    completed: Option<Checkpoint<'a>>,
    savepoint: Option<Checkpoint<'a>>,
    failed: Option<Checkpoint<'a>>,
    restored: Option<Restored<'a>>,
}

#[derive(Debug, Serialize)]
struct Restored<'a> {
    id: u64,
    restore_timestamp: i64,
    is_savepoint: bool,
    external_path: Option<&'a str>,
}

/// One checkpoint. The members after `tasks` depend on how it went.
#[derive(Debug, Serialize)]
pub(crate) struct Checkpoint<'a> {
    #[serde(rename = "className")]
    class_name: &'static str,
    id: u64,
    status: &'static str,
    is_savepoint: bool,
    #[serde(rename = "savepointFormat")]
    savepoint_format: Option<&'a str>,
    trigger_timestamp: i64,
    #[serde(flatten)]
    totals: Totals,
    checkpoint_type: &'static str,
    tasks: Entries<'a, Task>,
    #[serde(flatten)]
    end: End<'a>,
}

/// What an in-progress, a completed and a failed checkpoint have for themselves.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum End<'a> {
    InProgress {},
    Completed { external_path: &'a str, discarded: bool },
    Failed { failure_timestamp: i64, failure_message: &'a str },
}

/// Sums over the acknowledgements of a checkpoint or of one of its tasks.
#[derive(Debug, Serialize)]
struct Totals {
    latest_ack_timestamp: i64,
    checkpointed_size: i64,
    state_size: i64,
    end_to_end_duration: i64,
    /// Kept for compatibility: nothing is buffered aside during alignment.
    alignment_buffered: i64,
    processed_data: i64,
    persisted_data: i64,
    num_subtasks: usize,
    num_acknowledged_subtasks: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Task {
    id: u64,
    status: &'static str,
    #[serde(flatten)]
    totals: Totals,
}

/// `/jobs/:jobid/checkpoints`.
pub(crate) fn checkpoints(facts: &CheckpointFacts) -> Checkpoints<'_> {
    Checkpoints {
        counts: counts(&facts.counts),
        summary: summary(&facts.summary),
        latest: Latest {
            completed: facts.latest_completed.as_deref().map(brief),
            savepoint: facts.latest_savepoint.as_deref().map(brief),
            failed: facts.latest_failed.as_deref().map(brief),
            restored: facts.latest_restored.as_ref().map(restored),
        },
        history: facts.history.iter().map(|statistics| brief(statistics)).collect(),
    }
}

fn counts(facts: &CheckpointCounts) -> Counts {
    Counts {
        restored: facts.restored,
        total: facts.in_progress + facts.completed + facts.failed,
        in_progress: facts.in_progress,
        completed: facts.completed,
        failed: facts.failed,
    }
}

fn summary(facts: &CheckpointSummary) -> Summary {
    Summary {
        checkpointed_size: SummaryStatistics::of(&facts.checkpointed_size),
        state_size: SummaryStatistics::of(&facts.state_size),
        end_to_end_duration: SummaryStatistics::of(&facts.end_to_end_duration),
        alignment_buffered: SummaryStatistics::zero(),
        processed_data: SummaryStatistics::of(&facts.processed_data),
        persisted_data: SummaryStatistics::of(&facts.persisted_data),
    }
}

fn restored(facts: &RestoredCheckpointFacts) -> Restored<'_> {
    Restored {
        id: facts.id,
        restore_timestamp: facts.restore_ms,
        is_savepoint: facts.is_savepoint,
        external_path: facts.external_path.as_deref(),
    }
}

/// A checkpoint in a list: without its tasks.
fn brief(facts: &CheckpointStatistics) -> Checkpoint<'_> {
    checkpoint(facts, Vec::new())
}

/// `.../checkpoints/details/:checkpointid`.
pub(crate) fn details(facts: &CheckpointStatistics) -> Checkpoint<'_> {
    let tasks = facts.tasks.iter();
    let tasks = tasks.map(|of| (of.vertex_id.as_str().into(), task(facts, of)));
    checkpoint(facts, tasks.collect())
}

fn checkpoint<'a>(
    facts: &'a CheckpointStatistics,
    tasks: Vec<(Cow<'a, str>, Task)>,
) -> Checkpoint<'a> {
    let (class_name, end, failed_ms) = match &facts.outcome {
        CheckpointOutcome::InProgress => ("in_progress", End::InProgress {}, None),
        CheckpointOutcome::Completed { external_path, discarded } => {
            ("completed", End::Completed { external_path, discarded: *discarded }, None)
        }
        CheckpointOutcome::Failed { at_ms, message } => {
            let end = End::Failed { failure_timestamp: *at_ms, failure_message: message };
            ("failed", end, Some(*at_ms))
        }
    };
    Checkpoint {
        class_name,
        id: facts.id,
        status: status(&facts.outcome),
        is_savepoint: facts.kind != CheckpointKind::Checkpoint,
        savepoint_format: facts.savepoint_format.as_deref(),
        trigger_timestamp: facts.trigger_ms,
        totals: totals(facts.trigger_ms, &facts.tasks, failed_ms),
        checkpoint_type: match facts.kind {
            CheckpointKind::Checkpoint => "CHECKPOINT",
            CheckpointKind::Savepoint => "SAVEPOINT",
            CheckpointKind::SyncSavepoint => "SYNC_SAVEPOINT",
        },
        tasks: Entries(tasks),
        end,
    }
}

fn status(outcome: &CheckpointOutcome) -> &'static str {
    match outcome {
        CheckpointOutcome::InProgress => "IN_PROGRESS",
        CheckpointOutcome::Completed { .. } => "COMPLETED",
        CheckpointOutcome::Failed { .. } => "FAILED",
    }
}

/// One vertex' part in a checkpoint.
pub(super) fn task(facts: &CheckpointStatistics, task: &TaskCheckpointStatistics) -> Task {
    Task {
        id: facts.id,
        status: task_status(facts, task),
        totals: totals(facts.trigger_ms, [task], None),
    }
}

/// A task is done when all of its subtasks have acknowledged, whatever became of the checkpoint.
fn task_status(facts: &CheckpointStatistics, task: &TaskCheckpointStatistics) -> &'static str {
    let done = task.subtasks.iter().all(Option::is_some);
    if done { "COMPLETED" } else { status(&facts.outcome) }
}

fn totals<'a>(
    trigger_ms: i64,
    tasks: impl IntoIterator<Item = &'a TaskCheckpointStatistics>,
    failed_ms: Option<i64>,
) -> Totals {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let each = || tasks.iter().flat_map(|task| task.acknowledged());
    let sum = |of: fn(&SubtaskCheckpointStatistics) -> i64| each().map(of).sum();
    let latest = each().map(|subtask| subtask.acknowledged_ms).max();
    Totals {
        latest_ack_timestamp: latest.unwrap_or(-1),
        checkpointed_size: sum(|subtask| subtask.checkpointed_size),
        state_size: sum(|subtask| subtask.state_size),
        end_to_end_duration: failed_ms.or(latest).map_or(-1, |end| (end - trigger_ms).max(0)),
        alignment_buffered: 0,
        processed_data: sum(|subtask| subtask.processed_data),
        persisted_data: sum(|subtask| subtask.persisted_data),
        num_subtasks: tasks.iter().map(|task| task.subtasks.len()).sum(),
        num_acknowledged_subtasks: each().count(),
    }
}
