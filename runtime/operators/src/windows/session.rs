//! Session windows: windows of a key that merge as rows come between them.
//!
//! A key's sessions are one value of keyed state, ordered, and each has one timer. Rows that
//! extend a session don't touch the timer: when it is due before the session's end, it is set
//! again. So a row costs one look-up, and sessions still fire in the order of their ends.

use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Key, Record};
use thalweg_state::run::RunWriter;
use thalweg_state::{KeyedState, StateError, TimerService, ValueState};

use super::assigner::check_timestamp;
use super::event_time::EventTime;
use super::late::LateRows;
use super::options::refuse;
use super::sessions::{NO_TIMER, Session, place};
use super::{
    MakeWindowFunction, TimeWindow, WindowAssigner, WindowContext, WindowError, WindowFunction,
    WindowOptions,
};
use crate::contract::{
    Collector, OpenContext, Operator, OperatorError, Output, Progress, RowBuffer, RunContext,
    SnapshotContext,
};
use crate::functions::KeySelector;

/// Runs session windows.
pub struct SessionWindows<K: Key, T, S, F: WindowFunction<K, T>> {
    key: Arc<S>,
    gap_ms: i64,
    lateness_ms: i64,
    make: MakeWindowFunction<F>,
    opened: Option<Opened<K, T, F>>,
    buffer: RowBuffer<F::Output>,
    late: LateRows<T>,
}

struct Opened<K: Key, T, F: WindowFunction<K, T>> {
    function: F,
    state: KeyedState<K>,
    sessions: ValueState<Vec<Session<F::Accumulator>>>,
    timers: TimerService<K, ()>,
    time: EventTime,
}

impl<K: Key, T: Record, S, F: WindowFunction<K, T>> SessionWindows<K, T, S, F> {
    /// Sessions with this gap over rows keyed by `key`.
    ///
    /// # Errors
    /// As [`WindowOptions::validate`].
    pub fn new(
        key: Arc<S>,
        gap_ms: i64,
        options: WindowOptions<T>,
        make: MakeWindowFunction<F>,
    ) -> Result<Self, WindowError> {
        let options = WindowOptions { assigner: WindowAssigner::session(gap_ms), ..options };
        options.validate()?;
        Ok(Self {
            key,
            gap_ms,
            lateness_ms: options.allowed_lateness_ms,
            make,
            opened: None,
            buffer: RowBuffer::default(),
            late: LateRows::new(options.late),
        })
    }
}

impl<K, T, F> Opened<K, T, F>
where
    K: Key,
    T: Record,
    F: WindowFunction<K, T>,
{
    /// Puts a row into its session. A session that has fired already fires again. The row comes
    /// back if it is too late.
    fn add(
        &mut self,
        key: &K,
        hash: u64,
        row: (T, i64),
        durations: (i64, i64),
        run: &RunContext<'_>,
        out: (&mut RowBuffer<F::Output>, &mut Output),
    ) -> Result<Option<T>, OperatorError> {
        let ((value, timestamp), (gap_ms, lateness_ms)) = (row, durations);
        let Self { function, state, sessions, timers, time } = self;
        let watermark = time.of_hash(hash);
        state.set_current_key_from(key, hash);
        let row = TimeWindow { start: timestamp, end: timestamp + gap_ms };
        let late = |window: TimeWindow| window.end + lateness_ms <= watermark;
        // Most late rows are late without a look at the sessions; and no empty list is left.
        if late(row) && sessions.get(state)?.is_none() {
            return Ok(Some(value));
        }
        let mut list = sessions.get_or_insert_with(state, Vec::new)?;
        let create = || function.create_accumulator();
        let merge = |a: &mut F::Accumulator, b: &F::Accumulator| function.merge(a, b);
        let Some(at) = place(&mut list, row, late, create, merge) else { return Ok(Some(value)) };
        let session = &mut list[at];
        function.add(value, &mut session.accumulator);
        let fired = session.window.end <= watermark;
        let due = session.window.end + if fired { lateness_ms } else { 0 };
        if session.timer > due {
            session.timer = due;
            timers.register_event_time(due, key, hash, &())?;
        }
        if fired {
            let window = session.window;
            let accumulator = session.accumulator.clone();
            let processing_time = run.processing_time;
            let context = WindowContext { window, watermark, processing_time };
            let mut out = Collector::new(out.0, out.1, Some(window.max_timestamp()));
            let done = function.fire(key, &context, accumulator, &mut out);
            done.map_err(OperatorError::Function)?;
        }
        Ok(None)
    }

    /// A timer is due: the session it belongs to fires, is dropped, or gets a later timer. There
    /// is none if it was joined to another one.
    fn on_timer(
        &mut self,
        due: i64,
        key: &K,
        hash: u64,
        lateness_ms: i64,
        context: WindowContext,
        out: (&mut RowBuffer<F::Output>, &mut Output),
    ) -> Result<(), OperatorError> {
        let Self { function, state, sessions, timers, .. } = self;
        state.set_current_key_from(key, hash);
        let Some(mut list) = sessions.get_mut(state)? else { return Ok(()) };
        let mut at = 0;
        while at < list.len() {
            let session = &mut list[at];
            if session.timer != due {
                at += 1;
                continue;
            }
            let (window, end) = (session.window, session.window.end);
            let next = if due < end { end } else { end.saturating_add(lateness_ms) };
            let kept = next > due;
            if kept {
                session.timer = next;
                timers.register_event_time(next, key, hash, &())?;
            }
            let fires = due == end;
            let accumulator = match (fires, kept) {
                (true, true) => Some(session.accumulator.clone()),
                (true, false) => Some(list.remove(at).accumulator),
                (false, true) => None,
                (false, false) => {
                    list.remove(at);
                    None
                }
            };
            at += usize::from(kept);
            if let Some(accumulator) = accumulator {
                let context = WindowContext { window, ..context };
                let timestamp = Some(window.max_timestamp());
                let mut out = Collector::new(&mut *out.0, &mut *out.1, timestamp);
                let done = function.fire(key, &context, accumulator, &mut out);
                done.map_err(OperatorError::Function)?;
            }
        }
        let empty = list.is_empty();
        drop(list);
        if empty {
            sessions.clear(state)?;
        }
        Ok(())
    }
}

