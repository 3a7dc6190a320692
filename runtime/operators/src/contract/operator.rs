//! The two kinds of operator: one that is fed ([`Operator`]) and one that begins
//! ([`SourceOperator`]).

use thalweg_core::Batch;
use thalweg_core::element::Watermark;
use thalweg_core::ids::CheckpointId;
use thalweg_state::EncodingBudget;
use thalweg_state::run::RunWriter;

use super::{OpenContext, OperatorError, Output, RunContext};

/// Whether a call did all it had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// All done.
    Done,
    /// The output was full: call again with the same arguments once it was carried away.
    More,
}

impl Progress {
    /// Of something that's complete or not.
    pub(crate) fn of(complete: bool) -> Progress {
        if complete { Progress::Done } else { Progress::More }
    }
}

/// What a snapshot is taken for.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotContext {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The time of day: ms since 1970.
    pub processing_time: i64,
    /// Whether all input has ended: this snapshot is followed by no row.
    pub input_ended: bool,
}

/// An operator that rows are fed to.
pub trait Operator: Send {
    /// Declares its states and gets ready. State of an earlier run is back when this returns.
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let _ = context;
        Ok(())
    }

    /// Takes rows off the front of `batch`, which came in at `input` (0, or 1 for the second
    /// input). Stops early only when `output` is full; what is left is given again.
    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError>;

    /// Whether it holds back part of what the last row gives, since the output was full: then
    /// [`Self::process`] is called again, with a batch that may be empty.
    fn holds_back(&self) -> bool {
        false
    }

    /// Event time has reached `watermark` (the minimum over its inputs): fires what is due.
    /// When this is done the watermark goes on downstream, unless [`Self::makes_watermarks`].
    fn watermark(
        &mut self,
        watermark: Watermark,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let _ = (watermark, context, output);
        Ok(Progress::Done)
    }

    /// Whether it emits watermarks of its own, in place of those that reach it. The one after the
    /// end of all input always goes on.
    fn makes_watermarks(&self) -> bool {
        false
    }

    /// When [`Self::processing_time`] wants to be called next: ms since 1970.
    fn next_processing_time(&self) -> Option<i64> {
        None
    }

    /// The time of day has reached what was asked for: fires what is due by
    /// `context.processing_time`.
    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let _ = (context, output);
        Ok(Progress::Done)
    }

    /// No row follows at `input`. The last watermark was given before.
    fn end_of_input(
        &mut self,
        input: usize,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let _ = (input, context, output);
        Ok(Progress::Done)
    }

    /// Writes all that it remembers. A sink pre-commits here. Of large states only what belongs to
    /// the snapshot is settled here: they're written by [`encode`](Self::encode).
    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        let _ = (context, writer);
        Ok(())
    }

    /// Goes on with the snapshot that it was asked for last, in this slice.
    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let _ = (writer, budget);
        Ok(Progress::Done)
    }

    /// There will be no more of the snapshot that it was asked for last.
    fn abort_snapshot(&mut self) {}

    /// The checkpoint was published. A sink commits what it pre-committed up to it. May be called
    /// again for the same checkpoint.
    fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let _ = checkpoint;
        Ok(())
    }

    /// All input has ended and no checkpoint will follow, since checkpoints are off: a sink makes
    /// everything visible now.
    fn commit_without_checkpoints(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }

    /// What it hands to the caller of `execute`, by name: asked for once, after the end of input
    /// and the last commit. A few MiB at most: it travels in one message.
    fn results(&mut self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// Bytes of state it holds now, for metrics and budgets.
    fn state_bytes(&self) -> usize {
        0
    }

    /// Called once at the end, also after a failure.
    fn close(&mut self) {}
}

/// What a source has to say after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceStatus {
    /// There is more at once.
    More,
    /// Nothing now. Poll again when woken, or at this time (ms since 1970) at the latest.
    Pending {
        /// None: only when woken.
        until: Option<i64>,
    },
    /// All splits are read to their ends, and the last watermark was emitted.
    End,
}

/// An operator that begins a stream.
pub trait SourceOperator: Send {
    /// Opens the splits that it was given, or goes on with those of an earlier run.
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError>;

    /// Reads on until `output` is full or nothing is there. Never blocks.
    fn poll(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<SourceStatus, OperatorError>;

    /// Writes its splits and their positions.
    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError>;

    /// The checkpoint was published.
    fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let _ = checkpoint;
        Ok(())
    }

    /// Called once at the end, also after a failure.
    fn close(&mut self) {}
}
