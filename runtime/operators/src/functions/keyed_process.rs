//! The keyed process function: state and timers per key.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::element::{MIN_WATERMARK, Watermark};
use thalweg_core::{Batch, Key, Record};
use thalweg_state::{KeyedState, KeyedStateAccess, RunWriter, StateError, TimerService};

use super::KeySelector;
use super::look_ahead::LookAhead;
use crate::contract::{
    Collector, FunctionResult, OpenContext, Operator, OperatorError, Output, Progress, RowBuffer,
    RunContext, SnapshotContext, SubtaskInfo,
};

/// Which clock a timer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDomain {
    /// Fires when the watermark reaches it.
    EventTime,
    /// Fires when the time of day reaches it.
    ProcessingTime,
}

/// A function of rows with a key. It sees one key at a time, with that key's state and timers.
pub trait KeyedProcessFunction<K: Key, I, O>: Send {
    /// Called for each row.
    fn process(
        &mut self,
        value: I,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult;

    /// Called for each timer that is due, with the timer's key.
    fn on_timer(
        &mut self,
        time: i64,
        domain: TimeDomain,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> FunctionResult {
        let _ = (time, domain, context, out);
        Ok(())
    }
}

/// What a keyed function sees beside the row: its key's state and timers, and time.
pub struct KeyedContext<'a, K: Key> {
    pub(super) state: &'a mut KeyedState<K>,
    pub(super) timers: &'a mut TimerService<K, ()>,
    pub(super) timestamp: Option<i64>,
    pub(super) watermark: Watermark,
    pub(super) processing_time: i64,
}

impl<K: Key> KeyedContext<'_, K> {
    /// The current key.
    pub fn key(&self) -> &K {
        match self.state.current_key() {
            Some(key) => key,
            // A context is only made between setting a key and the next one.
            None => unreachable!("a keyed function is only called with a key"),
        }
    }

    /// Event time in ms since 1970 of the row, or of the timer.
    pub fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// Event time at this operator.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of day in ms since 1970.
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }

    /// Asks for a call of `on_timer` for this key when the watermark reaches `time`. Asking again
    /// for the same time is one timer.
    ///
    /// # Errors
    /// The memory for state is used up.
    pub fn register_event_time_timer(&mut self, time: i64) -> Result<(), StateError> {
        let (key, hash) = self.key_and_hash();
        self.timers.register_event_time(time, &key, hash, &()).map(drop)
    }

    /// Asks for a call of `on_timer` for this key when the time of day reaches `time`.
    ///
    /// # Errors
    /// The memory for state is used up.
    pub fn register_processing_time_timer(&mut self, time: i64) -> Result<(), StateError> {
        let (key, hash) = self.key_and_hash();
        self.timers.register_processing_time(time, &key, hash, &()).map(drop)
    }

    /// Takes the event-time timer of this key at `time` back, if there is one.
    pub fn delete_event_time_timer(&mut self, time: i64) {
        let (key, hash) = self.key_and_hash();
        self.timers.delete_event_time(time, &key, hash, &());
    }

    /// Takes the processing-time timer of this key at `time` back, if there is one.
    pub fn delete_processing_time_timer(&mut self, time: i64) {
        let (key, hash) = self.key_and_hash();
        self.timers.delete_processing_time(time, &key, hash, &());
    }

    fn key_and_hash(&self) -> (K, u64) {
        (self.key().clone(), self.state.current_hash().unwrap_or_default())
    }
}

impl<K: Key> KeyedStateAccess for KeyedContext<'_, K> {
    type Key = K;
    fn keyed_state(&mut self) -> &mut KeyedState<K> {
        self.state
    }
}

/// Where a keyed function declares its state.
pub struct KeyedOpen<'a, K: Key> {
    /// The operator's state: `value_state`, `list_state`, `map_state` and so on.
    pub state: &'a mut KeyedState<K>,
    /// The subtask.
    pub subtask: SubtaskInfo,
}

/// State and timers of a keyed operator, and how they are opened, fired and written.
pub(super) struct Keyed<K: Key> {
    pub(super) state: KeyedState<K>,
    pub(super) timers: TimerService<K, ()>,
    watermark: Watermark,
}

impl<K: Key> Keyed<K> {
    pub(super) fn open(context: &OpenContext<'_>) -> Result<Self, OperatorError> {
        let SubtaskInfo { key_groups, max_parallelism, .. } = context.subtask;
        let mut state = KeyedState::new(key_groups, max_parallelism, context.restored.clone())?;
        state.set_budget(&context.state_budget)?;
        let restored = context.restored.as_ref();
        let mut timers = TimerService::new("timers", key_groups, max_parallelism, restored)?;
        timers.set_budget(&context.state_budget)?;
        Ok(Self { state, timers, watermark: MIN_WATERMARK })
    }

