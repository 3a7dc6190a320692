//! A sink that gives its rows to the program itself; for tests and small results.
//!
//! Exactly once within the process: rows count as collected when they're committed, and a commit
//! that is repeated changes nothing. Everything stays in memory, so it isn't for endless streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{
    Committable, DeliveryGuarantee, PrepareCommit, Sink, SinkContext, SinkWriter,
};

use crate::position::{decode_numbers, encode_numbers};

/// What the sink and its handle share.
struct Shared<T> {
    committed: Vec<T>,
    written: Vec<T>,
    /// Rows that were pre-committed, by a number that is never used again.
    pending: BTreeMap<u64, Vec<T>>,
    next: u64,
}

/// Collects rows.
///
/// ```
/// let (sink, rows) = thalweg_connectors::CollectSink::<u64>::new();
/// // ... stream.sink_to(sink); env.execute() ...
/// assert!(rows.committed().is_empty());
/// # let _ = sink;
/// ```
pub struct CollectSink<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// The rows that a [`CollectSink`] has collected.
pub struct Collected<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

impl<T: Record> CollectSink<T> {
    /// A sink, and the handle to what it collects.
    pub fn new() -> (Self, Collected<T>) {
        let (committed, written) = (Vec::new(), Vec::new());
        let shared = Shared { committed, written, pending: BTreeMap::new(), next: 0 };
        let shared = Arc::new(Mutex::new(shared));
        (Self { shared: shared.clone() }, Collected { shared })
    }
}

impl<T: Clone> Collected<T> {
    /// The rows that are committed: those of published checkpoints, and all at the end.
    pub fn committed(&self) -> Vec<T> {
        self.shared.lock().committed.clone()
    }

    /// All rows that were ever written, those of failed attempts included.
    pub fn written(&self) -> Vec<T> {
        self.shared.lock().written.clone()
    }
}

impl<T> Clone for CollectSink<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> std::fmt::Debug for CollectSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CollectSink")
    }
}

impl<T> std::fmt::Debug for Collected<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Collected({} rows)", self.shared.lock().committed.len())
    }
}

impl<T: Record> Sink for CollectSink<T> {
    type Row = T;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, _context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(Writer { shared: self.shared.clone(), rows: Vec::new() }))
    }
}

struct Writer<T> {
    shared: Arc<Mutex<Shared<T>>>,
    rows: Vec<T>,
}

impl<T: Record> SinkWriter<T> for Writer<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        let (rows, _) = batch.into_parts::<T>()?;
        self.shared.lock().written.extend_from_slice(&rows);
        self.rows.extend(rows);
        Ok(())
    }

    fn prepare_commit(&mut self, _request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut shared = self.shared.lock();
        let number = shared.next;
        shared.next += 1;
        shared.pending.insert(number, std::mem::take(&mut self.rows));
        Ok(vec![encode_numbers(&[number])])
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        let mut shared = self.shared.lock();
        for committable in committables {
            let [number] = decode_numbers(committable)?;
            // None there: it is committed already.
            if let Some(rows) = shared.pending.remove(&number) {
                shared.committed.extend(rows);
            }
        }
        Ok(())
    }
}
