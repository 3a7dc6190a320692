//! Where a task's elements go: its writers, one an edge, behind the chain's [`Downstream`].

use std::time::Duration;

use thalweg_core::Batch;
use thalweg_core::element::Control;
use thalweg_network::{NetworkError, RecordWriter};
use thalweg_operators::chain::{Downstream, DownstreamError};

use super::IoCounters;

/// The writer of one edge. No call waits, and nothing is refused.
pub trait TaskOutput: Send {
    /// Whether there is room.
    fn is_available(&self) -> bool;

    /// Writes rows.
    ///
    /// # Errors
    /// A channel is broken, or the partitioner failed.
    fn write(&mut self, batch: Batch, now: Duration) -> Result<(), NetworkError>;

    /// Writes a control element to all channels, behind all rows.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn write_control(&mut self, control: Control) -> Result<(), NetworkError>;

    /// When [`Self::flush_due`] has something to do.
    fn next_flush(&self) -> Option<Duration>;

    /// Sends rows that have waited long enough, or whose reader has nothing to do.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn flush_due(&mut self, now: Duration) -> Result<(), NetworkError>;

    /// What was written so far.
    fn counters(&self) -> IoCounters;

    /// Bytes that wait to be read.
    fn queued_bytes(&self) -> usize;
}

impl TaskOutput for RecordWriter {
    fn is_available(&self) -> bool {
        RecordWriter::is_available(self)
    }

    fn write(&mut self, batch: Batch, now: Duration) -> Result<(), NetworkError> {
        RecordWriter::write(self, batch, now)
    }

    fn write_control(&mut self, control: Control) -> Result<(), NetworkError> {
        RecordWriter::write_control(self, control)
    }

    fn next_flush(&self) -> Option<Duration> {
        RecordWriter::next_flush(self)
    }

    fn flush_due(&mut self, now: Duration) -> Result<(), NetworkError> {
        RecordWriter::flush_due(self, now)
    }

    fn counters(&self) -> IoCounters {
        let counters = RecordWriter::counters(self);
        IoCounters { records: counters.records, bytes: counters.bytes, batches: counters.batches }
    }

    fn queued_bytes(&self) -> usize {
        RecordWriter::queued_bytes(self)
    }
}

/// All writers of a task, at their edges' places.
pub(super) struct Outputs {
    writers: Vec<Box<dyn TaskOutput>>,
    /// The time of this step.
    now: Duration,
}

impl Outputs {
    pub(super) fn new(writers: Vec<Box<dyn TaskOutput>>) -> Self {
        Self { writers, now: Duration::ZERO }
    }

    pub(super) fn begin_step(&mut self, now: Duration) {
        self.now = now;
    }

    /// Sends a control element to every edge.
    pub(super) fn control_to_all(&mut self, control: Control) -> Result<(), NetworkError> {
        self.writers.iter_mut().try_for_each(|writer| writer.write_control(control.clone()))
    }

    pub(super) fn flush_due(&mut self) -> Result<(), NetworkError> {
        let now = self.now;
        self.writers.iter_mut().try_for_each(|writer| writer.flush_due(now))
    }

    pub(super) fn next_flush(&self) -> Option<Duration> {
        self.writers.iter().filter_map(|writer| writer.next_flush()).min()
    }

    pub(super) fn counters(&self) -> IoCounters {
        self.writers.iter().fold(IoCounters::default(), |sum, writer| {
            let one = writer.counters();
            IoCounters {
                records: sum.records + one.records,
                bytes: sum.bytes + one.bytes,
                batches: sum.batches + one.batches,
            }
        })
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.writers.iter().map(|writer| writer.queued_bytes()).sum()
    }
}

impl Downstream for Outputs {
    fn is_available(&self) -> bool {
        self.writers.iter().all(|writer| writer.is_available())
    }

    fn batch(&mut self, edge: usize, batch: Batch) -> Result<(), DownstreamError> {
        let now = self.now;
        match self.writers.get_mut(edge) {
            Some(writer) => writer.write(batch, now).map_err(|e| DownstreamError(Box::new(e))),
            None => Err(no_such_edge(edge)),
        }
    }

    fn control(&mut self, edge: usize, control: Control) -> Result<(), DownstreamError> {
        match self.writers.get_mut(edge) {
            Some(writer) => writer.write_control(control).map_err(|e| DownstreamError(Box::new(e))),
            None => Err(no_such_edge(edge)),
        }
    }
}

fn no_such_edge(edge: usize) -> DownstreamError {
    DownstreamError(format!("edge {edge} has no writer; this is a bug in the engine").into())
}
