//! Session windows: windows of a key that merge as rows come between them.
//!
//! A key's sessions are one value of keyed state, ordered, and each has one timer. Rows that
//! extend a session don't touch the timer: when it is due before the session's end, it is set
//! again. So a row costs one look-up, and sessions still fire in the order of their ends.

use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Key, Record};
use thalweg_state::run::RunWriter;
use thalweg_state::{EncodingBudget, KeyedState, StateError, Timer, TimerService, ValueState};

use super::assigner::check_timestamp;
use super::emit::Emit;
use super::event_time::EventTime;
use super::late::LateRows;
use super::options::refuse;
use super::sessions::{NO_TIMER, Session, place};
use super::{
    MakeWindowFunction, TimeWindow, WindowAssigner, WindowError, WindowFunction, WindowOptions,
};
use crate::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RowBuffer, RunContext, SnapshotContext,
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
    gap_ms: i64,
    lateness_ms: i64,
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
        value: T,
        timestamp: i64,
        emit: &mut Emit<'_, F::Output>,
    ) -> Result<Option<T>, OperatorError> {
        let Self { function, gap_ms, lateness_ms, state, sessions, timers, time } = self;
        emit.watermark = time.of_hash(hash);
        state.set_current_key_from(key, hash);
        let row = TimeWindow { start: timestamp, end: timestamp + *gap_ms };
        let late = |window: TimeWindow| window.end + *lateness_ms <= emit.watermark;
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
        let fired = session.window.end <= emit.watermark;
        let due = session.window.end + if fired { *lateness_ms } else { 0 };
        if session.timer > due {
            session.timer = due;
            timers.register_event_time(due, key, hash, &())?;
        }
        if fired {
            emit.fire(function, key, session.window, session.accumulator.clone())?;
        }
        Ok(None)
    }

    /// A timer is due: the session it belongs to fires, is dropped, or gets a later timer. There
    /// is none if it was joined to another one.
    fn on_timer(
        &mut self,
        timer: &Timer<K, ()>,
        emit: &mut Emit<'_, F::Output>,
    ) -> Result<(), OperatorError> {
        let Self { function, lateness_ms, state, sessions, timers, .. } = self;
        let Timer { time: due, key, hash, .. } = timer;
        state.set_current_key_from(key, *hash);
        let Some(mut list) = sessions.get_mut(state)? else { return Ok(()) };
        let mut at = 0;
        while at < list.len() {
            let session = &mut list[at];
            if session.timer != *due {
                at += 1;
                continue;
            }
            let window = session.window;
            let next = if *due < window.end { window.end } else { window.end + *lateness_ms };
            let fires = *due == window.end;
            if next > *due {
                session.timer = next;
                timers.register_event_time(next, key, *hash, &())?;
                if fires {
                    emit.fire(function, key, window, session.accumulator.clone())?;
                }
                at += 1;
            } else {
                let session = list.remove(at);
                if fires {
                    emit.fire(function, key, window, session.accumulator)?;
                }
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
        let Self { gap_ms, lateness_ms, .. } = *self;
        let function = (self.make)(&subtask).map_err(OperatorError::Function)?;
        self.opened = Some(Opened { function, gap_ms, lateness_ms, state, sessions, timers, time });
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
        let mut rows = batch.rows::<T>()?;
        while self.buffer.len() + self.late.len() < output.room() {
            let Some(row) = rows.next() else { break };
            let timestamp = check_timestamp(row.timestamp).map_err(refuse)?;
            let key = (self.key)(&row.value);
            let hash = row.hash.unwrap_or_else(|| key.key_hash());
            let mut emit = Emit {
                buffer: &mut self.buffer,
                output,
                watermark: context.watermark,
                processing_time: context.processing_time,
            };
            if let Some(late) = opened.add(&key, hash, row.value, timestamp, &mut emit)? {
                self.late.push(late, timestamp);
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
        let processing_time = context.processing_time;
        let mut emit = Emit { buffer: &mut self.buffer, output, watermark, processing_time };
        let progress = loop {
            if emit.is_full() {
                break Progress::More;
            }
            let Some(timer) = opened.timers.pop_event_time(watermark) else {
                opened.time.reach(watermark);
                break Progress::Done;
            };
            opened.on_timer(&timer, &mut emit)?;
        };
        self.buffer.flush(output);
        Ok(progress)
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

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(Progress::Done) };
        let complete =
            opened.state.encode(writer, budget)? && opened.timers.encode(writer, budget)?;
        Ok(Progress::of(complete))
    }

    fn abort_snapshot(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.state.abort_snapshot();
            opened.timers.abort_snapshot();
        }
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |o| o.state.bytes() + o.timers.bytes())
    }
}

const _: () = assert!(NO_TIMER == i64::MAX, "above every due time, so that a timer is set");