impl<K, T, S, F> Operator for SessionWindows<K, T, S, F>
where
    K: Key,
    T: Record,
    S: KeySelector<T, K>,
    F: WindowFunction<K, T>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let subtask = context.subtask;
        let (groups, max_parallelism) = (subtask.key_groups, subtask.max_parallelism);
        let mut state = KeyedState::new(groups, max_parallelism, context.restored.clone())?;
        state.set_budget(&context.state_budget)?;
        let sessions = state.value_state("window-sessions")?;
        let restored = context.restored.as_ref();
        let mut timers = TimerService::new("window-timers", groups, max_parallelism, restored)?;
        timers.set_budget(&context.state_budget)?;
        let time = EventTime::open(context)?;
        let function = (self.make)(&subtask).map_err(OperatorError::Function)?;
        self.opened = Some(Opened { function, state, sessions, timers, time });
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let durations = (self.gap_ms, self.lateness_ms);
        let mut rows = batch.rows::<T>()?;
        while self.buffer.len() + self.late.len() < output.room() {
            let Some(row) = rows.next() else { break };
            let timestamp = check_timestamp(row.timestamp).map_err(refuse)?;
            let key = (self.key)(&row.value);
            let hash = row.hash.unwrap_or_else(|| key.key_hash());
            let out = (&mut self.buffer, &mut *output);
            let late =
                opened.add(&key, hash, (row.value, timestamp), durations, context, out)?;
            if let Some(value) = late {
                self.late.push(value, timestamp);
            }
        }
        self.buffer.flush(output);
        self.late.flush(output, context.metrics);
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Watermark,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(Progress::Done) };
        // The window is each session's own.
        let window = TimeWindow { start: watermark, end: watermark };
        let call = WindowContext { window, watermark, processing_time: context.processing_time };
        while !self.buffer.fills(output) {
            let Some(timer) = opened.timers.pop_event_time(watermark) else {
                self.buffer.flush(output);
                opened.time.reach(watermark);
                return Ok(Progress::Done);
            };
            let out = (&mut self.buffer, &mut *output);
            opened.on_timer(timer.time, &timer.key, timer.hash, self.lateness_ms, call, out)?;
        }
        self.buffer.flush(output);
        Ok(Progress::More)
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        opened.state.snapshot(writer).map_err(StateError::from)?;
        opened.timers.snapshot(writer).map_err(StateError::from)?;
        opened.time.snapshot(writer)
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |o| o.state.bytes() + o.timers.bytes())
    }
}

const _: () = assert!(NO_TIMER == i64::MAX, "above every due time, so that a timer is set");
