//! Timestamps and watermarks in the middle of a stream (`assign_timestamps_and_watermarks`).
//!
//! Watermarks that come from upstream end here; the one after the end of all input goes on. Each
//! subtask has one generator over all rows that reach it, whichever their channel: prefer a
//! strategy at the source, whose watermarks are per split.

use thalweg_core::element::{Control, MIN_WATERMARK, Watermark};
use thalweg_core::{Batch, Record};
use thalweg_state::{OperatorListState, OperatorState, RunWriter};

use super::idleness::ceil_ms;
use super::stamp::Stamper;
use super::{WatermarkGenerator, WatermarkStrategy};
use crate::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RunContext, SnapshotContext,
};

/// The time without rows is looked at in so many pieces. A look that comes late by more than a
/// piece was held up by back pressure, and its piece counts no more than one that was in time.
const PIECES: u32 = 4;

/// Gives rows their timestamps and makes watermarks.
pub struct AssignTimestamps<T> {
    stamper: Stamper<T>,
    generator: WatermarkGenerator,
    watermark: Watermark,
    idle: bool,
    /// Pieces of the idleness time in which no row came.
    quiet: u32,
    /// When the next piece ends: ms since 1970.
    next_look: Option<i64>,
    rows_seen: bool,
    /// The highest timestamp in snapshots: which row is late doesn't depend on restarts.
    state: Option<(OperatorState, OperatorListState<i64>)>,
}

impl<T: Record> AssignTimestamps<T> {
    /// An operator for `strategy`. Rows for which it gives no timestamp keep their own.
    pub fn new(strategy: WatermarkStrategy<T>) -> Self {
        Self {
            generator: strategy.generator(),
            stamper: Stamper::new(strategy),
            watermark: MIN_WATERMARK,
            idle: false,
            quiet: 0,
            next_look: None,
            rows_seen: false,
            state: None,
        }
    }

    fn piece_ms(&self) -> Option<i64> {
        let idleness = self.stamper.strategy().idleness()?;
        Some(ceil_ms(idleness / PIECES).max(1))
    }

    fn advance(&mut self, output: &mut Output) {
        let watermark = self.generator.watermark();
        if watermark > self.watermark {
            self.watermark = watermark;
            output.emit_watermark(watermark);
        }
    }
}

impl<T> std::fmt::Debug for AssignTimestamps<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssignTimestamps")
            .field("generator", &self.generator)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl<T: Record> Operator for AssignTimestamps<T> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let highest = state.list_state("highest-timestamp")?;
        // Several after a change of the parallelism: the lowest, so that no row becomes late that
        // wasn't.
        if let Some(lowest) = highest.get(&state)?.iter().copied().min() {
            self.generator.restore(lowest);
        }
        self.state = Some((state, highest));
        let now = context.clock.wall_ms();
        self.next_look = self.piece_ms().map(|piece| now.saturating_add(piece));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        if output.is_full() || batch.is_empty() {
            return Ok(());
        }
        self.rows_seen = true;
        if std::mem::take(&mut self.idle) {
            output.emit_control(Control::Active);
            let now = context.processing_time;
            self.next_look = self.piece_ms().map(|piece| now.saturating_add(piece));
        }
        let batch = std::mem::replace(batch, Batch::from_values(Vec::<T>::new()));
        let (rows, columns) = batch.into_parts::<T>()?;
        self.stamper.emit(rows, columns, &mut self.generator, context.metrics, output);
        self.advance(output);
        Ok(())
    }

    fn makes_watermarks(&self) -> bool {
        true
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.next_look.filter(|_| !self.idle)
    }

    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some(piece) = self.piece_ms() else { return Ok(Progress::Done) };
        if self.next_look.is_none_or(|due| due > context.processing_time) {
            return Ok(Progress::Done);
        }
        self.next_look = Some(context.processing_time.saturating_add(piece));
        if std::mem::take(&mut self.rows_seen) {
            self.quiet = 0;
            return Ok(Progress::Done);
        }
        self.quiet += 1;
        if self.quiet >= PIECES {
            self.quiet = 0;
            self.idle = true;
            output.emit_control(Control::Idle);
        }
        Ok(Progress::Done)
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        if let Some((state, highest)) = &mut self.state {
            highest.update(state, vec![self.generator.highest()])?;
            state.snapshot(writer).map_err(thalweg_state::StateError::from)?;
        }
        Ok(())
    }
}
