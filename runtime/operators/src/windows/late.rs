//! Rows that came too late for all their windows.

use thalweg_core::Record;

use crate::contract::{OperatorMetrics, Output, OutputTag, RowBuffer};

/// Counts late rows, and hands them to the late output if there is one.
pub(super) struct LateRows<T> {
    side: Option<OutputTag<T>>,
    rows: RowBuffer<T>,
    count: u64,
}

impl<T: Record> LateRows<T> {
    pub(super) fn new(side: Option<OutputTag<T>>) -> Self {
        Self { side, rows: RowBuffer::default(), count: 0 }
    }

    pub(super) fn push(&mut self, value: T, timestamp: i64) {
        self.count += 1;
        if self.side.is_some() {
            self.rows.push(value, Some(timestamp));
        }
    }

    /// Rows that will be emitted.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn flush(&mut self, output: &mut Output, metrics: &OperatorMetrics) {
        metrics.add_late_records_dropped(std::mem::take(&mut self.count));
        if let (Some(side), Some(batch)) = (&self.side, self.rows.take()) {
            output.emit_side(side.name(), batch);
        }
    }
}
