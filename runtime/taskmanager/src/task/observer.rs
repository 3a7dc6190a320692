//! What a task tells its surroundings. The calls never wait: what they lead to (uploads,
//! messages) happens elsewhere.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::Barrier;
use thalweg_core::ids::CheckpointId;
use thalweg_core::status::ExecutionState;
use thalweg_operators::chain::{ChainSnapshot, RunPart};
use thalweg_rpc::message::{Accumulator, DeclineReason, FailureInfo};
use thalweg_state::Reservation;

/// A snapshot on its way out of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSnapshot {
    /// What the operators remember.
    pub chain: ChainSnapshot,
    /// From the trigger on the JobManager to the first barrier here.
    pub start_delay_ms: u64,
    /// From the first barrier to the last.
    pub alignment: Duration,
    /// Bytes processed meanwhile.
    pub alignment_bytes: u64,
    /// How long the task did nothing else, while the barrier passed its operators.
    pub synchronous: Duration,
    /// When that was over, on the task's clock. Since then it has written its state in slices.
    pub taken: Duration,
}

/// A piece of a snapshot that isn't complete.
#[derive(Debug, Clone)]
pub struct SnapshotPart {
    /// The barrier that asked for it.
    pub barrier: Barrier,
    /// The piece.
    pub part: RunPart,
    /// Room for it among what is being uploaded, until it's stored.
    pub room: Option<Arc<Reservation>>,
}

impl PartialEq for SnapshotPart {
    fn eq(&self, other: &Self) -> bool {
        self.barrier == other.barrier && self.part == other.part
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskOutcome {
    /// All input was processed and everything is committed.
    Finished {
        /// What its operators hand to the caller of `execute`.
        results: Vec<Accumulator>,
    },
    /// It was told to end.
    Canceled,
    /// It can't go on.
    Failed(FailureInfo),
}

/// What a task tells.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// INITIALIZING or RUNNING; ends come as [`TaskEvent::Ended`].
    StateChanged(ExecutionState),
    /// All input was processed; it waits for a checkpoint after that to be published.
    InputEnded,
    /// A piece of a large run of its part of a checkpoint, to be uploaded while it goes on.
    SnapshotPart(Box<SnapshotPart>),
    /// There will be no more of its part of a checkpoint: what went ahead can be thrown away.
    SnapshotAborted(CheckpointId),
    /// Its part of a checkpoint, to be made durable and acknowledged.
    SnapshotTaken(Box<TaskSnapshot>),
    /// It can't take part in a checkpoint.
    CheckpointDeclined(CheckpointId, DeclineReason),
    /// It has ended: the last event.
    Ended(TaskOutcome),
}

/// Listens to one task. Called on the task's thread.
pub trait TaskObserver: Send + Sync {
    /// Something has happened; must not wait.
    fn observe(&self, event: TaskEvent);
}

impl<F: Fn(TaskEvent) + Send + Sync> TaskObserver for F {
    fn observe(&self, event: TaskEvent) {
        self(event);
    }
}
