//! `/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid`: one vertex' part in a
//! checkpoint, with its subtasks.

use serde::Serialize;

use super::checkpoints::{Task, task};
use super::statistics::SummaryStatistics;
use crate::rest::model::{
    CheckpointStatistics, SubtaskCheckpointStatistics, TaskCheckpointStatistics,
};

#[derive(Debug, Serialize)]
pub(crate) struct TaskDetails {
    #[serde(flatten)]
    task: Task,
    summary: TaskSummary,
    subtasks: Vec<Subtask>,
}

#[derive(Debug, Serialize)]
struct TaskSummary {
    checkpointed_size: SummaryStatistics,
    state_size: SummaryStatistics,
    end_to_end_duration: SummaryStatistics,
    checkpoint_duration: DurationSummary,
    alignment: AlignmentSummary,
    start_delay: SummaryStatistics,
}

#[derive(Debug, Serialize)]
struct DurationSummary {
    sync: SummaryStatistics,
    #[serde(rename = "async")]
    asynchronous: SummaryStatistics,
}

#[derive(Debug, Serialize)]
struct AlignmentSummary {
    buffered: SummaryStatistics,
    processed: SummaryStatistics,
    persisted: SummaryStatistics,
    duration: SummaryStatistics,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Subtask {
    Completed(CompletedSubtask),
    Pending(PendingSubtask),
}

#[derive(Debug, Serialize)]
struct PendingSubtask {
    #[serde(rename = "className")]
    class_name: &'static str,
    index: usize,
    status: &'static str,
}

#[derive(Debug, Serialize)]
struct CompletedSubtask {
    #[serde(rename = "className")]
    class_name: &'static str,
    index: usize,
    ack_timestamp: i64,
    end_to_end_duration: i64,
    checkpointed_size: i64,
    state_size: i64,
    checkpoint: Durations,
    alignment: Alignment,
    start_delay: i64,
    unaligned_checkpoint: bool,
    aborted: bool,
    status: &'static str,
}

#[derive(Debug, Serialize)]
struct Durations {
    sync: i64,
    #[serde(rename = "async")]
    asynchronous: i64,
}

#[derive(Debug, Serialize)]
struct Alignment {
    buffered: i64,
    processed: i64,
    persisted: i64,
    duration: i64,
}

/// `.../checkpoints/details/:checkpointid/subtasks/:vertexid`.
pub(crate) fn task_details(
    facts: &CheckpointStatistics,
    task: &TaskCheckpointStatistics,
) -> TaskDetails {
    let subtasks = task.subtasks.iter().enumerate().map(|(index, acknowledged)| {
        acknowledged.as_ref().map_or(
            Subtask::Pending(PendingSubtask {
                class_name: "pending_or_failed",
                index,
                status: "pending_or_failed",
            }),
            |acknowledged| Subtask::Completed(completed(facts.trigger_ms, index, acknowledged)),
        )
    });
    TaskDetails {
        task: self::task(facts, task),
        summary: task_summary(facts.trigger_ms, task),
        subtasks: subtasks.collect(),
    }
}

fn task_summary(trigger_ms: i64, task: &TaskCheckpointStatistics) -> TaskSummary {
    let over = |of: &dyn Fn(&SubtaskCheckpointStatistics) -> i64| {
        SummaryStatistics::without_percentiles(task.acknowledged().map(of))
    };
    TaskSummary {
        checkpointed_size: over(&|subtask| subtask.checkpointed_size),
        state_size: over(&|subtask| subtask.state_size),
        end_to_end_duration: over(&|subtask| (subtask.acknowledged_ms - trigger_ms).max(0)),
        checkpoint_duration: DurationSummary {
            sync: over(&|subtask| subtask.sync_ms),
            asynchronous: over(&|subtask| subtask.async_ms),
        },
        alignment: AlignmentSummary {
            buffered: SummaryStatistics::zero(),
            processed: over(&|subtask| subtask.processed_data),
            persisted: over(&|subtask| subtask.persisted_data),
            duration: over(&|subtask| subtask.alignment_ms),
        },
        start_delay: over(&|subtask| subtask.start_delay_ms),
    }
}

fn completed(
    trigger_ms: i64,
    index: usize,
    facts: &SubtaskCheckpointStatistics,
) -> CompletedSubtask {
    CompletedSubtask {
        class_name: "completed",
        index,
        ack_timestamp: facts.acknowledged_ms,
        end_to_end_duration: (facts.acknowledged_ms - trigger_ms).max(0),
        checkpointed_size: facts.checkpointed_size,
        state_size: facts.state_size,
        checkpoint: Durations { sync: facts.sync_ms, asynchronous: facts.async_ms },
        alignment: Alignment {
            buffered: 0,
            processed: facts.processed_data,
            persisted: facts.persisted_data,
            duration: facts.alignment_ms,
        },
        start_delay: facts.start_delay_ms,
        unaligned_checkpoint: facts.unaligned,
        aborted: false,
        status: "completed",
    }
}
