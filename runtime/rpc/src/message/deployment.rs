//! What a TaskManager needs to run a task. Not here: the task's code, which it finds by capturing
//! the same program again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{AllocationId, Epoch, ExecutionAttemptId, JobId, JobVertexId, OperatorId};
use thalweg_core::job_graph::{JobGraph, ShipStrategy};
use thalweg_core::split::SourceSplit;

use super::snapshot::TaskRestore;

/// What all tasks of a job have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobInformation {
    /// The job.
    pub job_id: JobId,
    /// Its name, for people.
    pub job_name: String,
    /// The whole graph.
    pub graph: Arc<JobGraph>,
    /// [`JobGraph::fingerprint`] of it; the TaskManager's own capture must have the same.
    pub graph_fingerprint: u64,
    /// The binary that captured it.
    pub build_id: u64,
    /// The application's arguments.
    pub arguments: Vec<String>,
    /// Which `execute` of the program this is, from 0.
    pub execute_ordinal: u32,
    /// What the earlier ones returned, in the facade's encoding.
    pub earlier_results: Vec<Vec<u8>>,
    /// Values that the program computed once, on the JobManager.
    pub once_values: BTreeMap<String, Vec<u8>>,
    /// The job's effective configuration, as keys and values.
    pub configuration: BTreeMap<String, String>,
    /// Whether checkpoints are taken. If so, a task whose input has ended waits for a final
    /// checkpoint; if not, its sinks commit at the end of input and it ends at once.
    pub checkpointing: bool,
    /// The directory or bucket that snapshots are written to; None: they go inline.
    pub checkpoint_directory: Option<String>,
    /// With high availability: the JobManager's epoch in the job's log, which the names of the
    /// tasks' snapshots hold.
    pub log_epoch: Option<Epoch>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDeployment {
    /// The execution.
    pub attempt: ExecutionAttemptId,
    /// How many attempts at this subtask were before, from 0.
    pub attempt_number: u32,
    /// The vertex, to be found in the job's graph.
    pub vertex: JobVertexId,
    /// Which subtask of it.
    pub subtask: u32,
    /// The job's claim on the slot.
    pub allocation: AllocationId,
    /// The slot on the TaskManager, from 0. Tasks of the same job may share it.
    pub slot: u32,
    /// Where its records come from: all channels, ordered by edge, then producer.
    pub inputs: Vec<InputChannelDeployment>,
    /// Where its records go: ordered by edge.
    pub outputs: Vec<OutputDeployment>,
    /// What its sources are to read. Empty when it is restored: their splits are in their state.
    pub source_splits: Vec<(OperatorId, Vec<SourceSplit>)>,
    /// The state to begin with; None: empty.
    pub restore: Option<TaskRestore>,
}

/// One channel into a task. On the data connection it is named by the consumer's attempt, the
/// edge, the producer's subtask and the consumer's subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputChannelDeployment {
    /// The edge's index in the graph.
    pub edge: u32,
    /// The input of the head operator: 0 or 1.
    pub input: u8,
    /// The producing subtask.
    pub producer_subtask: u32,
    /// Its execution.
    pub producer_attempt: ExecutionAttemptId,
    /// The data address of its TaskManager.
    pub producer_address: String,
}

/// One edge out of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDeployment {
    /// The edge's index in the graph.
    pub edge: u32,
    /// The producing operator's index in the vertex.
    pub operator_index: u32,
    /// None: its main output; else the side output's name.
    pub tag: Option<String>,
    /// How rows find their channel.
    pub ship: ShipStrategy,
    /// Parallelism of the consuming vertex.
    pub consumer_parallelism: u32,
    /// Number of key groups of the consuming vertex.
    pub consumer_max_parallelism: u32,
    /// The consuming subtasks that this task has a channel to, ascending.
    pub channels: Vec<ConsumerChannel>,
}

/// One channel out of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerChannel {
    /// The consuming subtask.
    pub consumer_subtask: u32,
    /// Its execution.
    pub consumer_attempt: ExecutionAttemptId,
    /// The data address of its TaskManager.
    pub consumer_address: String,
}
