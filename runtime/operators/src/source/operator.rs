//! The operator that runs a source: reads its splits and does for every source what all need.
//!
//! One poll reads one split once (or finds that nothing can be read), gives the rows their
//! timestamps, emits them, and then the watermark if it rose. The vector that the reader filled
//! goes on as it is: a row is never copied here.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::{Control, MIN_WATERMARK, Watermark};
use thalweg_core::{Batch, Columns};
use thalweg_state::RunWriter;

use super::rate::RateLimit;
use super::split_state::{SplitState, SplitStates};
use super::splits::Splits;
use super::{BadRecord, BadRecords, Boundedness, ReadBuffer, ReadStatus, ReaderContext};
use super::{Source, SourceOptions};
use crate::contract::{
    FunctionError, OpenContext, OperatorError, OperatorMetrics, Output, RunContext,
    SnapshotContext, SourceOperator, SourceStatus,
};
use crate::time::idleness::{WaitingClock, ceil_ms};
use crate::time::stamp::Stamper;

/// Runs a source on one subtask.
pub struct SourceDriver<S: Source> {
    source: Arc<S>,
    options: SourceOptions<S::Row>,
    stamper: Stamper<S::Row>,
    /// None: not opened, or closed.
    opened: Option<Opened<S::Row>>,
}

/// What exists while it is open.
struct Opened<T> {
    context: ReaderContext,
    remembered: SplitStates,
    splits: Splits<T>,
    rate: Option<RateLimit>,
    /// After how long a split is idle; only of unbounded sources.
    idle_after: Option<Duration>,
    waiting: WaitingClock,
    buffer: ReadBuffer<T>,
    /// Rows that the last read found: what to reserve for the next.
    expected_rows: usize,
    watermark: Watermark,
    idle: bool,
}

impl<S: Source> SourceDriver<S> {
    /// An operator for `source`. The rate of `options` is that of all its subtasks together.
    pub fn new(source: Arc<S>, options: SourceOptions<S::Row>) -> Self {
        let stamper = Stamper::new(options.watermarks.clone());
        Self { source, options, stamper, opened: None }
    }
}

impl<S: Source> std::fmt::Debug for SourceDriver<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceDriver")
            .field("options", &self.options)
            .field("splits", &self.opened.as_ref().map(|opened| &opened.splits))
            .finish_non_exhaustive()
    }
}

/// A subtask's part of the source's rate: as large as its part of the splits.
fn rate_share(own: &[SplitState], parallelism: u32) -> f64 {
    match own.first().map(|split| split.total) {
        Some(total) if total > 0 => own.len() as f64 / f64::from(total),
        _ => 1.0 / f64::from(parallelism.max(1)),
    }
}

impl<S: Source> SourceOperator for SourceDriver<S> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let new = std::mem::take(&mut context.splits);
        let mut remembered = SplitStates::open(context)?;
        let states = match &context.restored {
            Some(_) => remembered.take()?,
            None => new.into_iter().map(Into::into).collect(),
        };
        let bounded = self.source.boundedness() == Boundedness::Bounded;
        let strategy = self.stamper.strategy();
        let share = rate_share(&states, context.subtask.parallelism);
        self.opened = Some(Opened {
            context: ReaderContext {
                subtask: context.subtask,
                clock: context.clock.clone(),
                wake: context.wake.clone(),
            },
            remembered,
            splits: Splits::new(states, bounded, || strategy.generator()),
            rate: self.options.rate.and_then(|rate| RateLimit::new(rate * share)),
            idle_after: strategy.idleness().filter(|_| !bounded),
            waiting: WaitingClock::default(),
            buffer: ReadBuffer::default(),
            expected_rows: 0,
            watermark: MIN_WATERMARK,
            idle: false,
        });
        Ok(())
    }

    fn poll(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<SourceStatus, OperatorError> {
        let Some(opened) = &mut self.opened else {
            return Err(OperatorError::Source(SourceDriverError::NotOpen.into()));
        };
        let room = output.room();
        if room == 0 {
            return Ok(SourceStatus::More);
        }
        let elapsed = match opened.rate.is_some() || opened.idle_after.is_some() {
            true => opened.context.clock.elapsed(),
            false => Duration::ZERO,
        };
        let max_rows = match &mut opened.rate {
            Some(rate) => rate.available(elapsed).min(room),
            None => room,
        };
        let waited = opened.waiting.look(elapsed);
        if max_rows == 0 && !opened.splits.all_finished() {
            let wait = opened.rate.as_ref().map_or(Duration::ZERO, RateLimit::wait);
            return Ok(opened.pending(Some(wait), context.processing_time, waited));
        }
        while let Some(index) = opened.splits.next(context.processing_time) {
            let status = opened.read(index, max_rows, &*self.source)?;
            let found = opened.buffer.rows.len();
            opened.bad_records(&self.options.bad_records, context.metrics, output)?;
            if found > 0 {
                opened.activate(index, output);
                opened.emit(index, &mut self.stamper, context.metrics, output);
            } else if matches!(status, ReadStatus::Pending { .. }) {
                opened.nothing_there(index, waited);
                continue;
            }
            opened.see_idleness(waited, output);
            opened.advance(output);
            return Ok(match opened.splits.all_finished() {
                true => SourceStatus::End,
                false => SourceStatus::More,
            });
        }
        opened.see_idleness(waited, output);
        opened.advance(output);
        if opened.splits.all_finished() {
            return Ok(SourceStatus::End);
        }
        Ok(opened.pending(None, context.processing_time, waited))
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        let Some(opened) = &mut self.opened else {
            return Err(OperatorError::Source(SourceDriverError::NotOpen.into()));
        };
        Ok(opened.remembered.write(opened.splits.states(), writer)?)
    }

    fn close(&mut self) {
        self.opened = None;
    }
}

