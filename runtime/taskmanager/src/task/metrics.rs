//! The figures of one task: written by the task once a step, read by reporters.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use thalweg_core::element::MIN_WATERMARK;
use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_operators::contract::OperatorMetrics;

use super::{ActivityAccount, IoCounters};

/// One operator's place in the task's metrics.
#[derive(Debug, Clone)]
pub struct OperatorEntry {
    /// Its id.
    pub id: OperatorId,
    /// Its name.
    pub name: Arc<str>,
    /// Its counters.
    pub metrics: Arc<OperatorMetrics>,
}

/// The figures of one task.
#[derive(Debug)]
pub struct TaskMetrics {
    /// How it spends its time.
    pub activity: ActivityAccount,
    input: Io,
    output: Io,
    input_queued_bytes: AtomicU64,
    output_queued_bytes: AtomicU64,
    watermark: AtomicI64,
    checkpoint: AtomicU64,
    checkpoint_start_delay_ms: AtomicU64,
    checkpoint_alignment_ns: AtomicU64,
    initialization_ms: AtomicU64,
    latency_ms: AtomicI64,
    operators: Mutex<Arc<[OperatorEntry]>>,
}

#[derive(Debug, Default)]
struct Io {
    records: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
}

impl Io {
    fn set(&self, counters: IoCounters) {
        self.records.store(counters.records, Relaxed);
        self.bytes.store(counters.bytes, Relaxed);
        self.batches.store(counters.batches, Relaxed);
    }

    fn get(&self) -> IoCounters {
        IoCounters {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            batches: self.batches.load(Relaxed),
        }
    }
}

impl Default for TaskMetrics {
    fn default() -> Self {
        Self {
            activity: ActivityAccount::default(),
            input: Io::default(),
            output: Io::default(),
            input_queued_bytes: AtomicU64::new(0),
            output_queued_bytes: AtomicU64::new(0),
            watermark: AtomicI64::new(MIN_WATERMARK),
            checkpoint: AtomicU64::new(0),
            checkpoint_start_delay_ms: AtomicU64::new(0),
            checkpoint_alignment_ns: AtomicU64::new(0),
            initialization_ms: AtomicU64::new(0),
            latency_ms: AtomicI64::new(-1),
            operators: Mutex::new(Arc::from([])),
        }
    }
}

impl TaskMetrics {
    /// What has come in.
    pub fn input(&self) -> IoCounters {
        self.input.get()
    }

    /// What has gone out.
    pub fn output(&self) -> IoCounters {
        self.output.get()
    }

    /// Bytes that wait in its input channels.
    pub fn input_queued_bytes(&self) -> u64 {
        self.input_queued_bytes.load(Relaxed)
    }

    /// Bytes that wait for its readers.
    pub fn output_queued_bytes(&self) -> u64 {
        self.output_queued_bytes.load(Relaxed)
    }

    /// The lowest watermark over its inputs; of a source what it has emitted.
    pub fn watermark(&self) -> i64 {
        self.watermark.load(Relaxed)
    }

    /// The highest checkpoint whose trigger or barrier it has seen; 0 for none.
    pub fn checkpoint(&self) -> CheckpointId {
        CheckpointId(self.checkpoint.load(Relaxed))
    }

    /// Delay from the last checkpoint's trigger to its first barrier here, in ms.
    pub fn checkpoint_start_delay_ms(&self) -> u64 {
        self.checkpoint_start_delay_ms.load(Relaxed)
    }

    /// The last alignment's duration, in ns.
    pub fn checkpoint_alignment_ns(&self) -> u64 {
        self.checkpoint_alignment_ns.load(Relaxed)
    }

    /// How long its operators took to open and to take up their state, in ms; 0 before that.
    pub fn initialization_ms(&self) -> u64 {
        self.initialization_ms.load(Relaxed)
    }

    /// The age of the last latency marker that arrived, in ms; None while none has.
    pub fn latency_ms(&self) -> Option<i64> {
        Some(self.latency_ms.load(Relaxed)).filter(|ms| *ms >= 0)
    }

    /// Its operators, once it has opened them.
    pub fn operators(&self) -> Arc<[OperatorEntry]> {
        self.operators.lock().clone()
    }

    pub(crate) fn set_io(&self, input: IoCounters, output: IoCounters) {
        self.input.set(input);
        self.output.set(output);
    }

    pub(super) fn set_queued(&self, input: usize, output: usize) {
        self.input_queued_bytes.store(input as u64, Relaxed);
        self.output_queued_bytes.store(output as u64, Relaxed);
    }

    pub(crate) fn set_watermark(&self, watermark: i64) {
        self.watermark.store(watermark, Relaxed);
    }

    pub(super) fn saw_checkpoint(&self, checkpoint: CheckpointId) {
        self.checkpoint.fetch_max(checkpoint.0, Relaxed);
    }

    pub(super) fn set_checkpoint_times(&self, start_delay_ms: u64, alignment: std::time::Duration) {
        self.checkpoint_start_delay_ms.store(start_delay_ms, Relaxed);
        let nanos = u64::try_from(alignment.as_nanos()).unwrap_or(u64::MAX);
        self.checkpoint_alignment_ns.store(nanos, Relaxed);
    }

    pub(crate) fn set_initialization(&self, took: std::time::Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.initialization_ms.store(ms, Relaxed);
    }

    pub(super) fn set_latency(&self, ms: i64) {
        self.latency_ms.store(ms.max(0), Relaxed);
    }

    pub(crate) fn set_operators(&self, operators: Vec<OperatorEntry>) {
        *self.operators.lock() = operators.into();
    }
}
