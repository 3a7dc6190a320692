//! A sink that drops its rows; for measuring, and for jobs whose result is a side output.
//!
//! Nothing becomes visible, so nothing is lost or repeated: it counts as exactly once.

use std::marker::PhantomData;

use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{DeliveryGuarantee, Sink, SinkContext, SinkWriter};

/// Drops its rows.
///
/// ```
/// let sink = thalweg_connectors::BlackholeSink::<u64>::new();
/// # let _ = sink;
/// ```
#[derive(Debug)]
pub struct BlackholeSink<T> {
    row: PhantomData<fn(T)>,
}

impl<T> BlackholeSink<T> {
    /// One that has dropped nothing yet.
    pub fn new() -> Self {
        Self { row: PhantomData }
    }
}

impl<T> Default for BlackholeSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for BlackholeSink<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: Record> Sink for BlackholeSink<T> {
    type Row = T;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, _context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(Drop))
    }
}

struct Drop;

impl<T: Record> SinkWriter<T> for Drop {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        // Somebody who can't see the rows must not keep the compiler from making them.
        std::hint::black_box(&batch);
        Ok(())
    }
}
