//! Tumbling and sliding windows: each row is added to the accumulator of its slice, and windows
//! are merged from the slices that they share.
//!
//! Slices are dropped whole when the last window that needs them is past its allowed lateness.

use std::sync::Arc;

use thalweg_core::element::Watermark;
use thalweg_core::{Batch, Key, Record};
use thalweg_state::run::RunWriter;
use thalweg_state::{EncodingBudget, SliceState, StateError};

use super::assigner::check_timestamp;
use super::emit::Emit;
use super::event_time::EventTime;
use super::firing::{Firing, Merged};
use super::late::LateRows;
use super::layout::{Layout, Slice};
use super::options::refuse;
use super::{MakeWindowFunction, TimeWindow, WindowError, WindowFunction, WindowOptions};
use crate::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RowBuffer, RunContext, SnapshotContext,
    SubtaskInfo,
};
use crate::functions::KeySelector;

/// Runs tumbling and sliding windows.
pub struct SlicedWindows<K: Key, T, S, F: WindowFunction<K, T>> {
    key: Arc<S>,
    layout: Layout,
    lateness_ms: i64,
    make: MakeWindowFunction<F>,
    opened: Option<Opened<K, T, F>>,
    buffer: RowBuffer<F::Output>,
    late: LateRows<T>,
}

struct Opened<K: Key, T, F: WindowFunction<K, T>> {
    function: F,
    layout: Layout,
    lateness_ms: i64,
    subtask: SubtaskInfo,
    slices: SliceState<K, F::Accumulator>,
    time: EventTime,
    /// The slice of the last row, and the last millisecond of its first window.
    current: (Slice, i64),
    firing: Option<Firing<K, F::Accumulator>>,
    spare: Merged<K, F::Accumulator>,
}

impl<K: Key, T: Record, S, F: WindowFunction<K, T>> SlicedWindows<K, T, S, F> {
    /// The windows of the options' assigner over rows keyed by `key`.
    ///
    /// # Errors
    /// As [`WindowOptions::validate`]; session windows, which [`super::SessionWindows`] runs.
    pub fn new(
        key: Arc<S>,
        options: WindowOptions<T>,
        make: MakeWindowFunction<F>,
    ) -> Result<Self, WindowError> {
        options.validate()?;
        let layout = Layout::new(&options.assigner).ok_or(WindowError::NotSliced)?;
        Ok(Self {
            key,
            layout,
            lateness_ms: options.allowed_lateness_ms,
            make,
            opened: None,
            buffer: RowBuffer::default(),
            late: LateRows::new(options.late),
        })
    }
}

impl<K: Key, T: Record, F: WindowFunction<K, T>> Opened<K, T, F> {
    /// Finds the slice of a row. False: it is in no window.
    #[inline]
    fn find_slice(&mut self, timestamp: i64) -> bool {
        let (slice, _) = self.current;
        if slice.start <= timestamp && timestamp < slice.end {
            return true;
        }
        let Some(slice) = self.layout.slice(timestamp) else { return false };
        self.current = (slice, self.layout.first_end(slice) - 1);
        true
    }

    /// Whether a window that ends with this millisecond takes no rows any more.
    fn is_late(&self, max_timestamp: i64, watermark: Watermark) -> bool {
        max_timestamp + self.lateness_ms <= watermark
    }

    /// Adds a row whose slice was found.
    #[inline]
    fn add(&mut self, key: &K, hash: u64, value: T) -> Result<(), OperatorError> {
        let Self { function, slices, current: (slice, _), .. } = self;
        let create = || function.create_accumulator();
        let mut accumulator = slices.get_or_insert_with(slice.end, key, hash, create)?;
        function.add(value, &mut accumulator);
        Ok(())
    }

    /// After a row was added to the current slice: the windows that have fired already, and still
    /// take rows, fire again for the row's key.
    #[cold]
    fn fire_again(
        &mut self,
        key: &K,
        hash: u64,
        emit: &mut Emit<'_, F::Output>,
    ) -> Result<(), OperatorError> {
        let Self { function, layout, lateness_ms, slices, current: (slice, _), .. } = self;
        for window in layout.windows(*slice) {
            if window.max_timestamp() > emit.watermark {
                break;
            }
            if window.max_timestamp() + *lateness_ms <= emit.watermark {
                continue;
            }
            let mut accumulator = function.create_accumulator();
            for slice in layout.slices(window) {
                if let Some(part) = slices.get(slice.end, key, hash) {
                    function.merge(&mut accumulator, part);
                }
            }
            emit.fire(function, key, window, accumulator)?;
        }
        Ok(())
    }

