//! What all operators with keyed functions do: state and timers per key are opened, rows are given
//! with their key, timers are fired, all of it is written. Which functions those are, and from how
//! many inputs rows come, is the operators' business.

use std::sync::Arc;

use thalweg_core::element::{MIN_WATERMARK, Watermark};
use thalweg_core::{Batch, Key, Record};
use thalweg_state::{EncodingBudget, KeyedState, RunWriter, TimerService};

use super::KeySelector;
use super::keyed_context::{KeyedContext, KeyedOpen, TimeDomain};
use super::look_ahead::LookAhead;
use crate::contract::{
    Collector, FunctionResult, OpenContext, OperatorError, Output, Progress, RowBuffer, RunContext,
    SnapshotContext, SubtaskInfo,
};

/// Expired state is looked for as if so many rows had been processed when a snapshot is taken:
/// also where no rows come any more. It takes less than a millisecond.
const CLEANUP_ROWS: usize = 16 * 1024;

/// Makes a keyed function, once per subtask.
pub type MakeKeyed<K, F> = Arc<dyn Fn(&mut KeyedOpen<'_, K>) -> FunctionResult<F> + Send + Sync>;

/// A function's answer to a timer.
pub(super) type OnTimer<K, O, F> =
    fn(&mut F, i64, TimeDomain, &mut KeyedContext<'_, K>, &mut Collector<'_, O>) -> FunctionResult;

/// State and timers of a keyed operator, and how they are opened, fired and written.
struct Keyed<K: Key> {
    state: KeyedState<K>,
    timers: TimerService<K, ()>,
    watermark: Watermark,
}

impl<K: Key> Keyed<K> {
    fn open(context: &OpenContext<'_>) -> Result<Self, OperatorError> {
        let SubtaskInfo { key_groups, max_parallelism, .. } = context.subtask;
        let mut state = KeyedState::new(key_groups, max_parallelism, context.restored.clone())?;
        state.set_budget(&context.state_budget)?;
        state.set_processing_time(context.clock.wall_ms());
        let restored = context.restored.as_ref();
        let mut timers = TimerService::new("timers", key_groups, max_parallelism, restored)?;
        timers.set_budget(&context.state_budget)?;
        Ok(Self { state, timers, watermark: MIN_WATERMARK })
    }

    fn context(&mut self, timestamp: Option<i64>, run: &RunContext<'_>) -> KeyedContext<'_, K> {
        KeyedContext {
            state: &mut self.state,
            timers: &mut self.timers,
            timestamp,
            watermark: self.watermark,
            processing_time: run.processing_time,
        }
    }

    /// Fires what is due, one timer at a time, until the output is full.
    fn fire<O: Record>(
        &mut self,
        domain: TimeDomain,
        up_to: i64,
        run: &RunContext<'_>,
        buffer: &mut RowBuffer<O>,
        output: &mut Output,
        mut on: impl FnMut(i64, &mut KeyedContext<'_, K>, &mut Collector<'_, O>) -> FunctionResult,
    ) -> Result<Progress, OperatorError> {
        if domain == TimeDomain::EventTime {
            self.watermark = self.watermark.max(up_to);
        }
        self.state.set_processing_time(run.processing_time);
        let mut fired = 0;
        while !buffer.fills(output) {
            let timer = match domain {
                TimeDomain::EventTime => self.timers.pop_event_time(up_to),
                TimeDomain::ProcessingTime => self.timers.pop_processing_time(up_to),
            };
            let Some(timer) = timer else {
                buffer.flush(output);
                self.state.clean_up(fired)?;
                return Ok(Progress::Done);
            };
            fired += 1;
            self.state.set_current_key(timer.key, timer.hash);
            let timestamp = (domain == TimeDomain::EventTime).then_some(timer.time);
            let mut context = self.context(timestamp, run);
            let mut out = Collector::new(buffer, output, timestamp);
            on(timer.time, &mut context, &mut out).map_err(OperatorError::Function)?;
        }
        buffer.flush(output);
        self.state.clean_up(fired)?;
        Ok(Progress::More)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.state.set_processing_time(context.processing_time);
        self.state.clean_up(CLEANUP_ROWS)?;
        self.state.snapshot(writer)?;
        Ok(self.timers.snapshot(writer)?)
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let complete = self.state.encode(writer, budget)? && self.timers.encode(writer, budget)?;
        Ok(Progress::of(complete))
    }

    fn abort_snapshot(&mut self) {
        self.state.abort_snapshot();
        self.timers.abort_snapshot();
    }

    fn bytes(&self) -> usize {
        self.state.bytes() + self.timers.bytes()
    }
}

/// A keyed function at work.
pub(super) struct KeyedRun<K: Key, O, F> {
    make: MakeKeyed<K, F>,
    opened: Option<(F, Keyed<K>)>,
    buffer: RowBuffer<O>,
}

impl<K: Key, O: Record, F> KeyedRun<K, O, F> {
    /// For the function that `make` makes.
    pub(super) fn new(make: MakeKeyed<K, F>) -> Self {
        Self { make, opened: None, buffer: RowBuffer::default() }
    }

    pub(super) fn open(&mut self, context: &OpenContext<'_>) -> Result<(), OperatorError> {
        let mut keyed = Keyed::open(context)?;
        let mut open = KeyedOpen { state: &mut keyed.state, subtask: context.subtask };
        let function = (self.make)(&mut open).map_err(OperatorError::Function)?;
        self.opened = Some((function, keyed));
        Ok(())
    }

    /// Takes rows off the batch and gives each to `call`, with its key, until the output is full.
    #[inline]
    pub(super) fn rows<T: Record>(
        &mut self,
        key_of: &impl KeySelector<T, K>,
        batch: &mut Batch,
        run: &RunContext<'_>,
        output: &mut Output,
        call: impl Fn(&mut F, T, &mut KeyedContext<'_, K>, &mut Collector<'_, O>) -> FunctionResult,
    ) -> Result<(), OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(()) };
        let mut ahead = LookAhead::new(batch, key_of, &keyed.state)?;
        keyed.state.set_processing_time(run.processing_time);
        let mut rows = batch.rows::<T>()?;
        let mut processed = 0;
        while !self.buffer.fills(output) {
            ahead.next(&rows, &keyed.state);
            let Some(row) = rows.next() else { break };
            processed += 1;
            let key = key_of(&row.value);
            let hash = row.hash.unwrap_or_else(|| key.key_hash());
            keyed.state.set_current_key(key, hash);
            let mut context = keyed.context(row.timestamp, run);
            let mut out = Collector::new(&mut self.buffer, output, row.timestamp);
            call(function, row.value, &mut context, &mut out).map_err(OperatorError::Function)?;
        }
        self.buffer.flush(output);
        Ok(keyed.state.clean_up(processed)?)
    }

    /// Fires the timers of `domain` that are due at `up_to`.
    pub(super) fn fire(
        &mut self,
        domain: TimeDomain,
        up_to: i64,
        run: &RunContext<'_>,
        output: &mut Output,
        call: OnTimer<K, O, F>,
    ) -> Result<Progress, OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(Progress::Done) };
        keyed.fire(domain, up_to, run, &mut self.buffer, output, |time, context, out| {
            call(function, time, domain, context, out)
        })
    }

    pub(super) fn next_processing_time(&self) -> Option<i64> {
        self.opened.as_ref().and_then(|(_, keyed)| keyed.timers.next_processing_time())
    }

    pub(super) fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.opened.as_mut().map_or(Ok(()), |(_, keyed)| keyed.snapshot(context, writer))
    }

    pub(super) fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let opened = self.opened.as_mut();
        opened.map_or(Ok(Progress::Done), |(_, keyed)| keyed.encode(writer, budget))
    }

    pub(super) fn abort_snapshot(&mut self) {
        if let Some((_, keyed)) = &mut self.opened {
            keyed.abort_snapshot();
        }
    }

    pub(super) fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |(_, keyed)| keyed.bytes())
    }
}
