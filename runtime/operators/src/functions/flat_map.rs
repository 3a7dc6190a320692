//! One row in, any number of rows out.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Record};

use crate::contract::{Operator, OperatorError, Output, RowBuffer, RunContext};

/// Calls a function for each row and emits all that the iterator it returns gives. Timestamps are
/// the row's. Stops within a row when the output is full, so a row may give any number.
#[derive(Debug)]
pub struct FlatMap<I, O, R: IntoIterator<Item = O>, F> {
    function: Arc<F>,
    buffer: RowBuffer<O>,
    /// What the current row still gives, with its timestamp.
    current: Option<(R::IntoIter, Option<i64>)>,
    rows: PhantomData<fn(I)>,
}

impl<I, O: Record, R: IntoIterator<Item = O>, F> FlatMap<I, O, R, F> {
    /// Maps with `function`.
    pub fn new(function: Arc<F>) -> Self {
        Self { function, buffer: RowBuffer::default(), current: None, rows: PhantomData }
    }

    /// Emits what the current row gives. False: the output is full.
    fn drain(&mut self, output: &Output) -> bool {
        if let Some((values, timestamp)) = &mut self.current {
            for value in values {
                self.buffer.push(value, *timestamp);
                if self.buffer.fills(output) {
                    return false;
                }
            }
        }
        self.current = None;
        true
    }
}

impl<I, O, R, F> Operator for FlatMap<I, O, R, F>
where
    I: Record,
    O: Record,
    R: IntoIterator<Item = O>,
    R::IntoIter: Send,
    F: Fn(I) -> R + Send + Sync,
{
    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        while self.drain(output) {
            let mut rows = batch.rows::<I>()?;
            let Some(row) = rows.next() else { break };
            self.current = Some(((self.function)(row.value).into_iter(), row.timestamp));
        }
        self.buffer.flush(output);
        Ok(())
    }

    fn holds_back(&self) -> bool {
        self.current.is_some()
    }
}
