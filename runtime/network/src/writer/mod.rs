//! The record writer: the end of one output edge of one producing subtask (Flink's
//! ResultPartition and its writer).
//!
//! Rows wait here for company: a channel's rows leave when there are enough of them, when its
//! reader has nothing to do, or when the oldest of them has waited for the linger. A control
//! element flushes all channels and goes to all of them, so it stays behind what came before it.
//!
//! Nothing blocks and nothing is refused: what is written to a full channel is taken. The task
//! asks [`RecordWriter::is_available`] before each step and stops there; so a channel exceeds its
//! bound by what one step writes.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::batch::Scatter;
use thalweg_core::element::Control;
use thalweg_core::{Batch, RowType};

use crate::channel::{OutputChannel, WriterSignal};
use crate::error::NetworkError;
use crate::partitioner::{Partitioner, Spread};

/// When batches leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// Rows that are enough for a batch.
    pub batch_rows: usize,
    /// Bytes that are enough for a batch, by the size of the rows seen so far.
    pub batch_bytes: usize,
    /// The longest that a row waits for company.
    pub linger: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        let linger = Duration::from_millis(5);
        Self { batch_rows: 4096, batch_bytes: 256 * 1024, linger }
    }
}

/// What a writer has sent since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriterCounters {
    /// Rows written by the task; a broadcast row counts once.
    pub records: u64,
    /// Bytes handed to channels: as in memory within a process, as on the wire between processes.
    pub bytes: u64,
    /// Batches handed to channels.
    pub batches: u64,
}

/// Rows that wait.
enum Pending {
    /// Of all channels together, with the time of the oldest.
    Whole(Option<(Batch, Duration)>),
    /// Of each channel, with the time of the oldest of each.
    ByRow { buffers: Box<dyn Scatter>, since: Vec<Option<Duration>> },
}

/// Writes the rows of one output edge.
pub struct RecordWriter {
    row_type: RowType,
    partitioner: Partitioner,
    channels: Vec<OutputChannel>,
    pending: Pending,
    signal: Arc<WriterSignal>,
    options: WriterOptions,
    /// Rows that are enough for a batch, by rows and by bytes.
    target_rows: usize,
    /// No row is due before this.
    next_flush: Option<Duration>,
    destinations: Vec<u32>,
    counters: WriterCounters,
}

impl RecordWriter {
    pub(crate) fn new(
        row_type: RowType,
        partitioner: Partitioner,
        channels: Vec<OutputChannel>,
        signal: Arc<WriterSignal>,
        options: WriterOptions,
    ) -> Result<Self, NetworkError> {
        partitioner.check(channels.len())?;
        let pending = match partitioner.spread(channels.len()) {
            Spread::Whole => Pending::Whole(None),
            Spread::ByRow => Pending::ByRow {
                buffers: row_type.scatter(channels.len()),
                since: vec![None; channels.len()],
            },
        };
        Ok(Self {
            row_type,
            partitioner,
            channels,
            pending,
            signal,
            target_rows: options.batch_rows.max(1),
            options,
            next_flush: None,
            destinations: Vec::new(),
            counters: WriterCounters::default(),
        })
    }

    /// Whether all channels take more. Ask before each step; the writer's waker is called when
    /// this becomes true. A broken writer is available: the next call gives the error.
    pub fn is_available(&self) -> bool {
        self.signal.is_available()
    }

    /// The error of a channel that is broken, if one is. Every other call gives it too.
    pub fn check(&self) -> Result<(), NetworkError> {
        self.signal.check()
    }

    /// What was sent so far.
    pub fn counters(&self) -> WriterCounters {
        self.counters
    }

    /// Bytes handed to the channels that their consumers haven't taken yet.
    pub fn queued_bytes(&self) -> usize {
        self.channels.iter().map(OutputChannel::queued_bytes).sum()
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// A channel is broken, the partitioner failed, or a row is too large for a frame. The writer
    /// can't be used any more.
    pub fn write(&mut self, mut batch: Batch, now: Duration) -> Result<(), NetworkError> {
        self.signal.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.counters.records += batch.len() as u64;
        let channels = self.channels.len();
        self.partitioner.partition(&mut batch, channels, &mut self.destinations)?;
        if matches!(self.pending, Pending::Whole(_)) {
            self.write_whole(batch, now)
        } else {
            self.write_by_row(batch, now)
        }
    }

    /// When [`Self::flush_due`] has something to do, unless something is written before.
    pub fn next_flush(&self) -> Option<Duration> {
        self.next_flush
    }

    /// Sends the rows that have waited for the linger, and those whose reader has nothing to do.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn flush_due(&mut self, now: Duration) -> Result<(), NetworkError> {
        self.signal.check()?;
        if self.next_flush.is_none() {
            return Ok(());
        }
        let linger = self.options.linger;
        let due = |since: Option<Duration>| since.is_some_and(|s| s + linger <= now);
        match &self.pending {
            Pending::Whole(None) => {}
            Pending::Whole(Some((_, since))) => {
                if due(Some(*since)) || self.any_reader_waiting() {
                    self.flush_whole()?;
                }
            }
            Pending::ByRow { since, .. } => {
                let since = since.clone();
                for (channel, since) in since.into_iter().enumerate() {
                    let waiting = || self.channels[channel].reader_waiting();
                    if since.is_some() && (due(since) || waiting()) {
                        self.flush_channel(channel)?;
                    }
                }
            }
        }
        self.plan_next_flush();
        Ok(())
    }