    /// The next window that fires by `watermark`: the first that has a slice and hasn't fired.
    fn due(&self, watermark: Watermark) -> Option<TimeWindow> {
        // A window has fired when the watermark has reached its last millisecond.
        let unfired = self.time.watermark().saturating_add(2);
        let slices = self.slices.slice_ends().filter_map(|end| self.layout.slice(end - 1));
        let slice = slices.into_iter().find(|slice| self.layout.last_end(*slice) >= unfired)?;
        let end = self.layout.end_at_or_after(slice.end.max(unfired));
        (end - 1 <= watermark).then(|| TimeWindow { start: end - self.layout.size(), end })
    }

    /// Fires the due windows one after the other, until the output is full.
    fn fire(&mut self, emit: &mut Emit<'_, F::Output>) -> Result<Progress, OperatorError> {
        loop {
            let next = self.firing.take().or_else(|| self.next_firing(emit.watermark));
            let Some(mut firing) = next else {
                self.time.reach(emit.watermark);
                self.drop_slices();
                return Ok(Progress::Done);
            };
            let window = firing.window();
            loop {
                if emit.is_full() {
                    self.firing = Some(firing);
                    return Ok(Progress::More);
                }
                let time = &self.time;
                let fires = |place| time.of_place(place) < window.max_timestamp();
                let next = firing.next(&self.slices, &self.function, fires);
                let Some((key, accumulator)) = next else { break };
                emit.fire(&mut self.function, &key, window, accumulator)?;
            }
            self.spare = firing.into_merged();
            self.time.reach(window.max_timestamp());
            self.drop_slices();
        }
    }

    fn next_firing(&mut self, watermark: Watermark) -> Option<Firing<K, F::Accumulator>> {
        let window = self.due(watermark)?;
        let SubtaskInfo { key_groups, max_parallelism, .. } = self.subtask;
        let spare = std::mem::take(&mut self.spare);
        let slices = self.slices.slice_ends().skip_while(|end| *end <= window.start);
        let slices = slices.take_while(|end| *end <= window.end);
        Some(Firing::new(window, slices, key_groups, max_parallelism, spare))
    }

    /// Drops the slices that no window needs any more.
    fn drop_slices(&mut self) {
        while let Some(end) = self.slices.first_slice_end()
            && let Some(slice) = self.layout.slice(end - 1)
            && self.is_late(self.layout.last_end(slice) - 1, self.time.watermark())
        {
            self.slices.remove_slice(end);
        }
    }
}

impl<K, T, S, F> Operator for SlicedWindows<K, T, S, F>
where
    K: Key,
    T: Record,
    S: KeySelector<T, K>,
    F: WindowFunction<K, T>,
{
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let subtask = context.subtask;
        let mut slices = SliceState::new(
            "window-slices",
            subtask.key_groups,
            subtask.max_parallelism,
            context.restored.as_ref(),
        )?;
        slices.set_budget(&context.state_budget)?;
        self.opened = Some(Opened {
            function: (self.make)(&subtask).map_err(OperatorError::Function)?,
            layout: self.layout,
            lateness_ms: self.lateness_ms,
            subtask,
            slices,
            time: EventTime::open(context)?,
            current: (Slice { start: 0, end: 0 }, 0),
            firing: None,
            spare: Merged::default(),
        });
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
            let watermark = opened.time.of_hash(hash);
            let in_a_window = opened.find_slice(timestamp);
            let (slice, first_max) = opened.current;
            if in_a_window && first_max > watermark {
                opened.add(&key, hash, row.value)?;
                continue;
            }
            let last = if in_a_window { opened.layout.last_end(slice) - 1 } else { timestamp };
            if opened.is_late(last, watermark) {
                self.late.push(row.value, timestamp);
            } else if in_a_window {
                opened.add(&key, hash, row.value)?;
                let mut emit = Emit {
                    buffer: &mut self.buffer,
                    output,
                    watermark,
                    processing_time: context.processing_time,
                };
                opened.fire_again(&key, hash, &mut emit)?;
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
        let progress = opened.fire(&mut emit)?;
        self.buffer.flush(output);
        Ok(progress)
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        opened.slices.snapshot(writer).map_err(StateError::from)?;
        opened.time.snapshot(writer)
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(Progress::Done) };
        Ok(Progress::of(opened.slices.encode(writer, budget)?))
    }

    fn abort_snapshot(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.slices.abort_snapshot();
        }
    }

    fn state_bytes(&self) -> usize {
        self.opened.as_ref().map_or(0, |opened| opened.slices.bytes())
    }
}
