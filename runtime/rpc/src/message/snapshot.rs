//! What a task says about its part of a checkpoint and what it is told to restore from. Not here:
//! what is in the bytes (`thalweg-state`) and the manifest that is published (`thalweg-storage`).

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;

/// Where the bytes of a snapshot are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotData {
    /// A part of an object in the checkpoint directory.
    Object {
        /// The object's path in the store.
        path: String,
        /// Where the part begins.
        offset: u64,
        /// The length of the whole object; None if it isn't known (see the manifest).
        object_length: Option<u64>,
    },
    /// Here. For small ones: they go into the manifest.
    Inline(Vec<u8>),
}

/// A snapshot of one operator of one subtask, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHandle {
    /// The operator.
    pub operator: OperatorId,
    /// The key groups in it, when it holds keyed state and nothing else. None: it also or only
    /// holds state that isn't keyed (operator state, a source's splits, a sink's committables);
    /// then every subtask is given it on a restore and reads what it needs.
    pub key_groups: Option<KeyGroupRange>,
    /// Where the bytes are.
    pub data: SnapshotData,
    /// Number of the bytes.
    pub length: u64,
    /// CRC-32C over the bytes.
    pub crc32c: u32,
}

/// How a checkpoint went in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckpointMeasures {
    /// From the trigger on the JobManager to the first barrier here.
    pub start_delay_ms: u64,
    /// From the first barrier to the last.
    pub alignment_ms: u64,
    /// How long the task's thread was busy with the snapshot.
    pub synchronous_ms: u64,
    /// From then on until the bytes were durable.
    pub asynchronous_ms: u64,
    /// Bytes written for this checkpoint.
    pub checkpointed_bytes: u64,
    /// Bytes that a restore would read.
    pub state_bytes: u64,
    /// Bytes processed between the first barrier and the last.
    pub processed_bytes: u64,
}

/// A task's part of a checkpoint is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAck {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The task's execution.
    pub attempt: ExecutionAttemptId,
    /// Its operators' snapshots; operators without state have none. A delta follows the base and
    /// the deltas that it goes on from, which earlier checkpoints wrote.
    pub handles: Vec<SnapshotHandle>,
    /// The task had processed all its input and finished its operators when it took the snapshot:
    /// once this checkpoint is published, it commits and ends.
    pub input_ended: bool,
    /// How it went.
    pub measures: CheckpointMeasures,
}

/// Why a task can't take part in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclineReason {
    /// The task isn't running yet or any more.
    NotReady,
    /// A barrier of a later checkpoint came first.
    Superseded,
    /// Writing the snapshot failed; the task itself goes on.
    Failed(String),
}

/// A task declines a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointDecline {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The task's execution.
    pub attempt: ExecutionAttemptId,
    /// Why.
    pub reason: DeclineReason,
}

/// What a task starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRestore {
    /// The checkpoint restored from.
    pub checkpoint: CheckpointId,
    /// The task had finished its operators in that checkpoint: its sinks commit again what they
    /// find in their state, nothing else runs; it sends the end of input and ends at once, without
    /// waiting for another checkpoint, unless it `rewrites`.
    pub finished: bool,
    /// One that had finished ends only after a checkpoint that it has taken part in: later ones
    /// couldn't refer to its state as it is.
    pub rewrites: bool,
    /// The store that the snapshots are in, when it isn't the job's own: a savepoint, or another
    /// job's checkpoint. It belongs to the user: nothing may be written to it, nor may a later
    /// checkpoint refer to it.
    pub directory: Option<String>,
    /// Its operators' state. Operators without any aren't listed.
    pub operators: Vec<OperatorRestore>,
}

/// One operator's state to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRestore {
    /// The operator.
    pub operator: OperatorId,
    /// How many subtasks it had when the snapshot was taken.
    pub old_parallelism: u32,
    /// Purely keyed pieces that overlap the task's key groups (only these groups are to be read),
    /// and every other piece: of those the operator takes its share. A subtask's deltas follow
    /// their base.
    pub pieces: Vec<RestorePiece>,
}

/// A snapshot of one old subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePiece {
    /// The subtask that wrote it.
    pub old_subtask: u32,
    /// The snapshot.
    pub handle: SnapshotHandle,
}
