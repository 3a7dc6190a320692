//! What the subtasks under test have emitted.

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::element::{MIN_WATERMARK, Watermark};
use thalweg_core::{Batch, Record};

/// What was emitted and not read yet, in order.
#[derive(Debug)]
pub(super) struct Collected {
    batches: VecDeque<(Option<Arc<str>>, Batch)>,
    /// The last watermark of each subtask.
    watermarks: Vec<Watermark>,
    lowest: Watermark,
    risen: Vec<Watermark>,
    batch_rows_max: usize,
}

impl Collected {
    pub(super) fn new(subtasks: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            watermarks: vec![MIN_WATERMARK; subtasks],
            lowest: MIN_WATERMARK,
            risen: Vec::new(),
            batch_rows_max: 0,
        }
    }

    pub(super) fn batch(&mut self, side: Option<Arc<str>>, batch: Batch) {
        self.batch_rows_max = self.batch_rows_max.max(batch.len());
        self.batches.push_back((side, batch));
    }

    /// Whoever reads all subtasks sees the lowest of their watermarks.
    pub(super) fn watermark(&mut self, subtask: usize, watermark: Watermark) {
        self.watermarks[subtask] = self.watermarks[subtask].max(watermark);
        let lowest = self.watermarks.iter().copied().min().unwrap_or(watermark);
        if lowest > self.lowest {
            self.lowest = lowest;
            self.risen.push(lowest);
        }
    }

    pub(super) fn take_watermarks(&mut self) -> Vec<Watermark> {
        std::mem::take(&mut self.risen)
    }

    pub(super) fn batch_rows_max(&self) -> usize {
        self.batch_rows_max
    }

    /// Takes the rows of the main output, or of a side output.
    pub(super) fn take<T: Record>(
        &mut self,
        side: Option<&str>,
    ) -> Result<Vec<(T, Option<i64>)>, RowTypeMismatch> {
        let mut rows = Vec::new();
        let mut others = VecDeque::new();
        for (from, mut batch) in std::mem::take(&mut self.batches) {
            if from.as_deref() == side {
                rows.extend(batch.rows::<T>()?.map(|row| (row.value, row.timestamp)));
            } else {
                others.push_back((from, batch));
            }
        }
        self.batches = others;
        Ok(rows)
    }
}
