//! One row in, one row out.

use std::marker::PhantomData;
use std::sync::Arc;

use thalweg_core::{Batch, Record};

use crate::contract::{Operator, OperatorError, Output, RunContext};

/// Calls a function for each row and emits what it returns. Timestamps stay.
#[derive(Debug)]
pub struct Map<I, O, F> {
    function: Arc<F>,
    rows: PhantomData<fn(I) -> O>,
}

impl<I, O, F> Map<I, O, F> {
    /// Maps with `function`.
    pub fn new(function: Arc<F>) -> Self {
        Self { function, rows: PhantomData }
    }
}

impl<I: Record, O: Record, F: Fn(I) -> O + Send + Sync> Operator for Map<I, O, F> {
    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (values, mut columns) = batch.take_parts::<I>()?;
        // What the key was may have changed.
        columns.hashes = None;
        let function = &*self.function;
        output.emit_rows::<O>(values.into_iter().map(function).collect(), columns);
        Ok(())
    }
}
