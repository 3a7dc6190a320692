//! What a connector implements to be a sink.

use std::sync::Arc;

use thalweg_core::clock::Clock;
use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_core::job_graph::DeliveryGuarantee;
use thalweg_core::{Batch, Record};
use thalweg_storage::BlobStoreOpener;

use crate::contract::{FunctionResult, JobInfo, OperatorMetrics, SubtaskInfo, WakeHandle};

/// Where rows go.
pub trait Sink: Send + Sync + 'static {
    /// The type of its rows.
    type Row: Record;

    /// What it promises.
    fn guarantee(&self) -> DeliveryGuarantee;

    /// A writer for one subtask. Called on the task's thread.
    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<Self::Row>>>;
}

/// What a writer is told about where it runs.
#[derive(Clone)]
pub struct SinkContext {
    /// The job.
    pub job: JobInfo,
    /// The sink's operator id: tells the output of two sinks of one job apart.
    pub operator: OperatorId,
    /// The subtask and its attempt.
    pub subtask: SubtaskInfo,
    /// Whether checkpoints are taken: else the one commit is at the end of input.
    pub checkpointing: bool,
    /// The checkpoint that the job starts from.
    pub restored_from: Option<CheckpointId>,
    /// Opens stores that output goes to.
    pub stores: Arc<dyn BlobStoreOpener>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the task.
    pub wake: WakeHandle,
    /// The sink's counters.
    pub metrics: Arc<OperatorMetrics>,
}

impl std::fmt::Debug for SinkContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SinkContext({}, {:?})", self.operator, self.subtask)
    }
}

/// What is committed once its checkpoint was published: opaque but to the sink. Survives in the
/// checkpoint, so it is versioned by whoever writes it.
pub type Committable = Vec<u8>;

/// What a commit is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareCommit {
    /// The checkpoint that will hold the committables. None: checkpoints are off, and this is the
    /// one commit at the end of input. Ids rise, but after a restart those that weren't published
    /// may come again.
    pub checkpoint: Option<CheckpointId>,
    /// Whether no row follows.
    pub input_ended: bool,
}

/// Writes the rows of one subtask.
pub trait SinkWriter<T>: Send {
    /// Writes all rows of the batch.
    fn write(&mut self, batch: Batch) -> FunctionResult;

    /// Rows should reach the outside now, as far as they can without a commit: called when the
    /// input pauses.
    fn flush(&mut self) -> FunctionResult {
        Ok(())
    }

    /// Closes what was written since the last call and describes how to commit it. What is
    /// described is durable when this returns. Called at the end of input too, and then again when
    /// that checkpoint failed.
    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        let _ = request;
        self.flush()?;
        Ok(Vec::new())
    }

    /// Makes it visible. Committing what is committed already is a success: it is called again
    /// after a restart, and then perhaps on another subtask than the one that wrote it.
    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        let _ = committables;
        Ok(())
    }

    /// Called once at the end, also after a failure: what wasn't described is thrown away.
    fn close(&mut self) {}
}
