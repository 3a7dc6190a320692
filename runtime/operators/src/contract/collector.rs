//! Collects the rows that a user function emits one by one into batches.

use thalweg_core::{Batch, Columns, Record};

use super::{Output, OutputTag};

/// Rows of one type on their way into an [`Output`]. Kept by an operator from call to call.
#[derive(Debug)]
pub struct RowBuffer<T> {
    values: Vec<T>,
    timestamps: Vec<i64>,
    /// Rows before this one had no timestamp; the column is made when the first one has.
    untimed: usize,
}

impl<T: Record> Default for RowBuffer<T> {
    fn default() -> Self {
        Self { values: Vec::new(), timestamps: Vec::new(), untimed: 0 }
    }
}

impl<T: Record> RowBuffer<T> {
    /// Adds a row.
    #[inline]
    pub fn push(&mut self, value: T, timestamp: Option<i64>) {
        match timestamp {
            Some(timestamp) => {
                if self.untimed > 0 {
                    self.timestamps.resize(self.untimed, i64::MIN);
                    self.untimed = 0;
                }
                self.timestamps.push(timestamp);
            }
            None if self.timestamps.is_empty() => self.untimed += 1,
            None => self.timestamps.push(i64::MIN),
        }
        self.values.push(value);
    }

    /// Number of rows in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All rows as one batch.
    pub fn take(&mut self) -> Option<Batch> {
        if self.values.is_empty() {
            return None;
        }
        let capacity = self.values.len();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(capacity));
        let mut columns = Columns::default();
        if self.untimed == 0 {
            let next = Vec::with_capacity(capacity);
            columns.timestamps = Some(std::mem::replace(&mut self.timestamps, next));
        }
        self.untimed = 0;
        Some(Batch::new(values, columns))
    }

    /// Moves all rows to the main output.
    pub fn flush(&mut self, output: &mut Output) {
        if let Some(batch) = self.take() {
            output.emit(batch);
        }
    }

    /// Whether these rows and what `output` holds make it full.
    #[inline]
    pub fn fills(&self, output: &Output) -> bool {
        self.values.len() >= output.room()
    }
}

/// What a user function emits into. Rows get the timestamp of the row, or of the timer, that the
/// function was called for.
#[derive(Debug)]
pub struct Collector<'a, T> {
    buffer: &'a mut RowBuffer<T>,
    output: &'a mut Output,
    timestamp: Option<i64>,
}

impl<'a, T: Record> Collector<'a, T> {
    /// A collector for calls on account of a row or timer with this timestamp.
    #[inline]
    pub fn new(
        buffer: &'a mut RowBuffer<T>,
        output: &'a mut Output,
        timestamp: Option<i64>,
    ) -> Self {
        Self { buffer, output, timestamp }
    }

    /// Emits a row.
    #[inline]
    pub fn collect(&mut self, value: T) {
        self.buffer.push(value, self.timestamp);
    }

    /// Emits a row with a timestamp of its own (ms since 1970).
    #[inline]
    pub fn collect_with_timestamp(&mut self, value: T, timestamp: i64) {
        self.buffer.push(value, Some(timestamp));
    }

    /// Emits a row at a side output.
    pub fn side<S: Record>(&mut self, side: &OutputTag<S>, value: S) {
        let columns = match self.timestamp {
            Some(timestamp) => Columns::timestamped(vec![timestamp]),
            None => Columns::default(),
        };
        self.output.emit_side(side.name(), Batch::new(vec![value], columns));
    }
}