    pub(super) fn context(
        &mut self,
        timestamp: Option<i64>,
        run: &RunContext<'_>,
    ) -> KeyedContext<'_, K> {
        KeyedContext {
            state: &mut self.state,
            timers: &mut self.timers,
            timestamp,
            watermark: self.watermark,
            processing_time: run.processing_time,
        }
    }

    /// Fires what is due, one timer at a time, until the output is full.
    pub(super) fn fire<O: Record>(
        &mut self,
        domain: TimeDomain,
        up_to: i64,
        run: &RunContext<'_>,
        buffer: &mut RowBuffer<O>,
        output: &mut Output,
        mut call: impl FnMut(i64, &mut KeyedContext<'_, K>, &mut Collector<'_, O>) -> FunctionResult,
    ) -> Result<Progress, OperatorError> {
        if domain == TimeDomain::EventTime {
            self.watermark = self.watermark.max(up_to);
        }
        while !buffer.fills(output) {
            let timer = match domain {
                TimeDomain::EventTime => self.timers.pop_event_time(up_to),
                TimeDomain::ProcessingTime => self.timers.pop_processing_time(up_to),
            };
            let Some(timer) = timer else {
                buffer.flush(output);
                return Ok(Progress::Done);
            };
            self.state.set_current_key(timer.key, timer.hash);
            let timestamp = (domain == TimeDomain::EventTime).then_some(timer.time);
            let mut context = self.context(timestamp, run);
            let mut out = Collector::new(buffer, output, timestamp);
            call(timer.time, &mut context, &mut out).map_err(OperatorError::Function)?;
        }
        buffer.flush(output);
        Ok(Progress::More)
    }

    pub(super) fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), OperatorError> {
        self.state.snapshot(writer)?;
        Ok(self.timers.snapshot(writer)?)
    }

    pub(super) fn bytes(&self) -> usize {
        self.state.bytes() + self.timers.bytes()
    }
}

/// Makes a keyed function, once per subtask.
pub type MakeKeyed<K, F> = Arc<dyn Fn(&mut KeyedOpen<'_, K>) -> FunctionResult<F> + Send + Sync>;

/// Runs a [`KeyedProcessFunction`].
pub struct KeyedProcess<K: Key, I, O, S, F> {
    key: Arc<S>,
    make: MakeKeyed<K, F>,
    opened: Option<(F, Keyed<K>)>,
    buffer: RowBuffer<O>,
    rows: PhantomData<fn(I)>,
}

impl<K: Key, I, O: Record, S, F> KeyedProcess<K, I, O, S, F> {
    /// Runs the function that `make` makes, once per subtask, on rows keyed by `key`.
    pub fn new(key: Arc<S>, make: MakeKeyed<K, F>) -> Self {
        Self { key, make, opened: None, buffer: RowBuffer::default(), rows: PhantomData }
    }
}

impl<K, I, O, S, F> Operator for KeyedProcess<K, I, O, S, F>
where
    K: Key,
    I: Record,
    O: Record,
    S: KeySelector<I, K>,
    F: KeyedProcessFunction<K, I, O>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut keyed = Keyed::open(context)?;
        let mut open = KeyedOpen { state: &mut keyed.state, subtask: context.subtask };
        let function = (self.make)(&mut open).map_err(OperatorError::Function)?;
        self.opened = Some((function, keyed));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(()) };
        let mut ahead = LookAhead::new(batch, &*self.key, &keyed.state)?;
        let mut rows = batch.rows::<I>()?;
        while !self.buffer.fills(output) {
            ahead.next(&rows, &keyed.state);
            let Some(row) = rows.next() else { break };
            let key = (self.key)(&row.value);
            let hash = row.hash.unwrap_or_else(|| key.key_hash());
            keyed.state.set_current_key(key, hash);
            let mut call = keyed.context(row.timestamp, context);
            let mut out = Collector::new(&mut self.buffer, output, row.timestamp);
            function.process(row.value, &mut call, &mut out).map_err(OperatorError::Function)?;
        }
        self.buffer.flush(output);
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Watermark,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(Progress::Done) };
        let domain = TimeDomain::EventTime;
        keyed.fire(domain, watermark, context, &mut self.buffer, output, |time, call, out| {
            function.on_timer(time, domain, call, out)
        })
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.opened.as_ref().and_then(|(_, keyed)| keyed.timers.next_processing_time())
    }

    fn processing_time(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some((function, keyed)) = &mut self.opened else { return Ok(Progress::Done) };
        let domain = TimeDomain::ProcessingTime;
        let now = context.processing_time;
        keyed.fire(domain, now, context, &mut self.buffer, output, |time, call, out| {
            function.on_timer(time, domain, call, out)
        })
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.opened.as_mut().map_or(Ok(()), |(_, keyed)| keyed.snapshot(writer))
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |(_, keyed)| keyed.bytes())
    }
}
