//! Gives rows their timestamps and parts the late ones: what sources and
//! [`AssignTimestamps`](super::AssignTimestamps) have in common. Not here: when watermarks go out.

use thalweg_core::{Batch, Columns, Record};

use super::{WatermarkGenerator, WatermarkStrategy};
use crate::contract::{OperatorMetrics, Output};

/// Emits rows as a strategy says. Kept from batch to batch for its buffer.
#[derive(Debug)]
pub(crate) struct Stamper<T> {
    strategy: WatermarkStrategy<T>,
    /// For each row of the batch whether it stays in the stream.
    keep: Vec<bool>,
}

impl<T: Record> Stamper<T> {
    pub(crate) fn new(strategy: WatermarkStrategy<T>) -> Self {
        Self { strategy, keep: Vec::new() }
    }

    pub(crate) fn strategy(&self) -> &WatermarkStrategy<T> {
        &self.strategy
    }

    /// Emits the rows with their new timestamps (the old ones, where the strategy gives none) and
    /// lets `generator` see them. Late rows go to the late output, if there is one.
    pub(crate) fn emit(
        &mut self,
        rows: Vec<T>,
        mut columns: Columns,
        generator: &mut WatermarkGenerator,
        metrics: &OperatorMetrics,
        output: &mut Output,
    ) {
        let mut timestamps = Vec::new();
        if self.strategy.has_timestamps() {
            timestamps.reserve_exact(rows.len());
            self.strategy.timestamps(&rows, &mut timestamps);
            columns.timestamps = Some(timestamps);
        }
        let Some(timestamps) = &columns.timestamps else {
            return output.emit_rows(rows, columns);
        };
        if self.strategy.late_output().is_none() {
            // Nobody asks which row is late, so the highest one tells all.
            if let Some(highest) = timestamps.iter().copied().max() {
                generator.observe(highest);
            }
            return output.emit_rows(rows, columns);
        }
        self.keep.clear();
        self.keep.extend(timestamps.iter().map(|timestamp| !generator.observe(*timestamp)));
        if self.keep.iter().all(|keep| *keep) {
            return output.emit_rows(rows, columns);
        }
        self.emit_parted(rows, columns, metrics, output);
    }

    #[cold]
    fn emit_parted(
        &self,
        rows: Vec<T>,
        mut columns: Columns,
        metrics: &OperatorMetrics,
        output: &mut Output,
    ) {
        let mut late_columns = columns.clone();
        let drop: Vec<bool> = self.keep.iter().map(|keep| !keep).collect();
        late_columns.retain(&drop);
        columns.retain(&self.keep);
        let (mut kept, mut late) = (Vec::with_capacity(rows.len()), Vec::new());
        for (row, keep) in rows.into_iter().zip(&self.keep) {
            if *keep { kept.push(row) } else { late.push(row) }
        }
        metrics.add_late_records_dropped(late.len() as u64);
        if let Some(side) = self.strategy.late_output() {
            output.emit_side(side.name(), Batch::new(late, late_columns));
        }
        output.emit_rows(kept, columns);
    }
}
