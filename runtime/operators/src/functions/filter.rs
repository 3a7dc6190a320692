//! Keeps some rows.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Record};

use crate::contract::{Operator, OperatorError, Output, RunContext};

/// Keeps the rows for which a function is true.
#[derive(Debug)]
pub struct Filter<T, F> {
    predicate: Arc<F>,
    /// One flag a row; kept from batch to batch for its memory.
    keep: Vec<bool>,
    rows: PhantomData<fn(T)>,
}

impl<T, F> Filter<T, F> {
    /// Keeps what `predicate` says.
    pub fn new(predicate: Arc<F>) -> Self {
        Self { predicate, keep: Vec::new(), rows: PhantomData }
    }
}

impl<T: Record, F: Fn(&T) -> bool + Send + Sync> Operator for Filter<T, F> {
    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (mut values, mut columns) = batch.take_parts::<T>()?;
        self.keep.clear();
        self.keep.extend(values.iter().map(|v| (self.predicate)(v)));
        if self.keep.contains(&false) {
            let mut flags = self.keep.iter();
            values.retain(|_| flags.next().copied().unwrap_or(false));
            columns.retain(&self.keep);
        }
        output.emit_rows(values, columns);
        Ok(())
    }
}
