//! Splitting batches among destinations: the inner loop of every exchange.

use super::{Batch, Columns, RowKind, RowTypeMismatch};
use crate::record::Record;

/// Buffers of rows, one per destination.
pub trait Scatter: Send {
    /// Moves each row of `batch` to the buffer that `destinations` names for it.
    fn scatter(&mut self, batch: Batch, destinations: &[u32]) -> Result<(), RowTypeMismatch>;
    /// Number of rows that wait for this destination.
    fn rows(&self, destination: usize) -> usize;
    /// The rows that wait for this destination, as a batch. None when there are none.
    fn take(&mut self, destination: usize) -> Option<Batch>;
}

struct Buffer<T> {
    values: Vec<T>,
    columns: Columns,
}

pub(super) struct TypedScatter<T> {
    buffers: Vec<Buffer<T>>,
}

impl<T: Record> TypedScatter<T> {
    pub(super) fn new(destinations: usize) -> Self {
        let empty = || Buffer { values: Vec::new(), columns: Columns::default() };
        Self { buffers: (0..destinations).map(|_| empty()).collect() }
    }

    /// Brings each buffer to have the columns that the batch has; rows that are there already get
    /// what stands for "missing". Streams rarely change this, so it costs a check per batch.
    fn align_columns(&mut self, columns: &Columns) {
        for buffer in &mut self.buffers {
            let rows = buffer.values.len();
            let mine = &mut buffer.columns;
            if rows == 0 {
                // Only memory for them is left of the last batch.
                mine.timestamps.take_if(|_| columns.timestamps.is_none());
                mine.kinds.take_if(|_| columns.kinds.is_none());
            }
            if columns.timestamps.is_some() && mine.timestamps.is_none() {
                mine.timestamps = Some(vec![i64::MIN; rows]);
            }
            if columns.kinds.is_some() && mine.kinds.is_none() {
                mine.kinds = Some(vec![RowKind::Insert; rows]);
            }
            if columns.hashes.is_some() && mine.hashes.is_none() && rows == 0 {
                mine.hashes = Some(Vec::new());
            }
            if columns.hashes.is_none() {
                mine.hashes = None;
            }
        }
    }

    fn scatter_column<C: Copy>(
        &mut self,
        column: Option<Vec<C>>,
        missing: Option<C>,
        destinations: &[u32],
        of: impl Fn(&mut Columns) -> &mut Option<Vec<C>>,
    ) {
        let mut push = |destination: u32, value: C| {
            if let Some(target) = of(&mut self.buffers[destination as usize].columns) {
                target.push(value);
            }
        };
        match (column, missing) {
            (Some(values), _) => {
                values.into_iter().zip(destinations).for_each(|(value, to)| push(*to, value));
            }
            (None, Some(missing)) => destinations.iter().for_each(|to| push(*to, missing)),
            (None, None) => {}
        }
    }
}

impl<T: Record> Scatter for TypedScatter<T> {
    fn scatter(&mut self, batch: Batch, destinations: &[u32]) -> Result<(), RowTypeMismatch> {
        let (values, columns) = batch.into_parts::<T>()?;
        debug_assert_eq!(values.len(), destinations.len());
        self.align_columns(&columns);
        let Columns { timestamps, kinds, hashes } = columns;
        // What no row of any buffer has isn't gone through.
        if self.buffers.iter().any(|buffer| buffer.columns.timestamps.is_some()) {
            self.scatter_column(timestamps, Some(i64::MIN), destinations, |c| &mut c.timestamps);
        }
        if self.buffers.iter().any(|buffer| buffer.columns.kinds.is_some()) {
            self.scatter_column(kinds, Some(RowKind::Insert), destinations, |c| &mut c.kinds);
        }
        self.scatter_column(hashes, None, destinations, |c| &mut c.hashes);
        for (value, destination) in values.into_iter().zip(destinations) {
            self.buffers[*destination as usize].values.push(value);
        }
        Ok(())
    }

    fn rows(&self, destination: usize) -> usize {
        self.buffers[destination].values.len()
    }

    fn take(&mut self, destination: usize) -> Option<Batch> {
        let buffer = &mut self.buffers[destination];
        if buffer.values.is_empty() {
            return None;
        }
        // The next batch is likely to be as large as this one: no growing step by step.
        let capacity = buffer.values.capacity();
        let values = std::mem::replace(&mut buffer.values, Vec::with_capacity(capacity));
        let columns = &buffer.columns;
        let next = Columns {
            timestamps: columns.timestamps.as_ref().map(|_| Vec::with_capacity(capacity)),
            kinds: columns.kinds.as_ref().map(|_| Vec::with_capacity(capacity)),
            hashes: columns.hashes.as_ref().map(|_| Vec::with_capacity(capacity)),
        };
        Some(Batch::new(values, std::mem::replace(&mut buffer.columns, next)))
    }
}
