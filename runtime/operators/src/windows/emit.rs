//! Where a window's results go: one call of the window function.

use thalweg_core::Record;
use thalweg_core::element::Watermark;

use super::{TimeWindow, WindowContext, WindowFunction};
use crate::contract::{Collector, OperatorError, Output, RowBuffer};

/// What windows emit into, and the time at which they fire.
pub(super) struct Emit<'a, O> {
    pub(super) buffer: &'a mut RowBuffer<O>,
    pub(super) output: &'a mut Output,
    pub(super) watermark: Watermark,
    pub(super) processing_time: i64,
}

impl<O: Record> Emit<'_, O> {
    /// Whether the output is full.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.buffer.fills(self.output)
    }

    /// Emits a window's results.
    #[inline]
    pub(super) fn fire<K, T, F: WindowFunction<K, T, Output = O>>(
        &mut self,
        function: &mut F,
        key: &K,
        window: TimeWindow,
        accumulator: F::Accumulator,
    ) -> Result<(), OperatorError> {
        let Self { watermark, processing_time, .. } = *self;
        let context = WindowContext { window, watermark, processing_time };
        let mut out = Collector::new(self.buffer, self.output, Some(window.max_timestamp()));
        let fired = function.fire(key, &context, accumulator, &mut out);
        fired.map_err(OperatorError::Function)
    }
}