    /// Sends all rows that wait.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn flush(&mut self) -> Result<(), NetworkError> {
        self.signal.check()?;
        match self.pending {
            Pending::Whole(_) => self.flush_whole()?,
            Pending::ByRow { .. } => {
                for channel in 0..self.channels.len() {
                    self.flush_channel(channel)?;
                }
            }
        }
        self.next_flush = None;
        Ok(())
    }

    /// Sends all rows that wait, then the control element, to all channels.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn write_control(&mut self, control: Control) -> Result<(), NetworkError> {
        self.flush()?;
        for channel in &mut self.channels {
            channel.push_control(control.clone());
        }
        Ok(())
    }

    fn write_whole(&mut self, batch: Batch, now: Duration) -> Result<(), NetworkError> {
        let Pending::Whole(pending) = &mut self.pending else { return Ok(()) };
        match pending {
            Some((waiting, _)) => waiting.append(batch)?,
            None => *pending = Some((batch, now)),
        }
        let rows = pending.as_ref().map_or(0, |(batch, _)| batch.len());
        // A batch of half the size isn't worth being copied together with the next one.
        if rows >= self.target_rows.div_ceil(2) || self.any_reader_waiting() {
            self.flush_whole()?;
        }
        self.plan_next_flush();
        Ok(())
    }

    fn write_by_row(&mut self, batch: Batch, now: Duration) -> Result<(), NetworkError> {
        let Pending::ByRow { buffers, since } = &mut self.pending else { return Ok(()) };
        batch.scatter(buffers.as_mut(), &self.destinations)?;
        // Each channel once; a small batch over many channels touches only some of them.
        let touched = std::mem::take(&mut self.destinations);
        let few = touched.len() < self.channels.len();
        let candidates = if few { touched.len() } else { self.channels.len() };
        let channel_of = |n: usize| if few { touched[n] as usize } else { n };
        let mut full = Vec::new();
        for channel in (0..candidates).map(channel_of) {
            let rows = buffers.rows(channel);
            if rows == 0 {
                continue;
            }
            if rows >= self.target_rows || self.channels[channel].reader_waiting() {
                full.push(channel);
            } else if since[channel].is_none() {
                since[channel] = Some(now);
                let due = now + self.options.linger;
                self.next_flush = Some(self.next_flush.map_or(due, |next| next.min(due)));
            }
        }
        self.destinations = touched;
        for channel in full {
            self.flush_channel(channel)?;
        }
        Ok(())
    }

    fn any_reader_waiting(&self) -> bool {
        self.channels.iter().any(OutputChannel::reader_waiting)
    }

    fn flush_whole(&mut self) -> Result<(), NetworkError> {
        let Pending::Whole(pending) = &mut self.pending else { return Ok(()) };
        let Some((batch, _)) = pending.take() else { return Ok(()) };
        let rows = batch.len();
        let mut bytes = 0;
        if let [channel] = self.channels.as_mut_slice() {
            bytes += channel.push_batch(batch, &self.row_type)?;
        } else {
            let mut encoded = None;
            for channel in &mut self.channels {
                bytes += channel.push_shared(&batch, &self.row_type, &mut encoded)?;
            }
        }
        let channels = self.channels.len();
        self.count(rows * channels, bytes, channels);
        Ok(())
    }

    fn flush_channel(&mut self, channel: usize) -> Result<(), NetworkError> {
        let Pending::ByRow { buffers, since } = &mut self.pending else { return Ok(()) };
        since[channel] = None;
        let Some(batch) = buffers.take(channel) else { return Ok(()) };
        let rows = batch.len();
        let bytes = self.channels[channel].push_batch(batch, &self.row_type)?;
        self.count(rows, bytes, 1);
        Ok(())
    }

    fn count(&mut self, rows: usize, bytes: usize, batches: usize) {
        self.counters.bytes += bytes as u64;
        self.counters.batches += batches as u64;
        let row_bytes = (bytes / rows.max(1)).max(1);
        let by_bytes = self.options.batch_bytes / row_bytes;
        self.target_rows = by_bytes.min(self.options.batch_rows).max(1);
    }

    fn plan_next_flush(&mut self) {
        let oldest = match &self.pending {
            Pending::Whole(pending) => pending.as_ref().map(|(_, since)| *since),
            Pending::ByRow { since, .. } => since.iter().flatten().min().copied(),
        };
        self.next_flush = oldest.map(|since| since + self.options.linger);
    }
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter")
            .field("rows", &self.row_type)
            .field("partitioner", &self.partitioner)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}