impl<T: thalweg_core::Record> Opened<T> {
    fn read<S: Source<Row = T>>(
        &mut self,
        index: usize,
        max_rows: usize,
        source: &S,
    ) -> Result<ReadStatus, OperatorError> {
        self.buffer.rows.reserve_exact(self.expected_rows.min(max_rows));
        let read = self.splits.read(index, max_rows, source, &self.context, &mut self.buffer);
        let status = read.map_err(OperatorError::Source)?;
        self.expected_rows = self.buffer.rows.len();
        if let Some(rate) = &mut self.rate {
            rate.take(self.buffer.rows.len());
        }
        Ok(status)
    }

    fn bad_records(
        &mut self,
        policy: &BadRecords,
        metrics: &OperatorMetrics,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        if self.buffer.bad.is_empty() {
            return Ok(());
        }
        let bad: Vec<BadRecord> = std::mem::take(&mut self.buffer.bad);
        metrics.add_record_errors(bad.len() as u64);
        match policy {
            BadRecords::Fail => match bad.into_iter().next() {
                Some(first) => Err(OperatorError::Source(FunctionError::from(first))),
                None => Ok(()),
            },
            BadRecords::Skip => Ok(()),
            BadRecords::DeadLetter(side) => {
                output.emit_side(side.name(), Batch::from_values(bad));
                Ok(())
            }
        }
    }

    fn emit(
        &mut self,
        index: usize,
        stamper: &mut Stamper<T>,
        metrics: &OperatorMetrics,
        output: &mut Output,
    ) {
        let rows = std::mem::take(&mut self.buffer.rows);
        let generator = &mut self.splits.get_mut(index).generator;
        stamper.emit(rows, Columns::default(), generator, metrics, output);
    }

    /// Rows came: the split counts again, and so does the whole source.
    fn activate(&mut self, index: usize, output: &mut Output) {
        self.splits.get_mut(index).idleness.rows();
        if std::mem::take(&mut self.idle) {
            output.emit_control(Control::Active);
        }
    }

    fn nothing_there(&mut self, index: usize, waited: Duration) {
        if let Some(after) = self.idle_after {
            self.splits.get_mut(index).idleness.empty(waited, after);
        }
    }

    /// Splits that have been empty for long become idle.
    fn see_idleness(&mut self, waited: Duration, output: &mut Output) {
        let Some(after) = self.idle_after else { return };
        let (mut any, mut all) = (false, true);
        for split in self.splits.unfinished_mut() {
            if split.idleness.is_empty() {
                split.idleness.empty(waited, after);
            }
            any = true;
            all &= split.idleness.is_idle();
        }
        if any && all && !std::mem::replace(&mut self.idle, true) {
            output.emit_control(Control::Idle);
        }
    }

    /// Emits the watermark if it rose.
    fn advance(&mut self, output: &mut Output) {
        if let Some(watermark) = self.splits.watermark()
            && watermark > self.watermark
        {
            self.watermark = watermark;
            output.emit_watermark(watermark);
        }
    }

    /// Nothing now: says when to look again.
    fn pending(&mut self, wait: Option<Duration>, now_ms: i64, waited: Duration) -> SourceStatus {
        let after = self.idle_after;
        let idle = after.and_then(|after| {
            self.splits.unfinished().filter_map(|s| s.idleness.due(waited, after)).min()
        });
        let in_time = wait.into_iter().chain(idle).min();
        let until = in_time.map(|wait| now_ms.saturating_add(ceil_ms(wait).max(1)));
        // While the rate holds it back, what readers want doesn't matter.
        let due = if wait.is_some() { None } else { self.splits.due() };
        let until = until.into_iter().chain(due).min();
        let wait_ms = until.map(|until| until.saturating_sub(now_ms).max(0));
        self.waiting.wait(wait_ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms as u64)));
        SourceStatus::Pending { until }
    }
}

/// The operator was driven wrongly.
#[derive(Debug, thiserror::Error)]
enum SourceDriverError {
    #[error("the source was used while it wasn't open; this is a bug in the engine")]
    NotOpen,
}
