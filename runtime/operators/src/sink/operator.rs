//! The operator that runs a sink: carries its committables through checkpoints.
//!
//! What a writer describes at a barrier waits here, by checkpoint, and is part of that checkpoint
//! and of all later ones until it was committed. A published checkpoint commits all that waits up
//! to it, oldest first. What a restored checkpoint holds was published with it, so it is committed
//! before anything else is done.

use std::sync::Arc;

use thalweg_core::Batch;
use thalweg_core::ids::CheckpointId;
use thalweg_state::RunWriter;

use super::pending::{PendingCommit, SinkState};
use super::{PrepareCommit, Sink, SinkContext, SinkWriter};
use crate::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RunContext, SnapshotContext,
};

/// A writer that has rows which weren't flushed is flushed after this time, in ms.
const FLUSH_AFTER_MS: i64 = 100;

/// Runs a sink on one subtask.
pub struct SinkDriver<S: Sink> {
    sink: Arc<S>,
    writer: Option<Box<dyn SinkWriter<S::Row>>>,
    state: Option<SinkState>,
    /// What waits for its checkpoint, oldest first.
    pending: Vec<PendingCommit>,
    /// When the writer is to be flushed: ms since 1970. None: nothing was written since.
    flush_at: Option<i64>,
}

impl<S: Sink> SinkDriver<S> {
    /// An operator for `sink`.
    pub fn new(sink: Arc<S>) -> Self {
        Self { sink, writer: None, state: None, pending: Vec::new(), flush_at: None }
    }

    fn writer(&mut self) -> Result<&mut Box<dyn SinkWriter<S::Row>>, OperatorError> {
        self.writer.as_mut().ok_or_else(|| OperatorError::Sink(SinkDriverError::NotOpen.into()))
    }

    fn prepare(&mut self, request: PrepareCommit) -> Result<(), OperatorError> {
        let committables = self.writer()?.prepare_commit(request).map_err(OperatorError::Sink)?;
        self.flush_at = None;
        if !committables.is_empty() {
            let checkpoint = request.checkpoint.unwrap_or_default().0;
            self.pending.push(PendingCommit { checkpoint, committables });
        }
        Ok(())
    }

    /// Commits what waits for checkpoints up to `last`. What fails stays.
    fn commit_up_to(&mut self, last: CheckpointId) -> Result<(), OperatorError> {
        while self.pending.first().is_some_and(|first| first.checkpoint <= last.0) {
            let committables = std::mem::take(&mut self.pending[0].committables);
            if let Err(error) = self.writer()?.commit(&committables) {
                self.pending[0].committables = committables;
                return Err(OperatorError::Sink(error));
            }
            self.pending.remove(0);
        }
        Ok(())
    }
}

impl<S: Sink> std::fmt::Debug for SinkDriver<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkDriver").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl<S: Sink> Operator for SinkDriver<S> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut state = SinkState::open(context)?;
        let of_sink = SinkContext {
            job: context.job.clone(),
            operator: context.operator,
            subtask: context.subtask,
            checkpointing: context.checkpointing,
            restored_from: state.restored_from()?,
            stores: context.stores.clone(),
            clock: context.clock.clone(),
            wake: context.wake.clone(),
            metrics: context.metrics.clone(),
        };
        self.writer = Some(self.sink.writer(&of_sink).map_err(OperatorError::Sink)?);
        self.pending = state.take()?;
        self.state = Some(state);
        self.commit_up_to(CheckpointId(u64::MAX))
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows = std::mem::replace(batch, Batch::from_values(Vec::<S::Row>::new()));
        self.writer()?.write(rows).map_err(OperatorError::Sink)?;
        let flush_at = context.processing_time.saturating_add(FLUSH_AFTER_MS);
        self.flush_at.get_or_insert(flush_at);
        Ok(())
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.flush_at
    }

    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.flush_at.is_some_and(|due| due <= context.processing_time) {
            self.flush_at = None;
            self.writer()?.flush().map_err(OperatorError::Sink)?;
        }
        Ok(Progress::Done)
    }

    fn end_of_input(
        &mut self,
        _input: usize,
        _context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.flush_at = None;
        self.writer()?.flush().map_err(OperatorError::Sink)?;
        Ok(Progress::Done)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        let checkpoint = Some(context.checkpoint);
        self.prepare(PrepareCommit { checkpoint, input_ended: context.input_ended })?;
        match &mut self.state {
            Some(state) => Ok(state.write(self.pending.clone(), context.checkpoint, writer)?),
            None => Err(OperatorError::Sink(SinkDriverError::NotOpen.into())),
        }
    }

    fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.commit_up_to(checkpoint)
    }

    fn commit_without_checkpoints(&mut self) -> Result<(), OperatorError> {
        self.prepare(PrepareCommit { checkpoint: None, input_ended: true })?;
        self.commit_up_to(CheckpointId(u64::MAX))
    }

    fn close(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.close();
        }
        self.flush_at = None;
    }
}

/// The operator was driven wrongly.
#[derive(Debug, thiserror::Error)]
enum SinkDriverError {
    #[error("the sink was used while it wasn't open; this is a bug in the engine")]
    NotOpen,
}
